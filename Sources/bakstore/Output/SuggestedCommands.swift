// SuggestedCommands: adds to the commands in messages the flags by which the user named the repository, so that the
// commands can be copied. The code that writes a message, here or in the engine, writes the command without flags. All
// messages pass through here on their way out, so none can forget the flags.
//
// Always holds: a command begins with the program's name and one of its commands, at the start of a text or after a
// colon or semicolon. It ends at the next `,`, `;`, `)` or `"`, at a colon before a space, at a space before `(`, or at
// the end of the text. A command that names a repository stays as it is.

import BakCore

/// Completes commands in messages.
struct SuggestedCommands: Sendable, Equatable {
    /// The flags for each command, with a space before each word; empty if the repository need not be named.
    private let flags: String
    /// The first of the flags. A command that has it is complete already.
    private let first: String

    /// Adds no flags.
    init() { (flags, first) = ("", "") }

    /// Adds the flags of an invocation that name the repository and its password. The next command finds by itself what
    /// a profile or the environment says.
    init(_ invocation: Invocation, isASCII: Bool) {
        let named: [AnyFlag] = [.profile, .repo, .passwordFile, .passwordCommand]
        self.init(
            named.compactMap { flag in
                invocation.profileFlags.contains(flag) ? nil : invocation.bytes(flag).map { (flag, $0) }
            }, isASCII: isASCII)
    }

    /// Adds `flags` with their values.
    init(_ flags: [(flag: AnyFlag, value: [UInt8])], isASCII: Bool) {
        self.flags = Self.words(flags, isASCII: isASCII)
        first = flags.first?.flag.spelling ?? ""
    }

    /// Returns flags with their values, quoted for a shell, with a space before each.
    static func words(_ flags: [(flag: AnyFlag, value: [UInt8])], isASCII: Bool) -> String {
        flags.map { flag, value in
            // After a space, the value would be taken for a flag.
            let glue = value.first == UInt8(ascii: "-") ? "=" : " "
            return " \(flag.spelling)\(glue)\(ShellWord.quoted(value, isASCII: isASCII))"
        }.joined()
    }

    /// Returns the text with every command completed.
    func completed(_ text: String) -> String {
        guard !flags.isEmpty, text.utf8.count > Self.program.utf8.count else { return text }
        var result = ""
        var rest = text[...]
        while let start = Self.nextCommand(in: rest, isStart: rest.startIndex == text.startIndex) {
            let command = rest[start...]
            let end =
                command.indices.first { place in
                    ",;)\"`".contains(command[place])
                        || [": ", " ("].contains { command[place...].hasPrefix($0) }
                } ?? rest.endIndex
            let words = rest[start..<end]
            result += rest[..<end]
            if !["--repo", "--help", first].contains(where: words.contains) { result += flags }
            rest = rest[end...]
        }
        return result + rest
    }

    private static let program = "bakstore "

    /// Returns where the next command begins.
    private static func nextCommand(in text: Substring, isStart: Bool) -> String.Index? {
        var rest = text
        while let place = rest.firstIndex(of: "b") {
            rest = rest[place...]
            let before = text[..<place]
            let isBehindMark =
                before.isEmpty ? isStart : [": ", "; ", "`"].contains(where: before.hasSuffix)
            if isBehindMark, !before.hasSuffix("sage: "), rest.hasPrefix(program) {
                let word = rest.dropFirst(program.count).prefix { $0.isLetter || $0 == "-" }
                let command = CommandTable.find(String(word))?.name
                if let command, command != .help, command != .version { return place }
            }
            rest = rest.dropFirst()
        }
        return nil
    }
}

/// Quotes words for a shell.
enum ShellWord {
    /// Returns the word, in quotes if it needs them, on one line that any terminal can print.
    static func quoted(_ word: [UInt8], isASCII: Bool) -> String {
        let plain = "/._-+@%,:="
        let isPlain = { (byte: UInt8) in
            (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20) || plain.utf8.contains(byte)
        }
        let isLegible = isASCII ? word.allSatisfy { (0x20..<0x7f).contains($0) } : isShownAsItIs(word)
        guard isLegible else {
            return "$'" + word.map(escaped).joined() + "'"
        }
        let text = String(decoding: word, as: UTF8.self)
        if !word.isEmpty, word.allSatisfy(isPlain) { return text }
        return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
            + "'"
    }

    private static func isShownAsItIs(_ word: [UInt8]) -> Bool {
        let text = String(decoding: word, as: UTF8.self)
        return Array(text.utf8) == word && Formatting.line(text) == text
    }

    private static func escaped(_ byte: UInt8) -> String {
        switch byte {
        case UInt8(ascii: "'"), UInt8(ascii: "\\"): #"\"# + String(UnicodeScalar(byte))
        case 0x20..<0x7f: String(UnicodeScalar(byte))
        default: #"\x"# + Hex.encode([byte])
        }
    }
}
