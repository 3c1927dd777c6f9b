// AssetName: derives from a file's name which photo it belongs to. It knows the naming schemes of Apple, Google,
// icloudpd, Takeout, osxphotos, Lightroom and darktable.
//
// Always holds: two names have the same key only if a known program gives both to parts of one photo. If it is unclear,
// the keys differ: a user can find a file that a group lacks, but may delete a file that a group wrongly includes.

import BakCore

/// A file's role in its group.
public enum AssetRole: UInt8, Sendable, CaseIterable {
    /// A picture that needs no development: JPEG, HEIC, PNG and the like.
    case picture
    /// A raw file: the data of a camera's sensor.
    case raw
    /// A film.
    case film
    /// Edits or tags in a file of their own: XMP, AAE.
    case sidecar
    /// The notes on a file in a Takeout archive.
    case takeout

    var isMedia: Bool { self == .picture || self == .raw || self == .film }
}

/// A file name, parsed for grouping.
public struct AssetName: Hashable, Sendable {
    /// The key, which all files of a group in one folder share.
    public let key: [UInt8]
    /// The file's role in the group.
    public let role: AssetRole
    /// True if the file is one picture of a burst.
    public let isBurst: Bool
    /// The key of Takeout's notes on this picture or film, if Takeout has truncated both names; otherwise nil. It
    /// differs from `key`, because the two names are truncated to different lengths.
    public let startOfLongName: [UInt8]?

    /// Length in UTF-16 units to which Takeout truncates the name of its notes. It truncates the media file's own name
    /// one unit later.
    private static let noteLength = 46

    /// Parses a file name; nil if the file belongs to no group.
    public init?(_ name: some Sequence<UInt8>) {
        var key = name.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }
        guard let ending = Self.takeEnding(from: &key), let role = Self.roles[ending] else { return nil }
        self.role = role
        startOfLongName =
            role.isMedia ? Self.startOfLongName(key).map { Self.withoutVariant($0).key } : nil
        switch role {
        case .takeout: guard Self.takeTakeoutEnding(from: &key) else { return nil }
        case .sidecar:
            // A sidecar's name may contain the whole name of its media file.
            Self.takeMediaEnding(from: &key)
            if ending == "aae", key.hasSuffix("_o") { key.removeLast(2) }
        // icloudpd appends `_hevc` to the name of a Live Photo's film if the picture is a HEIC.
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

    /// Removes the last dot and the extension after it, and returns the extension.
    private static func takeEnding(from name: inout [UInt8]) -> String? {
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0, name.count - dot <= 6 else {
            return nil
        }
        defer { name.removeSubrange(dot...) }
        return String(decoding: name[(dot + 1)...], as: UTF8.self)
    }

    /// Removes the extension of a picture or film, if there is one.
    @discardableResult
    private static func takeMediaEnding(from name: inout [UInt8]) -> Bool {
        var inner = name
        guard let ending = takeEnding(from: &inner), roles[ending]?.isMedia == true else { return false }
        // Pixel's `.MP` may be an extension or a mark in the name. `withoutVariant` removes the mark.
        name = inner
        return true
    }

    // MARK: Takeout

    /// Reduces `photo.jpg.supplemental-metadata(2)` to `photo(2)`. Takeout truncates the ending of long names. Returns
    /// false if the file is not a note on a picture or film.
    private static func takeTakeoutEnding(from name: inout [UInt8]) -> Bool {
        let number = takeNumber(from: &name)
        let isCut = String(decoding: name, as: UTF8.self).utf16.count == noteLength
        var isNote = isCut
        if let dot = name.lastIndex(of: UInt8(ascii: ".")) {
            let rest = name[(dot + 1)...]
            if "supplemental-metadata".utf8.starts(with: rest) {
                // A truncated ending of fewer than five bytes shows a note only if the name is as long as a truncated
                // name.
                isNote = isNote || rest.count >= 5
                name.removeSubrange(dot...)
            } else if isCut,
                roles.keys.contains(where: { $0.utf8.count > rest.count && $0.utf8.starts(with: rest) }),
                roles[String(decoding: rest, as: UTF8.self)] == nil
            {
                // Remove the start of the media file's truncated extension.
                name.removeSubrange(dot...)
            }
        }
        if takeMediaEnding(from: &name) { isNote = true }
        name += number
        return isNote
    }

    /// Returns the name that Takeout gives its notes on a media file with a truncated name; nil if the name is not
    /// truncated. Takeout truncates the name of the notes by one unit more.
    private static func startOfLongName(_ stem: [UInt8]) -> [UInt8]? {
        var stem = stem
        let number = takeNumber(from: &stem)
        let units = Array(String(decoding: stem, as: UTF8.self).utf16)
        guard units.count == noteLength + 1 else { return nil }
        return Array(String(decoding: units[..<noteLength], as: UTF16.self).utf8) + number
    }

    /// Removes a number such as `(2)` and returns it.
    private static func takeNumber(from name: inout [UInt8]) -> [UInt8] {
        guard name.last == UInt8(ascii: ")"), let open = name.lastIndex(of: UInt8(ascii: "(")),
            name.count - open > 2, name[(open + 1)..<(name.count - 1)].allSatisfy(isDigit)
        else { return [] }
        defer { name.removeSubrange(open...) }
        return Array(name[open...])
    }

    // MARK: Variants

    /// Marks of edited pictures and of pictures that contain a film. Takeout writes them in the account's language.
    private static let marks = [
        "-edited", "-bearbeitet", "-modifi\u{e9}", "-modifie\u{301}", "-editado", "-editada", "-modificato",
        "-bewerkt",
        "-edytowane", "-redigerad", "-redigeret", "-\u{7de8}\u{96c6}\u{6e08}\u{307f}", "_edited", "-adjusted",
        "-edit",
        "_cover", ".mp",
    ]

    /// Returns the name without marks of variants, and whether the picture belongs to a burst.
    private static func withoutVariant(_ name: [UInt8]) -> (key: [UInt8], isBurst: Bool) {
        var key = name
        // A number distinguishes pictures of the same name. It stands behind the marks.
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
        // An iPhone names the edited copy of IMG_1234 IMG_E1234, and the sidecar IMG_O1234.
        if key.starts(with: "img_e".utf8) || key.starts(with: "img_o".utf8), key.count > 5, isDigit(key[5]) {
            key.remove(at: 4)
        }
        return (key + number, false)
    }

    /// Returns `pxl_20230102_030405678` of a Pixel's name, or nil for other names. The part after the millisecond says
    /// which file of the picture it is: `.RAW-01.COVER`, `.RAW-02.ORIGINAL`, `.PORTRAIT`, `.MP`, `~2`.
    private static func pixelName(_ name: [UInt8]) -> [UInt8]? {
        let form = "pxl_########_#########"
        guard name.count >= form.utf8.count,
            zip(name, form.utf8).allSatisfy({ $1 == UInt8(ascii: "#") ? isDigit($0) : $0 == $1 })
        else { return nil }
        let rest = name[form.utf8.count...]
        guard rest.isEmpty || ".~-_".utf8.contains(rest.first!) else { return nil }
        return Array(name[..<form.utf8.count])
    }

    /// Returns the part of a name that all pictures of one burst share. For
    /// `00003IMG_00003_BURST20190102030405678_COVER` (older Pixels) and `DSC_0001_BURST20190102030405678` (Sony), this
    /// is `BURST` with the digits after it. For `IMG_20190102_030405_BURST003`, this is the part before `_BURST`.
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
