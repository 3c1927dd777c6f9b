// AssetName: what a file's name says of the photo that it is a part of. The names are those that cameras, phones and
// programs give: Apple's and Google's, icloudpd, Takeout, osxphotos, Lightroom, darktable.
//
// Always holds: two names have one key only where a program is known to give both to parts of one photo. In doubt they
// have not: a file too few in a group is found by its name, one too many may be deleted for nothing.

import BakCore

/// What a file is to its group.
public enum AssetRole: UInt8, Sendable, CaseIterable {
    /// JPEG, HEIC, PNG and the like.
    case picture
    /// What a camera's sensor gave.
    case raw
    /// A film.
    case film
    /// Edits or tags beside a file: XMP, AAE.
    case sidecar
    /// What a Takeout archive says of a file.
    case takeout

    var isMedia: Bool { self == .picture || self == .raw || self == .film }
}

/// A file's name as a part of a group.
public struct AssetName: Hashable, Sendable {
    /// The same for all files of a group, in one folder.
    public let key: [UInt8]
    /// What the file is to the group.
    public let role: AssetRole
    /// Whether it is one of several pictures that were taken with one press.
    public let isBurst: Bool
    /// The key of Takeout's notes on a picture or film whose name is too long for them; nil for other files.
    public let startOfLongName: [UInt8]?

    /// So much of a name Takeout keeps in that of its notes, in UTF-16 units; of the name itself one more.
    private static let noteLength = 46

    /// Reads a file's name; nil when it is no part of any group.
    public init?(_ name: some Sequence<UInt8>) {
        var key = name.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }
        guard let ending = Self.takeEnding(from: &key), let role = Self.roles[ending] else { return nil }
        self.role = role
        startOfLongName =
            role.isMedia ? Self.startOfLongName(key).map { Self.withoutVariant($0).key } : nil
        switch role {
        case .takeout: guard Self.takeTakeoutEnding(from: &key) else { return nil }
        case .sidecar:
            // It may follow the whole name of the file that it belongs to.
            Self.takeMediaEnding(from: &key)
            if ending == "aae", key.hasSuffix("_o") { key.removeLast(2) }
        // icloudpd gives a Live Photo's film this mark if its picture is a HEIC.
        case .film:
            let number = Self.takeNumber(from: &key)
            if key.hasSuffix("_hevc") { key.removeLast(5) }
            key += number
        default: break
        }
        (self.key, isBurst) = Self.withoutVariant(key)
        if self.key.isEmpty { return nil }
    }

    private static let roles: [String: AssetRole] = {
        let names: [AssetRole: String] = [
            .picture: "jpg jpeg heic heif avif png webp gif tif tiff jxl",
            .raw: "dng cr2 cr3 crw nef nrw arw sr2 srf raf orf rw2 pef srw 3fr erf kdc dcr mrw x3f raw",
            .film: "mov mp4 m4v 3gp avi mts m2ts mp",
            .sidecar: "xmp aae thm lrv dop pp3",
            .takeout: "json",
        ]
        return names.reduce(into: [:]) { roles, entry in
            for name in entry.value.split(separator: " ") { roles[String(name)] = entry.key }
        }
    }()

    /// Takes off what follows the last dot.
    private static func takeEnding(from name: inout [UInt8]) -> String? {
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0, name.count - dot <= 6 else {
            return nil
        }
        defer { name.removeSubrange(dot...) }
        return String(decoding: name[(dot + 1)...], as: UTF8.self)
    }

    /// Takes off the ending of a picture or film, if there is one.
    @discardableResult
    private static func takeMediaEnding(from name: inout [UInt8]) -> Bool {
        var inner = name
        guard let ending = takeEnding(from: &inner), roles[ending]?.isMedia == true else { return false }
        // Pixel's `.MP` may be an ending or a mark of the name; as a mark it goes later.
        name = inner
        return true
    }

    // MARK: Takeout

    /// `photo.jpg.supplemental-metadata(2)`, of which long names keep only a part, to `photo(2)`. False if the name is
    /// no note on a picture or film.
    private static func takeTakeoutEnding(from name: inout [UInt8]) -> Bool {
        let number = takeNumber(from: &name)
        let isCut = String(decoding: name, as: UTF8.self).utf16.count == noteLength
        var isNote = isCut
        if let dot = name.lastIndex(of: UInt8(ascii: ".")) {
            let rest = name[(dot + 1)...]
            if "supplemental-metadata".utf8.starts(with: rest) {
                // A few letters may be anything, unless the name ends there because it is full.
                isNote = isNote || rest.count >= 5
                name.removeSubrange(dot...)
            } else if isCut,
                roles.keys.contains(where: { $0.utf8.count > rest.count && $0.utf8.starts(with: rest) }),
                roles[String(decoding: rest, as: UTF8.self)] == nil
            {
                // What is left of the picture's ending.
                name.removeSubrange(dot...)
            }
        }
        if takeMediaEnding(from: &name) { isNote = true }
        name += number
        return isNote
    }

    /// What Takeout's notes on such a long name are called: both are cut, the notes sooner.
    private static func startOfLongName(_ stem: [UInt8]) -> [UInt8]? {
        var stem = stem
        let number = takeNumber(from: &stem)
        let units = Array(String(decoding: stem, as: UTF8.self).utf16)
        guard units.count == noteLength + 1 else { return nil }
        return Array(String(decoding: units[..<noteLength], as: UTF16.self).utf8) + number
    }

    /// Takes off `(2)` and the like.
    private static func takeNumber(from name: inout [UInt8]) -> [UInt8] {
        guard name.last == UInt8(ascii: ")"), let open = name.lastIndex(of: UInt8(ascii: "(")),
            name.count - open > 2, name[(open + 1)..<(name.count - 1)].allSatisfy(isDigit)
        else { return [] }
        defer { name.removeSubrange(open...) }
        return Array(name[open...])
    }

    // MARK: Variants

    /// Marks of edits and of pictures with a film inside. Takeout's are in the language of the account.
    private static let marks = [
        "-edited", "-bearbeitet", "-modifi\u{e9}", "-modifie\u{301}", "-editado", "-editada", "-modificato",
        "-bewerkt",
        "-edytowane", "-redigerad", "-redigeret", "-\u{7de8}\u{96c6}\u{6e08}\u{307f}", "_edited", "-adjusted",
        "-edit",
        "_cover", ".mp",
    ]

    /// The name of what was photographed, and whether by one press among several.
    private static func withoutVariant(_ name: [UInt8]) -> (key: [UInt8], isBurst: Bool) {
        var key = name
        // A number tells pictures of one name apart, and stands behind the marks.
        let number = takeNumber(from: &key)
        if let pixel = pixelName(key) { return (pixel + number, false) }
        if let burst = burstName(key) { return (burst + number, true) }
        if key.count > 2, isDigit(key[key.count - 1]), key[key.count - 2] == UInt8(ascii: "~") {
            key.removeLast(2)
        }
        for mark in marks where key.hasSuffix(mark) {
            key.removeLast(mark.utf8.count)
            break
        }
        if key.isEmpty { return (name, false) }
        // An iPhone's edited copy of IMG_1234 is IMG_E1234, and its notes are IMG_O1234.
        if key.starts(with: "img_e".utf8) || key.starts(with: "img_o".utf8), key.count > 5, isDigit(key[5]) {
            key.remove(at: 4)
        }
        return (key + number, false)
    }

    /// `pxl_20230102_030405678` of a Pixel's names: what follows the millisecond says which part of the picture it is:
    /// `.RAW-01.COVER`, `.RAW-02.ORIGINAL`, `.PORTRAIT`, `.MP`, `~2`. Nil for other names.
    private static func pixelName(_ name: [UInt8]) -> [UInt8]? {
        let form = "pxl_########_#########"
        guard name.count >= form.utf8.count,
            zip(name, form.utf8).allSatisfy({ $1 == UInt8(ascii: "#") ? isDigit($0) : $0 == $1 })
        else { return nil }
        let rest = name[form.utf8.count...]
        guard rest.isEmpty || ".~-_".utf8.contains(rest.first!) else { return nil }
        return Array(name[..<form.utf8.count])
    }

    /// What the pictures of one press have in common: `00003IMG_00003_BURST20190102030405678_COVER` of older Pixels and
    /// `DSC_0001_BURST20190102030405678` of Sony's have the moment, `IMG_20190102_030405_BURST003` what stands before.
    private static func burstName(_ name: [UInt8]) -> [UInt8]? {
        var name = name
        for mark in ["_top", "_cover"] where name.hasSuffix(mark) { name.removeLast(mark.utf8.count) }
        let mark = Array("burst".utf8)
        let digits = name.reversed().prefix(while: isDigit).count
        let start = name.count - digits - mark.count
        guard start > 0, name[start..<(start + mark.count)].elementsEqual(mark),
            name[start - 1] == UInt8(ascii: "_")
        else { return nil }
        if digits >= 14 { return Array(name[start...]) }
        return (1...4).contains(digits) ? Array(name[..<(start - 1)]) : nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}

extension [UInt8] {
    fileprivate func hasSuffix(_ text: String) -> Bool {
        count > text.utf8.count && suffix(text.utf8.count).elementsEqual(text.utf8)
    }
}
