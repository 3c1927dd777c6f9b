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
        var path: [UInt8]
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

    private(set) var folders: [Folder] = []

    /// Goes up to the folder that holds `path`, as far as it is known.
    mutating func move(to path: [UInt8]) {
        while let last = folders.last, !last.path.isEmpty,
            last.path == path || !PathOrder.isAtOrBeneath(path, last.path)
        { folders.removeLast() }
    }

    /// Whether a folder is on the way.
    func contains(_ path: [UInt8]) -> Bool { folders.contains { $0.path == path } }

    /// Goes down into a folder.
    mutating func enter(_ folder: Folder) { folders.append(folder) }

    /// The folder that the entry at `path` goes into.
    var current: Folder? { folders.last }

    /// What a folder is known by, from the names in it.
    static func folder(_ path: [UInt8], holding names: [[UInt8]]) -> Folder {
        var folder = Folder(path: path, isNew: names.isEmpty)
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
        guard var folder = folders.popLast() else { return nil }
        defer { folders.append(folder) }
        if folder.isShared { return isThere ? [] : nil }
        let key = Likeness.key(name)
        let earlier = folder.claims[key] ?? []
        folder.claims[key] = earlier + [name]
        guard isThere else { return nil }
        for other in earlier where try areOne(other, name, in: folder, target) { return other }
        // Under no such name did anything stand here before: it is of this restore, by a way of the file system's own.
        let isOlder =
            !folder.isListed || folder.names.contains(Self.hash(name)) || folder.likenesses.contains(key)
        return isOlder || !earlier.isEmpty ? nil : []
    }

    /// Whether the target takes two names for one, of which the second leads to something.
    private func areOne(
        _ one: [UInt8], _ other: [UInt8], in folder: Folder, _ target: any RestoreTarget
    ) throws(TargetError) -> Bool {
        if folder.names.contains(Self.hash(one)), folder.names.contains(Self.hash(other)) { return false }
        guard try target.stat(PathOrder.join(folder.path, one)) != nil else { return false }
        var found = (one: false, other: false)
        try target.list(folder.path, sweeping: false) { name in
            if name.elementsEqual(one) { found.one = true }
            if name.elementsEqual(other) { found.other = true }
        }
        return !(found.one && found.other)
    }
}
