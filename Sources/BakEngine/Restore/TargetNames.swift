// TargetNames: what is known of the folders on the way to the entry that is being restored, so that two entries never
// meet at one name of the target.
//
// Some file systems take two names for one: by case, by composition of letters, by short names, in some folders only.
// So nothing is asked of the file system; each name that leads to something is checked against what stood in its folder
// before and what this restore has put there. A folder that this restore has made needs none of it: a name that is
// taken there was taken by an entry, and the target says so when the second one comes. A folder that is one with those
// of other entries begins with the claims of what is in these. Memory grows with the folders on the way, not with the
// files of the snapshot.

import BakCore
import BakStorage

/// The folders from the target to the last entry.
struct TargetNames {
    /// An entry that this restore was to put into a folder.
    struct Claim: Equatable {
        var name: [UInt8]
        var type: FileType
        /// The entry's folder among the others that are one with the current one; nil for the current one itself.
        var home: Int?
        /// The first of the claims, among those with alike names, that the target takes for the same name.
        fileprivate var group = 0

        init(_ name: [UInt8], _ type: FileType, home: Int? = nil) {
            (self.name, self.type, self.home) = (name, type, home)
        }

        /// True if what stands at the name may be this entry, or may become it: a file may still be on its way.
        func mayBe(_ found: FileType) -> Bool {
            type == .regular ? found != .directory : found == type
        }
    }

    /// One of the folders.
    struct Folder {
        /// True if nothing stood in it before: it is new, or was empty.
        var isNew: Bool
        /// True if it is known what stood in it.
        var isListed = true
        /// True if it is one with folders of other entries, and not known of which: what stands in it is theirs.
        var isForeign = false
        /// What stood in it before: hashes of the names, and of what is alike in them.
        var names: Set<Int> = []
        var likenesses: Set<Int> = []
        /// The entries that this restore was to put there, by what is alike in their names.
        var claims: [Int: [Claim]] = [:]

        /// The folders among them by their numbers, as far as these are known.
        fileprivate(set) var numbered: [InodeKey: [Claim]] = [:]

        /// Notes that an entry of another folder, which is one with this one, goes into it.
        ///
        /// - Parameter number: the number of the folder that it is.
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

    /// The folder of another entry that is one with a folder on the way.
    private struct Home {
        var name: [UInt8]
        /// What it lies in, among the others that are one with the folder above; nil for the folder above itself.
        var above: Int?
    }

    private var folders = PathStack<Folder>()
    /// For each of the folders the others that are one with it.
    private var homes: [[Home]] = []

    /// Goes up to the folder that holds `path`, as far as it is known.
    mutating func move(to path: [UInt8]) {
        while !folders.path.isEmpty, folders.path == path || !folders.holds(path) {
            folders.pop()
            homes.removeLast()
        }
    }

    /// Whether a folder is on the way.
    func contains(_ path: [UInt8]) -> Bool { folders.contains(path) }

    /// Goes down into a folder of the current one.
    ///
    /// - Parameter others: the entries of the current folder whose folder is the same one.
    mutating func enter(_ path: [UInt8], _ folder: Folder, with others: [Claim] = []) {
        folders.push(path, folder)
        homes.append(others.map { Home(name: $0.name, above: $0.home) })
    }

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

    /// The path, beneath the target, of an entry that has a claim in the current folder.
    func path(of claim: Claim) -> [UInt8] {
        var names = [claim.name]
        var (home, level) = (claim.home, homes.count - 1)
        while let place = home {
            names.append(homes[level][place].name)
            (home, level) = (homes[level][place].above, level - 1)
        }
        // The target's folder is the first level; each other one has a name more than the one before.
        let slash = UInt8(ascii: "/")
        let above = folders.path.split(separator: slash).prefix(level).map(Array.init)
        return Array((above + names.reversed()).joined(separator: [slash]))
    }

    /// Notes that an entry goes to a name of the current folder. Returns the entries that have it already, if something
    /// stands at the name: an empty array for ones that are not known. Of files it names one, and of folders each.
    ///
    /// - Parameters:
    ///   - found: what stands there.
    ///   - number: the number of the folder that stands there or has just been made. A folder that has several names
    ///     has one number.
    ///   - target: asked where two entries have names that are alike.
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
        // Under no such name did anything stand here before: it is of this restore, by a way of the file system's own.
        let isOlder =
            !folder.isListed || folder.names.contains(hash(claim.name)) || folder.likenesses.contains(key)
        return isOlder || isToldApart ? nil : []
    }

    /// Whether the target takes two names for one, of which the second leads to something.
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
