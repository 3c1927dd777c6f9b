// TargetNames: what is known of the folders on the way to the entry that is being restored, so that two entries never
// meet at one name of the target.
//
// Some file systems take two names for one: by case, by composition of letters, by short names, in some folders only.
// So nothing is asked of the file system; each name that leads to something is checked against what stood in its folder
// before and what this restore has put there. A folder that this restore has made needs none of it: a name that is
// taken there was taken by an entry, and the target says so when the second one comes. Memory grows with the folders
// on the way, not with the files of the snapshot.

import BakCore
import BakStorage

/// The folders from the target to the last entry.
struct TargetNames {
    /// One of them.
    struct Folder {
        /// Whether nothing stood in it before: it is new, or was empty.
        var isNew: Bool
        /// Whether it is known what stood in it.
        var isListed = true
        /// Whether another entry's folder is the same one: whatever stands in it is that one's.
        var isShared = false
        /// What stood in it before: hashes of the names, and of what is alike in them.
        var names: Set<Int> = []
        var likenesses: Set<Int> = []
        /// The entries that this restore was to put there, by what is alike in their names.
        var claims: [Int: [[UInt8]]] = [:]
    }

    private var folders = PathStack<Folder>()

    /// Goes up to the folder that holds `path`, as far as it is known.
    mutating func move(to path: [UInt8]) {
        while !folders.path.isEmpty, folders.path == path || !folders.holds(path) { folders.pop() }
    }

    /// Whether a folder is on the way.
    func contains(_ path: [UInt8]) -> Bool { folders.contains(path) }

    /// Goes down into a folder.
    mutating func enter(_ path: [UInt8], _ folder: Folder) { folders.push(path, folder) }

    /// The folder that the entry at `path` goes into.
    var current: Folder? { folders.last }

    /// The length of that folder's path.
    var currentPathBytes: Int { folders.path.count }

    /// What a folder is known by, from the names in it.
    static func folder(holding names: [[UInt8]]) -> Folder {
        var folder = Folder(isNew: names.isEmpty)
        for name in names {
            folder.names.insert(hash(name))
            folder.likenesses.insert(Likeness.key(name))
        }
        return folder
    }

    private static func hash(_ name: some Sequence<UInt8>) -> Int {
        var hasher = Hasher()
        for byte in name { hasher.combine(byte) }
        return hasher.finalize()
    }

    /// Notes that an entry goes to a name of the current folder. Returns the entry that has it already, where something
    /// stands at the name: an empty array for one that is not known by name.
    ///
    /// - Parameters:
    ///   - isThere: whether something stands there.
    ///   - target: asked where two entries have names that are alike.
    mutating func claim(
        _ name: [UInt8], isThere: Bool, _ target: any RestoreTarget
    ) throws(TargetError) -> [UInt8]? {
        let path = folders.path
        return try folders.update { folder throws(TargetError) in
            try Self.claim(name, in: path, &folder, isThere: isThere, target)
        } ?? nil
    }

    private static func claim(
        _ name: [UInt8], in path: [UInt8], _ folder: inout Folder, isThere: Bool, _ target: any RestoreTarget
    ) throws(TargetError) -> [UInt8]? {
        if folder.isShared { return isThere ? [] : nil }
        let key = Likeness.key(name)
        let earlier = folder.claims[key] ?? []
        folder.claims[key, default: []].append(name)
        guard isThere else { return nil }
        for other in earlier where try areOne(other, name, in: path, folder, target) { return other }
        // Under no such name did anything stand here before: it is of this restore, by a way of the file system's own.
        let isOlder =
            !folder.isListed || folder.names.contains(hash(name)) || folder.likenesses.contains(key)
        return isOlder || !earlier.isEmpty ? nil : []
    }

    /// Whether the target takes two names for one, of which the second leads to something.
    private static func areOne(
        _ one: [UInt8], _ other: [UInt8], in path: [UInt8], _ folder: Folder, _ target: any RestoreTarget
    ) throws(TargetError) -> Bool {
        if folder.names.contains(hash(one)), folder.names.contains(hash(other)) { return false }
        guard try target.stat(PathOrder.join(path, one)) != nil else { return false }
        var found = (one: false, other: false)
        try target.list(path, sweeping: false) { name in
            if name.elementsEqual(one) { found.one = true }
            if name.elementsEqual(other) { found.other = true }
        }
        return !(found.one && found.other)
    }
}
