// AssetGroup: decides which files of a folder make up one photo for its owner: a Live Photo's picture and film, a raw
// file and its JPEG, or the sidecar of any of these. Cameras and programs link such files by name alone, so only names
// count. `AssetName` derives a key from each name, and the files of one folder with the same key form a group.

import BakCore

/// Files that belong together.
public struct AssetGroup: Sendable {
    /// Their paths, in snapshot order.
    public var paths: [[UInt8]] = []
    fileprivate var roles: Set<AssetRole> = []
    fileprivate var isBurst = false
    /// For the pictures and films of this group with long names: the keys that Takeout gives its notes on them.
    fileprivate var starts: Set<[UInt8]> = []

    fileprivate mutating func add(_ path: [UInt8], _ asset: AssetName) {
        paths.append(path)
        roles.insert(asset.role)
        isBurst = isBurst || asset.isBurst
        if let start = asset.startOfLongName { starts.insert(start) }
    }

    /// True if there are several files, at least one of them a picture or film.
    fileprivate var isGroup: Bool { paths.count > 1 && roles.contains(where: \.isMedia) }

    /// The kind's name for users.
    public var kind: String {
        if isBurst { return "burst" }
        if roles.contains(.raw), roles.contains(.picture) { return "raw and picture" }
        if roles.contains(.film), roles.contains(.picture) { return "live photo" }
        if roles.contains(.takeout) { return "with Takeout notes" }
        return roles.contains(.sidecar) ? "with sidecar" : "variants"
    }
}

/// Finds the groups in a stream of files in snapshot order. Memory holds the names in the current folder and the
/// folders above it.
public struct AssetGrouper {
    private struct Folder {
        var path: [UInt8]
        var groups: [[UInt8]: AssetGroup] = [:]
        var keys: [[UInt8]] = []

        /// Moves each Takeout note with a truncated name to the group of the picture or film that the name fits, if it
        /// fits only one group.
        mutating func bringNotesHome() {
            var hosts: [[UInt8]: [[UInt8]]] = [:]
            for key in keys {
                for start in groups[key]?.starts ?? [] { hosts[start, default: []].append(key) }
            }
            for (start, hosts) in hosts where hosts.count == 1 && hosts[0] != start {
                guard let note = groups[start], note.roles == [.takeout] else { continue }
                groups[hosts[0]]?.paths += note.paths
                groups[hosts[0]]?.roles.insert(.takeout)
                groups[start] = nil
            }
        }
    }

    private var folders: [Folder] = []

    /// Starts outside of any folder.
    public init() {}

    /// Takes the next file; returns the groups of the folders that the stream has left.
    public mutating func add(_ path: [UInt8]) -> [AssetGroup] {
        let (folder, name) = PathOrder.split(path)
        var left: [AssetGroup] = []
        while let last = folders.last, !PathOrder.isAtOrBeneath(folder, last.path) { left += leave(last) }
        guard let asset = AssetName(name) else { return left }
        if folders.last?.path != folder { folders.append(Folder(path: folder)) }
        let last = folders.count - 1
        if folders[last].groups[asset.key] == nil { folders[last].keys.append(asset.key) }
        folders[last].groups[asset.key, default: AssetGroup()].add(path, asset)
        return left
    }

    /// Returns the groups of the folders that are still open.
    public mutating func finish() -> [AssetGroup] {
        var left: [AssetGroup] = []
        while let last = folders.last { left += leave(last) }
        return left
    }

    private mutating func leave(_ folder: Folder) -> [AssetGroup] {
        folders.removeLast()
        var folder = folder
        folder.bringNotesHome()
        return folder.keys.compactMap { folder.groups[$0] }.filter(\.isGroup)
    }
}

extension PathOrder {
    /// Splits a path into its folder and its name.
    static func split(_ path: [UInt8]) -> (folder: [UInt8], name: ArraySlice<UInt8>) {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return ([], path[...]) }
        return (Array(path[..<slash]), path[(slash + 1)...])
    }
}

/// The groups of the selected files, so that a restore can select the other files of each group. Only an eight-byte
/// hash is kept of each group. If two groups have the same hash, a restore selects too many files.
struct ChosenGroups: Sendable {
    private var keys: Set<Int> = []

    var isEmpty: Bool { keys.isEmpty }

    mutating func insert(_ path: [UInt8]) {
        let (folder, name) = PathOrder.split(path)
        guard let asset = AssetName(name) else { return }
        keys.insert(Self.key(folder, asset.key, .ofGroup))
        // A note with a truncated name and the media file with the long name select each other. Two media files whose
        // long names begin alike do not select each other.
        if let start = asset.startOfLongName { keys.insert(Self.key(folder, start, .ofMedia)) }
        if asset.role == .takeout { keys.insert(Self.key(folder, asset.key, .ofNote)) }
    }

    func contains(_ path: [UInt8]) -> Bool {
        if keys.isEmpty { return false }
        let (folder, name) = PathOrder.split(path)
        guard let asset = AssetName(name) else { return false }
        if keys.contains(Self.key(folder, asset.key, .ofGroup)) { return true }
        if asset.role == .takeout { return keys.contains(Self.key(folder, asset.key, .ofMedia)) }
        return asset.startOfLongName.map { keys.contains(Self.key(folder, $0, .ofNote)) } == true
    }

    private enum Purpose { case ofGroup, ofMedia, ofNote }

    private static func key(_ folder: [UInt8], _ key: [UInt8], _ purpose: Purpose) -> Int {
        var hasher = Hasher()
        hasher.combine(purpose)
        hasher.combine(folder)
        hasher.combine(key)
        return hasher.finalize()
    }
}
