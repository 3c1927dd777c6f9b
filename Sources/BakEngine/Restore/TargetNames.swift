// TargetNames: keeps what the restore knows of the folders above the current entry, so that two entries never get the
// same item of the target.
//
// Some file systems treat different names as the same: by case, by Unicode composition, by short names, or only in some
// folders. A restore does not ask the file system for its rules, because they can differ from folder to folder. Instead
// it notes a claim for each entry that it restores: the entry's name in its folder. If an item exists at the name of a
// new entry, the restore decides whether the item was in the folder before, or belongs to an earlier claim.
//
// A folder that the restore has made needs no such check. If a name is taken there, another entry took it, and the
// target reports this when the second entry comes.
//
// Several folders of the snapshot may be one folder at the target, because the file system treats their names as the
// same. The claims in that folder then include the claims from all of these folders of the snapshot.
//
// Memory grows with the folders above the current entry and the names in them, not with the files of the snapshot.

import BakCore
import BakStorage

/// The folders from the target down to the last entry.
struct TargetNames {
    /// A claim to a name: an entry that this restore has put, or has tried to put, into a folder.
    struct Claim: Equatable {
        var name: [UInt8]
        var type: FileType
        /// The folder that the entry has in the snapshot. Several folders of the snapshot may be one folder at the
        /// target. Nil means the current folder; otherwise this is an index into the homes of the current folder, the
        /// last element of `homes`.
        var home: Int?
        /// The claims whose names are alike (`Likeness`) are in one list. The target may treat some of these names as
        /// the same name. This is the index, in the list, of the first claim whose name the target treats as the same
        /// as this one.
        fileprivate var group = 0

        init(_ name: [UInt8], _ type: FileType, home: Int? = nil) {
            (self.name, self.type, self.home) = (name, type, home)
        }

        /// True if an item of type `found` may be this entry. If the entry is a file, the item may also be an older one
        /// that the file has not replaced yet.
        func mayBe(_ found: FileType) -> Bool {
            type == .regular ? found != .directory : found == type
        }
    }

    /// One of the folders above an entry.
    struct Folder {
        /// True if the folder was new or empty when the restore entered it.
        var isNew: Bool
        /// True if its earlier content is known.
        var isListed = true
        /// True if other folders of the snapshot are this same folder at the target, and it is unknown or too costly to
        /// note what they hold. Every item in the folder then counts as an item of another entry.
        var isForeign = false
        /// Hashes of the names that were in the folder when the restore entered it, and hashes of the names'
        /// likenesses.
        var names: Set<Int> = []
        var likenesses: Set<Int> = []
        /// The claims to names in this folder, by the likeness of the names.
        var claims: [Int: [Claim]] = [:]

        /// The claims of folders whose device and inode are known, by these numbers.
        fileprivate(set) var numbered: [InodeKey: [Claim]] = [:]

        /// Notes a claim that was made in another folder of the snapshot. That folder is the same as this one at the
        /// target.
        ///
        /// - Parameter number: device and inode of the claimed item, if it is a folder.
        mutating func add(_ claim: Claim, number: InodeKey?) {
            var claim = claim
            let key = Likeness.key(claim.name)
            let earlier = claims[key] ?? []
            claim.group = earlier.firstIndex { $0.name == claim.name } ?? earlier.count
            note(claim, key, number)
        }

        fileprivate mutating func note(_ claim: Claim, _ key: Int, _ number: InodeKey?) {
            claims[key, default: []].append(claim)
            if let number { numbered[number, default: []].append(claim) }
        }
    }

    /// A folder of the snapshot that is the same, at the target, as one of `folders`.
    private struct Home {
        var name: [UInt8]
        /// The folder of the snapshot that holds this one, as an index into the homes one level up. Nil if the folder
        /// one level up in `folders` holds this one.
        var above: Int?
    }

    private var folders = PathStack<Folder>()
    /// For each of `folders`, the other folders of the snapshot that are the same at the target.
    private var homes: [[Home]] = []

    /// Moves up to the folder that holds `path`, or else to the nearest known folder above it.
    mutating func move(to path: [UInt8]) {
        while !folders.path.isEmpty, folders.path == path || !folders.holds(path) {
            folders.pop()
            homes.removeLast()
        }
    }

    /// True if a folder is one of the folders above the last entry.
    func contains(_ path: [UInt8]) -> Bool { folders.contains(path) }

    /// Moves down into a folder of the current one.
    ///
    /// - Parameter others: the claims in the current folder that lead to the folder at `path`, too.
    mutating func enter(_ path: [UInt8], _ folder: Folder, with others: [Claim] = []) {
        folders.push(path, folder)
        homes.append(others.map { Home(name: $0.name, above: $0.home) })
    }

    /// The deepest folder, into which the next entry goes.
    var current: Folder? { folders.last }

    /// The length of the current folder's path.
    var currentPathBytes: Int { folders.path.count }

    /// Makes a folder from the names that it has now.
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

    /// Returns the path, beneath the target, of an entry that has a claim in the current folder.
    func path(of claim: Claim) -> [UInt8] {
        var names = [claim.name]
        var (home, level) = (claim.home, homes.count - 1)
        while let place = home {
            names.append(homes[level][place].name)
            (home, level) = (homes[level][place].above, level - 1)
        }
        // The target's folder is the first level and has no name. Each further level adds a name.
        let slash = UInt8(ascii: "/")
        let above = folders.path.split(separator: slash).prefix(level).map(Array.init)
        return Array((above + names.reversed()).joined(separator: [slash]))
    }

    /// Notes the claim of an entry to a name of the current folder. Returns nil if no other entry of this restore has
    /// the item at that name. Otherwise returns the claims of entries that may have the item. For a folder, these are
    /// all such claims; for any other item, only those under the first name that leads to the item. The array is empty
    /// if another entry has the item but it is unknown which.
    ///
    /// - Parameters:
    ///   - found: the type of the item at the name.
    ///   - number: device and inode of the folder that is there or was just made. A folder has the same numbers under
    ///     all of its names.
    ///   - target: asked if two entries have similar names.
    mutating func claim(
        _ name: [UInt8], _ type: FileType, finding found: FileType?, number: InodeKey? = nil,
        _ target: any RestoreTarget
    ) throws(TargetError) -> [Claim]? {
        let path = folders.path
        return try folders.update { folder throws(TargetError) in
            try Self.claim(Claim(name, type), in: path, &folder, finding: found, number, target)
        } ?? nil
    }

    private static func claim(
        _ claim: Claim, in path: [UInt8], _ folder: inout Folder, finding found: FileType?,
        _ number: InodeKey?, _ target: any RestoreTarget
    ) throws(TargetError) -> [Claim]? {
        if folder.isForeign { return found == nil ? nil : [] }
        let key = Likeness.key(claim.name)
        let earlier = folder.claims[key] ?? []
        var claim = claim
        claim.group = earlier.count
        var met: [Claim] = []
        var isToldApart = false
        if let found {
            for (place, other) in earlier.enumerated() where other.group == place {
                let group = earlier.filter { $0.group == place && $0.mayBe(found) }
                if group.isEmpty { continue }
                guard try areOne(other.name, claim.name, in: path, folder, target) else {
                    isToldApart = true
                    continue
                }
                claim.group = min(claim.group, place)
                met += group
                if found != .directory { break }
            }
        }
        if let number { met += (folder.numbered[number] ?? []).filter { !met.contains($0) } }
        folder.note(claim, key, number)
        guard found != nil, met.isEmpty else { return met.isEmpty ? nil : met }
        // If neither this name nor a similar one was in the folder before, this restore made the item, under another
        // name that the file system treats as the same.
        let isOlder =
            !folder.isListed || folder.names.contains(hash(claim.name)) || folder.likenesses.contains(key)
        return isOlder || isToldApart ? nil : []
    }

    /// True if the target treats two names as the same. The second name leads to an item.
    private static func areOne(
        _ one: [UInt8], _ other: [UInt8], in path: [UInt8], _ folder: Folder, _ target: any RestoreTarget
    ) throws(TargetError) -> Bool {
        if one == other { return true }
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
