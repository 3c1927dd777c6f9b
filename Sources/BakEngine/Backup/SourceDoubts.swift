// SourceDoubts: judges whether a source still has the files that it had. A disk that is not mounted leaves an empty
// folder, which looks as if everything had been deleted.
//
// A path is in doubt if most of its files are missing. A later snapshot confirms the doubt if it finds the path in the
// same state.
//
// Always holds:
// - If a rule leaves out a file that the path had, the file is normally ignored: it is neither a former nor a present
//   file of the path. It counts as missing only if the backup is no archive and stores none of the path's former files
//   and only few other files there.
// - Gone files that a vouch calls safe to delete do not count as missing.
// - A path without files confirms nothing. It stays in doubt until it has files again, or until the user says that its
//   state is intended.

import BakCore
import BakFormat
import BakRepository

/// The counts of a walk, for each path of the backup.
struct SourceTally {
    /// The paths with their numbers in the request, sorted. Paths beneath other paths are left out.
    let roots: [(path: [UInt8], number: Int)]
    /// Number of regular files that the walk met at and beneath each root.
    private(set) var fileCounts: [UInt64]
    /// Number of regular files that a parent's source had and this source no longer has.
    var newlyGoneFiles: UInt64 = 0
    /// For each root: true if an item at or beneath it could not be read.
    private(set) var isUnread: [Bool]
    /// For each root: `isBare` is true if the root is a folder that holds only folders and links, and `hasLinks` is
    /// true if it holds links.
    private var isBare: [Bool]
    private var hasLinks: [Bool]
    /// The root that the walk has reached, as an index into `roots`.
    private(set) var current = 0
    /// A sample of the content of files that are unchanged since one parent, but at whose paths another parent has no
    /// file. The other parent has a sample of its missed content. If the two samples share content, the missed files
    /// with that content were only renamed.
    var newContent = ContentSample()

    init(roots paths: [[UInt8]]) {
        var roots: [(path: [UInt8], number: Int)] = []
        for (number, path) in paths.enumerated().sorted(by: { PathOrder.precedes($0.element, $1.element) })
        where roots.last.map({ !PathOrder.isAtOrBeneath(path, $0.path) }) ?? true {
            roots.append((path, number))
        }
        if roots.isEmpty { roots = [([], 0)] }
        self.roots = roots
        fileCounts = Array(repeating: 0, count: roots.count)
        isUnread = Array(repeating: false, count: roots.count)
        (isBare, hasLinks) = (isUnread, isUnread)
    }

    /// The paths that are folders holding only folders, in the request's order. A path with an excluded or unreadable
    /// item does not count.
    var emptyFolders: [[UInt8]] { bareFolders { !hasLinks[$0] } }

    /// The paths that are folders holding only folders and links, with at least one link. The backup does not store
    /// what the links lead to.
    var foldersOfLinks: [[UInt8]] { bareFolders { hasLinks[$0] } }

    private func bareFolders(_ isWanted: (Int) -> Bool) -> [[UInt8]] {
        roots.indices.filter { isBare[$0] && !isUnread[$0] && isWanted($0) }.map { roots[$0] }
            .sorted { $0.number < $1.number }.map(\.path)
    }

    /// Notes an item that a rule leaves out.
    mutating func noteLeftOut(_ path: [UInt8]) {
        if let root = root(of: path) { isBare[root] = false }
    }

    /// Notes an item that could not be read. If the item is at or beneath a root, that root counts as unread. Otherwise
    /// every root beneath the item does.
    mutating func noteUnread(_ path: [UInt8]) {
        if let root = root(of: path) { return isUnread[root] = true }
        for (place, root) in roots.enumerated() where PathOrder.isAtOrBeneath(root.path, path) {
            isUnread[place] = true
        }
    }

    /// Counts an entry of the walk; returns its root as an index into `roots`.
    mutating func count(_ path: [UInt8], _ stat: FileStat) -> Int {
        while current + 1 < roots.count, !PathOrder.precedes(path, roots[current + 1].path) { current += 1 }
        if stat.type == .regular { fileCounts[current] += 1 }
        if path == roots[current].path {
            isBare[current] = stat.type == .directory
        } else if stat.type == .symlink {
            // A link above the root, through which the walk came, is not inside the root.
            if PathOrder.isAtOrBeneath(path, roots[current].path) { hasLinks[current] = true }
        } else if stat.type != .directory {
            isBare[current] = false
        }
        return current
    }

    /// Returns the index in `roots` of the root that a path is at or beneath. If another item has taken a root's path,
    /// an archive carries the former item over under a displaced name. A path at or beneath that name belongs to the
    /// root, too.
    func root(of path: [UInt8]) -> Int? {
        rootAbove(path) ?? roots.firstIndex { DisplacedName.isOf($0.path, path) }
    }

    private func rootAbove(_ path: [UInt8]) -> Int? {
        var (low, high) = (0, roots.count)
        while low < high {
            let middle = (low + high) / 2
            if PathOrder.precedes(path, roots[middle].path) { high = middle } else { low = middle + 1 }
        }
        return low > 0 && PathOrder.isAtOrBeneath(path, roots[low - 1].path) ? low - 1 : nil
    }

    /// True if a root is at or beneath the path.
    func isAboveRoot(_ path: [UInt8]) -> Bool {
        roots.contains { PathOrder.isAtOrBeneath($0.path, path) }
    }
}

/// The paths of a source that may lack files, and the earlier doubts that the backup ends.
public struct SourceDoubts: Sendable {
    /// A path of the backup that has none, or less than half, of its files left.
    public struct Shrunken: Sendable {
        /// The path.
        public var path: [UInt8]
        /// Its number in the request.
        public var number: Int
        /// Number of files that it had.
        public var before: UInt64
        /// Number of these that are stored completely.
        public var left: UInt64
        /// Number of these that are present but could not be read completely.
        public var unread: UInt64
        /// Number of these that are present but have become empty.
        public var emptied: UInt64
        /// Number of other files that are stored completely.
        public var others: UInt64
        /// Number of its files that a rule leaves out now. It is 0 if the backup is an archive, if it stores any of the
        /// path's former files, or if it stores many other files.
        public var leftOut: UInt64
        /// Number of its files that are gone and were called safe to delete.
        public var vouched: UInt64
        /// A folder that was a separate file system, no longer is one, and has none of its former files.
        public var lostMount: [UInt8]?

        /// Number of files that are stored completely.
        public var now: UInt64 { left + others }
        /// Number of files that are gone and were not called safe to delete.
        public var gone: UInt64 { before - left - unread - emptied - leftOut - vouched }
    }

    /// The paths in doubt.
    public private(set) var shrunken: [Shrunken] = []
    /// The paths that would be in doubt if none of their gone files had been called safe to delete.
    public private(set) var cleared: [Shrunken] = []
    /// The `originalID`s of snapshots that were in doubt and that this backup confirms.
    public private(set) var confirmed: [ID128] = []

    /// True if there is nothing to report.
    public var isEmpty: Bool { shrunken.isEmpty && confirmed.isEmpty }

    /// True if the snapshot's record states the same doubts, and this backup confirms no doubt.
    func areThose(of snapshot: CommitRecord) -> Bool {
        confirmed.isEmpty
            && Set(shrunken.map(\.path)) == Set(snapshot.doubtfulPaths.map { snapshot.paths[$0] })
    }

    /// No doubts.
    public init() {}

    /// Compares the results of a complete walk with the parents.
    ///
    /// - Parameters:
    ///   - tally: the counts of the walk.
    ///   - stored: the counts of what was stored.
    ///   - latest: the latest complete snapshot of the same device and paths.
    ///   - trusted: the latest complete snapshot that is not in doubt, which may be `latest`; nil if all are in doubt.
    ///   - isArchive: true if the backup carries over gone entries.
    ///   - isMeant: true if the user says that the present state is intended.
    init(
        _ tally: SourceTally, _ stored: StoredTally, latest: ParentTrack?, trusted: ParentTrack?,
        isArchive: Bool, isMeant: Bool
    ) {
        guard let latest else { return }
        let doubted =
            latest === trusted ? [] : latest.snapshot.doubtfulPaths.map { latest.snapshot.paths[$0] }
        let beforeDoubt = Remains(of: trusted ?? latest, tally, stored, isArchive: isArchive)
        let sinceDoubt =
            doubted.isEmpty ? beforeDoubt : Remains(of: latest, tally, stored, isArchive: isArchive)
        var shrunken: [Shrunken] = []
        var cleared: [Shrunken] = []
        for (place, root) in tally.roots.enumerated() {
            let found = beforeDoubt.path(root.path, number: root.number, place)
            // Without a trusted snapshot it is unknown how many files the path had. So a path in doubt that still has
            // no files stays in doubt.
            let isStillEmpty = found.now == 0 && trusted == nil && doubted.contains(root.path)
            if found.hasLostMost || isStillEmpty || found.lostMount != nil {
                shrunken.append(found)
            } else if found.hasBeenCleared {
                cleared.append(found)
            }
        }
        // The paths in doubt for which this walk finds the same as the snapshot in doubt.
        let agreed = tally.roots.enumerated().filter { place, root in
            guard doubted.contains(root.path) else { return false }
            if trusted != nil, !shrunken.contains(where: { $0.path == root.path }) { return false }
            if isMeant { return true }
            let found = sinceDoubt.path(root.path, number: root.number, place)
            let isRead = !tally.isUnread[place] && stored.unstoredFiles[place] == 0
            let hasNotGrown = found.now <= found.before || found.now - found.before <= found.before
            // Files that have become empty confirm nothing, like files that are missing.
            let holdsSomething =
                found.now > 0 && beforeDoubt.path(root.path, number: root.number, place).now > 0
            return holdsSomething && isRead && hasNotGrown && !found.hasLostMost && found.lostMount == nil
        }.map(\.element.path)
        if !doubted.isEmpty, doubted.allSatisfy(agreed.contains) { confirmed = [latest.snapshot.originalID] }
        if isMeant { return }
        self.cleared = cleared.sorted { $0.number < $1.number }
        // Paths that agree with the snapshot in doubt stay in doubt, too, as long as another path keeps the snapshot
        // from being confirmed.
        let left = shrunken.filter { !agreed.contains($0.path) }
        self.shrunken = (left.isEmpty || !confirmed.isEmpty ? left : shrunken).sorted {
            $0.number < $1.number
        }
    }
}

/// How many of a parent's files are left, by root.
private struct Remains {
    private let before: [UInt64]
    private let left: [UInt64]
    private let unread: [UInt64]
    private let emptied: [UInt64]
    private let leftOut: [UInt64]
    private let vouched: [UInt64]
    private let lostMounts: [[UInt8]?]
    /// Number of files that are stored completely.
    private let now: [UInt64]
    /// If a path had fewer files than this, only their number counts: they may all be replaced on purpose each night,
    /// as database dumps are.
    private static let fewestToTell: UInt64 = 4

    /// Files are compared by path, and by content if no parent has a file at the path. Only the numbers of files are
    /// compared if the backup is an archive, which keeps all gone files, or if the path had fewer than `fewestToTell`
    /// files and a rule leaves out none of them.
    init(of parent: ParentTrack, _ tally: SourceTally, _ stored: StoredTally, isArchive: Bool) {
        let places = tally.roots.indices
        lostMounts = places.map { parent.lostMount(beneath: $0) }
        let cut = places.map {
            parent.emptiedCounts[$0] + stored.emptiedFiles(of: parent.snapshot, beneath: $0)
        }
        let now = places.map {
            tally.fileCounts[$0] - min(tally.fileCounts[$0], stored.unstoredFiles[$0] + cut[$0])
        }
        let unstored = places.map { stored.unstoredFiles(of: parent.snapshot, beneath: $0) }
        let renamed: [UInt64]
        if let missed = parent.missedContent {
            var new = stored.newContent
            new.add(tally.newContent)
            renamed = missed.shared(with: new, rootCount: places.count)
        } else {
            renamed = places.map { _ in 0 }
        }
        let there = places.map { place in
            parent.metCounts[place] - min(parent.metCounts[place], unstored[place] + cut[place])
                + renamed[place]
        }
        let leftOut = places.map { place in
            // An archive keeps files that a rule leaves out, so they are not missing.
            if isArchive || there[place] > 0 { return UInt64(0) }
            // A single file that is left may be the ignore file or mark that excludes the other files.
            let leavesFew = now[place] <= 1 || 2 * now[place] < parent.leftOutCounts[place]
            return leavesFew ? parent.leftOutCounts[place] : 0
        }
        let before = places.map { parent.fileCounts[$0] + leftOut[$0] }
        vouched = parent.vouchedCounts
        (self.now, self.leftOut, self.before) = (now, leftOut, before)
        let missable = places.map { before[$0] - parent.vouchedCounts[$0] }
        left = places.map { place in
            let isByNumber = isArchive || before[place] < Self.fewestToTell && leftOut[place] == 0
            return min(missable[place], now[place], isByNumber ? .max : there[place])
        }
        let left = left
        let unread = places.map { min(unstored[$0], missable[$0] - leftOut[$0] - left[$0]) }
        self.unread = unread
        emptied = places.map { min(cut[$0], missable[$0] - leftOut[$0] - left[$0] - unread[$0]) }
    }

    func path(_ path: [UInt8], number: Int, _ place: Int) -> SourceDoubts.Shrunken {
        SourceDoubts.Shrunken(
            path: path, number: number, before: before[place], left: left[place], unread: unread[place],
            emptied: emptied[place], others: now[place] - left[place], leftOut: leftOut[place],
            vouched: vouched[place], lostMount: lostMounts[place])
    }
}

extension SourceDoubts.Shrunken {
    /// True if less than half of the files are left, not counting those that were called safe to delete.
    fileprivate var hasLostMost: Bool { left < before - vouched && before - vouched - left > left }

    /// True if `hasLostMost` would be true if no file had been called safe to delete.
    fileprivate var hasBeenCleared: Bool { vouched > 0 && before - left > left }
}
