// RestoreSelection: the entries that a restore wants from a snapshot, in the order of the manifest, each with its path
// at the target. All passes of a restore over the manifest use this type, so they all see the same entries.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// The entries that a restore wants.
public struct RestoreSelection {
    /// A wanted record of the manifest: an entry, or further extents of the entry before it.
    struct Item {
        var record: ManifestRecord
        /// The entry's path beneath the target; empty for the folder whose content goes directly into the target.
        var path: [UInt8]
        var decision: RestoreDecision
        /// Notes on those privileges that the restore does not give to the entry.
        var withheld: [MetadataNote] = []
    }

    let repository: Repository
    let index: BlobIndex
    let request: RestoreRequest
    let filter: RestoreFilter

    /// Describes the entries at or beneath the request's path that the filter does not exclude.
    public init(
        _ request: RestoreRequest, _ filter: RestoreFilter, repository: Repository, index: BlobIndex
    ) {
        (self.request, self.filter, self.repository, self.index) = (request, filter, repository, index)
    }

    /// Passes every wanted record to `body` until it returns false.
    ///
    /// - Parameters:
    ///   - start: a path at or beneath the request's; entries before it are left out.
    ///   - onDamage: called when a part of the manifest cannot be read, with the path where it begins and the reason.
    func forEach(
        from start: [UInt8]? = nil, onDamage: ([UInt8], String) -> Void = { _, _ in },
        _ body: (Item) throws -> Bool
    ) throws {
        let reader = try ManifestReader(
            request.snapshot, repository: repository, index: index, from: start ?? request.subpath)
        var filter = self.filter
        var excluded: [UInt8]?
        var last: Item?
        var stripped = request.subpath.count + (request.subpath.isEmpty ? 0 : 1)
        while let record = try next(of: reader, onDamage) {
            guard case .entry(var entry) = record else {
                last?.record = record
                if let last, try !body(last) { return }
                continue
            }
            last = nil
            if let start, PathOrder.precedes(entry.path, start) { continue }
            if request.leavesOutGone, entry.goneSince != nil { continue }
            guard PathOrder.isAtOrBeneath(entry.path, request.subpath) else {
                if PathOrder.precedes(request.subpath, entry.path) { return }
                continue
            }
            if let folder = excluded, PathOrder.isAtOrBeneath(entry.path, folder) { continue }
            excluded = nil
            let isFolder = entry.stat.type == .directory
            var decision = filter.decide(entry.path, isFolder: isFolder).decision
            if entry.path == request.subpath {
                // The wanted folder is the target itself; a wanted file keeps its name.
                if isFolder {
                    decision = .onlyAsAncestor
                } else {
                    stripped = (entry.path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1
                    decision = .include
                }
            }
            if decision == .exclude {
                excluded = entry.path
                continue
            }
            // Only a folder may have an empty path, which means the target itself.
            let path = Array(entry.path.dropFirst(stripped))
            guard !path.isEmpty || isFolder else { continue }
            let withheld = request.isPrivileged ? [] : entry.withholdPrivileges()
            let item = Item(
                record: withheld.isEmpty ? record : .entry(entry), path: path, decision: decision,
                withheld: withheld)
            last = item
            if try !body(item) { return }
        }
    }

    private func next(
        of reader: ManifestReader, _ onDamage: ([UInt8], String) -> Void
    ) throws -> ManifestRecord? {
        while true {
            do {
                return try reader.next()
            } catch let error where error is CorruptionError || error is MissingBlobError {
                onDamage(reader.skipSegment(), "\(error)")
            }
        }
    }

    /// Returns the names of the entries that a restore puts directly into a folder. Device files that the restore
    /// leaves out are not among them. Returns nil if a part of the manifest cannot be read.
    ///
    /// - Parameters:
    ///   - folder: the folder's path in the snapshot.
    ///   - stop: polled; once it is requested, the result is nil.
    func entries(
        in folder: [UInt8], stop: StopSignal
    ) throws -> [(name: [UInt8], type: FileType)]? {
        var found: [(name: [UInt8], type: FileType)] = []
        var isKnown = true
        var next: [UInt8]? = folder
        while let start = next, isKnown {
            next = nil
            var passed = 0
            try forEach(from: start, onDamage: { _, _ in isKnown = false }) { item in
                guard !stop.isRequested, isKnown else {
                    isKnown = false
                    return false
                }
                guard case .entry(let entry) = item.record, entry.path != folder else { return true }
                guard PathOrder.isAtOrBeneath(entry.path, folder) else {
                    return PathOrder.precedes(entry.path, folder)
                }
                let name = Array(entry.path[(folder.count + 1)...].prefix { $0 != UInt8(ascii: "/") })
                let child = folder.count + 1 + name.count
                if entry.path.count == child {
                    // A folder that is wanted only for its content is added with the first wanted entry in it.
                    if item.decision == .include, request.reasonToLeaveOut(entry) == nil {
                        found.append((name, entry.stat.type))
                    }
                    return true
                }
                if found.last?.name != name {
                    if item.decision == .include { found.append((name, .directory)) }
                    return true
                }
                passed += 1
                guard passed > Self.mostPassed else { return true }
                // The first possible path after everything beneath the child.
                next = entry.path[..<child] + [1]
                return false
            }
        }
        return isKnown ? found : nil
    }

    /// After this many entries beneath one child, `entries` stops reading and opens the manifest again behind the
    /// child. So it does not read everything beneath a large folder.
    private static let mostPassed = 4096

    /// The snapshot.
    public var snapshot: CommitRecord { request.snapshot }

    // MARK: Without a match

    /// Returns the parts of the request that match nothing in the snapshot. Returns nil if all match, or if a part of
    /// the manifest cannot be read, because the match may be there. Reads the manifest until each part has a match.
    ///
    /// - Throws: `MissingBlobError` or `CorruptionError` if the manifest's root cannot be read, and `StoreError`.
    public func unmatched() throws -> RestoreMiss? {
        var includes = filter.includesToMatch
        var isFound = false
        var isAnyWanted = false
        var isKnown = true
        try forEach(onDamage: { _, _ in isKnown = false }) { item in
            guard case .entry(let entry) = item.record else { return true }
            isFound = true
            // A folder that is itself wanted counts, even if it is empty.
            if item.decision == .include || filter.isEmpty { isAnyWanted = true }
            let isFolder = entry.stat.type == .directory
            includes.removeAll { $0.matches(entry.path, isFolder: isFolder) }
            return !(isAnyWanted && includes.isEmpty)
        }
        guard isKnown else { return nil }
        if !isFound, !request.subpath.isEmpty {
            return RestoreMiss(path: request.subpath, patterns: [], isLeftOut: try isThere([]))
        }
        if isAnyWanted && includes.isEmpty { return nil }
        var miss = RestoreMiss(patterns: includes.map(\.text), isEverything: !isAnyWanted)
        miss.isLeftOut = try !includes.isEmpty && isThere(includes)
        return miss
    }

    /// True if the snapshot has the request's path and, at or beneath it, a match for each of these patterns, even one
    /// that the request leaves out.
    private func isThere(_ patterns: [PathPattern]) throws -> Bool {
        var patterns = patterns
        var isFound = false
        let all = RestoreSelection(
            RestoreRequest(snapshot: request.snapshot, subpath: request.subpath), RestoreFilter(),
            repository: repository, index: index)
        try all.forEach { item in
            guard case .entry(let entry) = item.record else { return true }
            isFound = true
            patterns.removeAll { $0.matches(entry.path, isFolder: entry.stat.type == .directory) }
            return !patterns.isEmpty
        }
        return isFound && patterns.isEmpty
    }

    /// Returns paths of the snapshot that the user may have meant.
    ///
    /// - Throws: The same as `unmatched`.
    public func nearest(to miss: RestoreMiss) throws -> [[UInt8]] {
        if miss.isLeftOut { return [] }
        return try Self.nearest(
            to: [miss.path].compactMap { $0 } + miss.patterns, in: request.snapshot, repository, index)
    }

    /// Returns paths of a snapshot that end with a requested text, or differ from it only in case or Unicode
    /// composition. First searches the snapshot's own paths, those that the user gave to the backup, and returns up to
    /// three of them. If none matches, searches the entries and returns the first that does.
    ///
    /// - Throws: `MissingBlobError` or `CorruptionError` if the manifest's root cannot be read, and `StoreError`.
    public static func nearest(
        to texts: [[UInt8]], in snapshot: CommitRecord, _ repository: Repository, _ index: BlobIndex
    ) throws -> [[UInt8]] {
        let likenesses = texts.map(Likeness.init)
        func isNear(_ path: [UInt8]) -> Bool { likenesses.contains { $0.matches(path) } }
        let roots = snapshot.paths.filter(isNear)
        guard roots.isEmpty else { return Array(roots.prefix(3)) }
        let all = RestoreSelection(
            RestoreRequest(snapshot: snapshot), RestoreFilter(), repository: repository, index: index)
        var found: [[UInt8]] = []
        try all.forEach { item in
            if case .entry(let entry) = item.record, isNear(entry.path) { found = [entry.path] }
            return found.isEmpty
        }
        return found
    }
}

/// The parts of a request that match nothing.
public struct RestoreMiss: Sendable, Equatable {
    /// The requested path, if the snapshot does not have it.
    public var path: [UInt8]?
    /// The patterns that match nothing.
    public var patterns: [[UInt8]]
    /// True if the request selects no entry at all.
    public var isEverything = true
    /// True if the snapshot has a match for each of these parts, but another part of the request leaves the match out.
    public var isLeftOut = false
}

/// How much a restore has to write.
struct RestoreNeed: Equatable {
    /// Number of regular files that would be written, including further names.
    var files: UInt64 = 0
    /// The sizes of these files without further names, in bytes.
    var bytes: UInt64 = 0
    /// Their content without holes and further names, in bytes.
    var content: UInt64 = 0
    /// Bytes that are freed when existing files are replaced.
    var freed: UInt64 = 0

    /// Returns how many bytes the target lacks if it has `free` bytes.
    func missing(of free: UInt64) -> UInt64 {
        let needed = content > freed ? content - freed : 0
        return needed > free ? needed - free : 0
    }
}

extension RestoreSelection {
    /// Returns how many bytes more than `free` the restore needs; nil if there is enough space. Holes and further names
    /// need no space, and replaced files free some.
    ///
    /// - Parameter existing: the target, if it exists already.
    /// - Throws: `MissingBlobError` or `CorruptionError` if the manifest's root cannot be read, and `StoreError`.
    public func missingRoom(of free: UInt64, over existing: (any RestoreTarget)?) throws -> UInt64? {
        // If the whole snapshot fits, the restore fits, too. Only if it does not, count the files of the restore.
        guard snapshot.counters.bytes > free else { return nil }
        let need = try need { entry, path in
            guard let found = try? existing?.stat(path) else { return nil }
            let reason = request.overwrite.reasonToKeep(found, against: entry.stat) {
                $0.cut(like: found.mtime)
            }
            return (found, reason != nil)
        }
        let missing = need.missing(of: free)
        return missing > 0 ? missing : nil
    }

    /// Adds up what has to be written. `existing` returns the item at an entry's path and whether it stays, or nil if
    /// there is none.
    func need(
        existing: (ManifestEntry, [UInt8]) -> (found: FileStat, isKept: Bool)? = { _, _ in nil }
    ) throws -> RestoreNeed {
        var need = RestoreNeed()
        var seen: Set<LinkKey> = []
        var isCounted = false
        func add(_ extents: [Extent]) {
            for case .chunk(let reference) in extents { need.content.add(UInt64(reference.length)) }
        }
        try forEach { item in
            switch item.record {
            case .continuation(let extents): if isCounted { add(extents) }
            case .entry(let entry):
                isCounted = false
                guard entry.stat.type == .regular else { break }
                if let (found, isKept) = existing(entry, item.path) {
                    if isKept { break }
                    if found.type == .regular, found.linkCount == 1 {
                        need.freed.add(min(found.size, found.allocatedBytes))
                    }
                }
                need.files += 1
                if entry.stat.linkCount > 1, !seen.insert(LinkKey(entry)).inserted { break }
                isCounted = true
                need.bytes.add(entry.stat.size)
                switch entry.content {
                case .inline(let bytes): need.content.add(UInt64(bytes.count))
                case .extents(let extents): add(extents)
                case nil: break
                }
            }
            return true
        }
        return need
    }
}

/// Identifies one file in one state. A restore links two names only if their keys are equal. The inode number alone is
/// not enough: the file may have changed after the backup read its first name and before it read the next, and some
/// media give two files the same inode number.
struct LinkKey: Hashable {
    private var inode: InodeKey
    private var size: UInt64
    private var mtime: Timestamp
    private var ctime: Timestamp
    /// A hash of the content in the entry's own record, without further extents.
    private var content: Int

    init(_ entry: ManifestEntry) {
        let stat = entry.stat
        content = entry.content.hashValue
        inode = InodeKey(device: stat.device, inode: stat.inode)
        (size, mtime, ctime) = (stat.size, stat.mtime, stat.ctime)
    }
}
