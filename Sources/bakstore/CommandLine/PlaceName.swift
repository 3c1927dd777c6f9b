// PlaceName: decides whether a user's words name a file or folder of this machine. Only this file tells a path from an
// address of another machine, another program or another system. It does so for words of the command line, the
// environment, a profile, and a file with a list of paths.
//
// Always holds: a path that begins with `/` (but not `//`) or with `./` is taken literally. Only a path that contains
// the end of a line is refused, because it is surely a mistake. A user who has a folder with such a name can still
// enter the folder and name it `.`.

/// Reads paths as users write them.
enum PlaceName {
    /// The complaint about a path that is not UTF-8 where UTF-8 is required.
    static let notText = "is not UTF-8. Use another name, or make a link to it that has a UTF-8 name: ln -s"

    /// Says why `text` is not a path of this machine and what to write instead; nil if it is one. The result is the
    /// middle of a message: `'s3:x': is an address ...`.
    static func objection(to text: [UInt8]) -> String? {
        let name = Formatting.name(text)
        if let slip = NameSlip.objection(to: text) { return slip }
        if text == [UInt8(ascii: "-")] {
            return "means standard input, which is not possible here. Write ./- for a file of that name"
        }
        if let rest = fileURL(text) {
            guard !rest.isEmpty, !rest.contains(0) else { return "names no file. Write its path" }
            return rest.starts(with: "/".utf8) ? nil : objection(to: rest)
        }
        if let complaint = unexpanded(text, name) { return complaint }
        if text.starts(with: "//".utf8), text.count > 2, text[2] != UInt8(ascii: "/") {
            return "is a network address. Mount the share and name the folder where it is mounted, "
                + "or write one / in front if it is a folder of this machine"
        }
        if text.starts(with: #"\\"#.utf8) {
            return "is a network address. Mount the share and name the folder where it is mounted"
        }
        guard let colon = colonOfAddress(text) else { return nil }
        if colon == 1, isLetter(text[0]) {
            return "is a Windows path. Name the folder where that drive is mounted, such as /mnt/"
                + String(decoding: [text[0] | 0x20], as: UTF8.self) + ", or write ./\(name) for a folder here"
        }
        let scheme = String(decoding: text[..<colon], as: UTF8.self)
        return "is an address of another machine or program. \(advice(scheme)) and name the folder "
            + "where it is mounted, or write ./\(name) for a name with a colon in it"
    }

    /// The path that `text` names, without a `file:` in front. Call `objection` first.
    static func path(_ text: [UInt8]) -> [UInt8] { fileURL(text) ?? text }

    // MARK: What a shell would have replaced

    private static func unexpanded(_ text: [UInt8], _ name: String) -> String? {
        let first =
            text.split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
            .first.map(Array.init) ?? []
        let hasMore = first.count < text.count
        if first == [UInt8(ascii: "~")] {
            return "begins with a ~ that the shell did not replace. Write your home folder's path in full, "
                + "or remove the quotes or the = before it"
        }
        if first.first == UInt8(ascii: "~"), hasMore {
            return
                "begins with a ~ that the shell did not replace. Write the path in full, or ./\(name) for a folder here"
        }
        if isVariable(first) {
            return "begins with a variable that the shell did not replace. Write the path in full, "
                + "or ./\(name) for a name that begins with a $"
        }
        guard !first.isEmpty, first != [UInt8(ascii: ".")],
            let variable = text.split(separator: UInt8(ascii: "/")).map(Array.init).first(where: isVariable)
        else { return nil }
        return
            "contains \(Formatting.name(variable)), a variable that the shell did not replace. Write the path in "
            + "full, or ./\(name) if a folder has that name"
    }

    /// True for words such as `$HOME`, `${HOME}` and `%USERPROFILE%`.
    private static func isVariable(_ part: [UInt8]) -> Bool {
        var word = part[...]
        if word.first == UInt8(ascii: "%") {
            guard let end = word.dropFirst().firstIndex(of: UInt8(ascii: "%")) else { return false }
            word = word[1..<end]
        } else if word.first == UInt8(ascii: "$") {
            word = word.dropFirst()
            if word.first == UInt8(ascii: "{"), word.last == UInt8(ascii: "}") {
                word = word.dropFirst().dropLast()
            } else if word.first == UInt8(ascii: "(") {
                return true
            }
        } else {
            return false
        }
        guard let start = word.first, isLetter(start) || start == UInt8(ascii: "_") else { return false }
        return word.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
    }

    // MARK: Addresses

    /// The path in a `file:` address; nil if the text is not such an address, or names another machine.
    private static func fileURL(_ text: [UInt8]) -> [UInt8]? {
        let scheme = Array("file:".utf8)
        guard text.count >= scheme.count,
            zip(text, scheme).allSatisfy({ $0 == $1 || isLetter($1) && $0 | 0x20 == $1 })
        else { return nil }
        let rest = Array(text.dropFirst(scheme.count))
        guard rest.starts(with: "//".utf8) else { return rest }
        for host in ["//localhost/", "///"] where rest.starts(with: host.utf8) {
            return withoutPercents(rest.dropFirst(host.utf8.count - 1))
        }
        return nil
    }

    /// Decodes an address: `My%20Pictures` becomes `My Pictures`.
    private static func withoutPercents(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            if byte == UInt8(ascii: "%"), digits.utf8.count == 2, !digits.hasPrefix("+"),
                !digits.hasPrefix("-"),
                let value = UInt8(digits, radix: 16)
            {
                result.append(value)
                rest = rest.dropFirst(2)
            } else {
                result.append(byte)
            }
        }
        return result
    }

    private static func advice(_ scheme: String) -> String {
        switch scheme.lowercased() {
        case "sftp", "ssh", "scp": "Mount it with sshfs"
        case "s3", "b2", "rclone", "gs", "azure", "swift", "webdav", "dav", "davs", "ftp", "http", "https":
            "Mount it with rclone mount"
        case "smb", "cifs", "nfs", "afp": "Mount the share"
        case _ where scheme.contains("@"): "Mount it with sshfs"
        default: "Mount it, such as with sshfs or rclone mount,"
        }
    }

    /// The place of the colon after a scheme, a machine's name or the name of an rclone remote; nil if there is none. A
    /// remote's name may contain blanks and letters of all kinds. A remote without a name begins with a colon.
    private static func colonOfAddress(_ text: [UInt8]) -> Int? {
        let (colon, slash) = (UInt8(ascii: ":"), UInt8(ascii: "/"))
        let first = text.prefix { $0 != slash }
        if text.first == colon { return first.dropFirst().firstIndex(of: colon) }
        guard let place = first.firstIndex(of: colon) else { return nil }
        return first[..<place].allSatisfy(isOfAddress) || text.dropFirst(place + 1).first == slash
            ? place : nil
    }

    /// True if a byte can be part of a scheme, a user's name or a machine's name.
    private static func isOfAddress(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "+-._@[]%".utf8.contains(byte)
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
