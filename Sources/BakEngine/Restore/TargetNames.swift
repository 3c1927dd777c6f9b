// TargetNames: what is known of the folders above the entry that is being restored, so that two entries never meet at
// one name of the target.
//
// Some file systems treat different names as the same: by case, by Unicode composition, by short names, or only in some
// folders. So a restore never asks the file system for its rules. If a name leads to something, the restore checks it
// against the names that were in the folder before and those that it has put there itself. A folder that the restore
// has made needs no check: if a name is taken there, an entry took it, and the target reports that when the second
// entry comes. A folder that is the same as other entries' folders begins with the claims of their entries.
//
// Memory grows with the folders above the entry, not with the files of the snapshot.

import BakCore
import BakStorage

/// The folders from the target down to the last entry.
struct TargetNames {
    /// An entry that this restore puts, or fails to put, into a folder.
    struct Claim: Equatable {
        var name: [UInt8]
        var type: FileType
        /// The entry's folder, as an index into the other folders that are the same as the current one; nil for the
        /// current one itself.
        var home: Int?
        /// The index of the first claim, among those with similar names, that the target takes for the same name.
        fileprivate var group = 0

        init(_ name: [UInt8], _ type: FileType, home: Int? = nil) {
            (self.name, self.type, self.home) = (name, type, home)
        }

        /// True if the item at the name may be this entry, or may become it: a file may not have arrived yet.
        func mayBe(_ found: FileType) -> Bool {
            type == .regular ? found != .directory : found == type
        }
    }

    /// One of the folders above an entry.
    struct Folder {
        /// True if nothing was in it before: it is new, or was empty.
        var isNew: Bool
        /// True if its earlier content is known.
        var isListed = true
        /// True if it is the same as folders of other entries that are not known. Everything in it is theirs.
        var isForeign = false
        /// Hashes of the names that were in it before, and hashes of the names' likenesses.
        var names: Set<Int> = []
        var likenesses: Set<Int> = []
        /// The entries that this restore was to put there, by the likeness of their names.
        var claims: [Int: [Claim]] = [:]

        /// The folders among these by device and inode, as far as these numbers are known.
        fileprivate(set) var numbered: [InodeKey: [Claim]] = [:]

        /// Notes an entry of another folder that is the same as this one.
        ///
        /// - Parameter number: device and inode of the folder that the entry names, if it is one.
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

    /// Another entry's folder that is the same as one of `folders`.
    private struct Home {
        var name: [UInt8]
        /// The folder that holds it, as an index into the homes of the folder above; nil for the folder above itself.
        var above: Int?
    }

    private var folders = PathStack<Folder>()
    /// For each of the folders, the other folders that are the same.
    private var homes: [[Home]] = []

    /// Moves up to the folder that holds `path`, or else to the nearest known folder above it.
    mutating func move(to path: [UInt8]) {
        while !folders.path.isEmpty, folders.path == path || !folders.holds(path) {
            folders.pop()
            homes.removeLast()
        }
    }

    /// True if a folder is one of those above the last entry.
    func contains(_ path: [UInt8]) -> Bool { folders.contains(path) }

    /// Moves down into a folder of the current one.
    ///
    /// - Parameter others: the current folder's claims that lead to the same folder.
    mutating func enter(_ path: [UInt8], _ folder: Folder, with others: [Claim] = []) {
        folders.push(path, folder)
        homes.append(others.map { Home(name: $0.name, above: $0.home) })
    }

    /// The folder that the next entry goes into.
    var current: Folder? { folders.last }

    /// The length of the current folder's path.
    var currentPathBytes: Int { folders.path.count }

    /// Makes a folder from the names in it.
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

    /// Notes that an entry goes to a name of the current folder. Returns nil unless another entry of this restore has
    /// that name already. Otherwise returns one such file, or all such folders; the array is empty if they are not
    /// known.
    ///
    /// - Parameters:
    ///   - found: the type of the item at the name.
    ///   - number: device and inode of the folder that is there or was just made. They are the same under all of its
    ///     names.
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
        // No such name was here before, so this restore made the item under another name that the file system maps to
        // it.
        let isOlder =
            !folder.isListed || folder.names.contains(hash(claim.name)) || folder.likenesses.contains(key)
        return isOlder || isToldApart ? nil : []
    }

    /// True if the target takes two names for the same. The second leads to something.
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
