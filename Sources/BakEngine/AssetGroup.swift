// AssetGroup: which files of a folder are one photo to the person who took it: a Live Photo's picture and film, a raw
// picture and its JPEG, the notes that programs keep beside either. Cameras and programs say so by names alone, so names
// are all that is looked at: files of one folder with one key belong together.

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
}

/// A file's name as a part of a group.
public struct AssetName: Hashable, Sendable {
    /// The same for all files of a group, in one folder.
    public let key: [UInt8]
    /// What the file is to the group.
    public let role: AssetRole

    /// Reads a file's name; nil when it is no part of any group.
    public init?(_ name: some Sequence<UInt8>) {
        var key = name.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }
        guard let ending = Self.takeEnding(from: &key), let role = Self.roles[ending] else { return nil }
        self.role = role
        if role == .takeout { Self.takeTakeoutEnding(from: &key) }
        if role == .takeout || role == .sidecar {
            // Both may follow the whole name of the file that they belong to; a Takeout note always does.
            var inner = key
            if let ending = Self.takeEnding(from: &inner), let media = Self.roles[ending], media.isMedia {
                key = inner
            } else if role == .takeout {
                return nil
            }
        }
        self.key = Self.withoutVariant(key)
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

    /// `photo.jpg.supplemental-metadata(2)`, of which long names keep only a part, to `photo(2).jpg`.
    private static func takeTakeoutEnding(from name: inout [UInt8]) {
        let number = takeNumber(from: &name)
        if let dot = name.lastIndex(of: UInt8(ascii: ".")),
            "supplemental-metadata".utf8.starts(with: name[(dot + 1)...])
        {
            name.removeSubrange(dot...)
        }
        guard !number.isEmpty, let dot = name.lastIndex(of: UInt8(ascii: ".")) else { return name += number }
        name.insert(contentsOf: number, at: dot)
    }

    /// Takes off `(2)` and the like.
    private static func takeNumber(from name: inout [UInt8]) -> [UInt8] {
        guard name.last == UInt8(ascii: ")"), let open = name.lastIndex(of: UInt8(ascii: "(")),
            name.count - open > 2,
            name[(open + 1)..<(name.count - 1)].allSatisfy({ (0x30...0x39).contains($0) })
        else { return [] }
        defer { name.removeSubrange(open...) }
        return Array(name[open...])
    }

    /// The name of what was photographed: without the marks of edits and of pictures with a film inside.
    private static func withoutVariant(_ key: [UInt8]) -> [UInt8] {
        var key = key
        for mark in ["-edited", ".mp", "_cover", ".mp~2", "~2"] where key.hasSuffix(mark) {
            key.removeLast(mark.utf8.count)
            break
        }
        // An iPhone's edited copy of IMG_1234 is IMG_E1234, and its notes are IMG_O1234.
        if key.starts(with: "img_e".utf8) || key.starts(with: "img_o".utf8), key.count > 5,
            (0x30...0x39).contains(key[5])
        {
            key.remove(at: 4)
        }
        return key
    }
}

extension AssetRole {
    fileprivate var isMedia: Bool { self == .picture || self == .raw || self == .film }
}

extension [UInt8] {
    fileprivate func hasSuffix(_ text: String) -> Bool {
        count > text.utf8.count && suffix(text.utf8.count).elementsEqual(text.utf8)
    }
}

/// Files that belong together.
public struct AssetGroup: Sendable {
    /// Their paths, in the order of the snapshot.
    public var paths: [[UInt8]] = []
    fileprivate var roles: Set<AssetRole> = []

    /// Whether there is something to belong to.
    fileprivate var isGroup: Bool { paths.count > 1 && roles.contains(where: \.isMedia) }

    /// What people call it.
    public var kind: String {
        if roles.contains(.raw), roles.contains(.picture) { return "raw and picture" }
        if roles.contains(.film), roles.contains(.picture) { return "live photo" }
        if roles.contains(.takeout) { return "with Takeout notes" }
        return roles.contains(.sidecar) ? "with sidecar" : "variants"
    }
}

/// Finds the groups in a stream of files in the order of a snapshot. Holds the names of the folders around its place.
public struct AssetGrouper {
    private struct Folder {
        var path: [UInt8]
        var groups: [[UInt8]: AssetGroup] = [:]
        var keys: [[UInt8]] = []
    }

    private var folders: [Folder] = []

    /// Starts outside of any folder.
    public init() {}

    /// Takes the next file; returns the groups of the folders that were left with it.
    public mutating func add(_ path: [UInt8]) -> [AssetGroup] {
        let (folder, name) = PathOrder.split(path)
        var left: [AssetGroup] = []
        while let last = folders.last, !PathOrder.isAtOrBeneath(folder, last.path) { left += leave(last) }
        guard let asset = AssetName(name) else { return left }
        if folders.last?.path != folder { folders.append(Folder(path: folder)) }
        let last = folders.count - 1
        if folders[last].groups[asset.key] == nil { folders[last].keys.append(asset.key) }
        folders[last].groups[asset.key, default: AssetGroup()].paths.append(path)
        folders[last].groups[asset.key]?.roles.insert(asset.role)
        return left
    }

    /// The groups of the folders that are still open.
    public mutating func finish() -> [AssetGroup] {
        var left: [AssetGroup] = []
        while let last = folders.last { left += leave(last) }
        return left
    }

    private mutating func leave(_ folder: Folder) -> [AssetGroup] {
        folders.removeLast()
        return folder.keys.compactMap { folder.groups[$0] }.filter(\.isGroup)
    }
}

extension PathOrder {
    /// A path's folder and its name there.
    static func split(_ path: [UInt8]) -> (folder: [UInt8], name: ArraySlice<UInt8>) {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return ([], path[...]) }
        return (Array(path[..<slash]), path[(slash + 1)...])
    }
}

/// The groups of the files that were chosen, so that the others of each can be chosen as well. A key takes eight bytes;
/// two that share them only choose a file too many.
struct ChosenGroups: Sendable {
    private var keys: Set<Int> = []

    var isEmpty: Bool { keys.isEmpty }

    mutating func insert(_ path: [UInt8]) {
        if let key = Self.key(path) { keys.insert(key) }
    }

    func contains(_ path: [UInt8]) -> Bool { !keys.isEmpty && Self.key(path).map(keys.contains) == true }

    private static func key(_ path: [UInt8]) -> Int? {
        let (folder, name) = PathOrder.split(path)
        guard let asset = AssetName(name) else { return nil }
        var hasher = Hasher()
        hasher.combine(folder)
        hasher.combine(asset.key)
        return hasher.finalize()
    }
}
