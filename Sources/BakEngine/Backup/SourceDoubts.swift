// SourceDoubts: whether a source has what it had. A disk that is not mounted leaves an empty folder, which looks as if
// everything had been deleted.
//
// Always holds: files that a rule leaves out are counted neither before nor now, unless nothing else is stored of their
// path; files that are gone and were called safe to delete are missed by nobody. Nothing at all confirms nothing: a
// path without files stays in doubt until files are there again or the user says that it is meant.

import BakCore
import BakFormat
import BakRepository

/// What a walk met, by the paths of the backup.
struct SourceTally {
    /// The paths, sorted, without those that lie beneath others, with their numbers in the request.
    let roots: [(path: [UInt8], number: Int)]
    /// The regular files that the walk met at and beneath each.
    private(set) var fileCounts: [UInt64]
    /// Regular files that a parent's source had and this one has no more.
    var newlyGoneFiles: UInt64 = 0
    /// Whether something at or beneath each root could not be read.
    private(set) var isUnread: [Bool]
    /// Which roots are folders without anything in them but folders and links, and which of those have links.
    private var isBare: [Bool]
    private var hasLinks: [Bool]
    /// The root that the walk has come to.
    private(set) var current = 0
    /// The content of files that are as one parent has them, where another that says how much there was has none.
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

    /// The folders among the paths that hold nothing but folders, in the request's order. A folder of which something
    /// was left out or could not be read is not among them.
    var emptyFolders: [[UInt8]] { bareFolders { !hasLinks[$0] } }

    /// Those that hold links besides, whose targets are in no snapshot.
    var foldersOfLinks: [[UInt8]] { bareFolders { hasLinks[$0] } }

    private func bareFolders(_ isWanted: (Int) -> Bool) -> [[UInt8]] {
        roots.indices.filter { isBare[$0] && !isUnread[$0] && isWanted($0) }.map { roots[$0] }
            .sorted { $0.number < $1.number }.map(\.path)
    }

    /// Notes what a rule leaves out.
    mutating func noteLeftOut(_ path: [UInt8]) {
        if let root = root(of: path) { isBare[root] = false }
    }

    /// Notes what could not be read: a root is not what it seems if it, or something in it or above it, is not there to
    /// be looked at.
    mutating func noteUnread(_ path: [UInt8]) {
        if let root = root(of: path) { return isUnread[root] = true }
        for (place, root) in roots.enumerated() where PathOrder.isAtOrBeneath(root.path, path) {
            isUnread[place] = true
        }
    }

    /// Counts an entry of the walk and returns which root it belongs to, by its place among `roots`.
    mutating func count(_ path: [UInt8], _ stat: FileStat) -> Int {
        while current + 1 < roots.count, !PathOrder.precedes(path, roots[current + 1].path) { current += 1 }
        if stat.type == .regular { fileCounts[current] += 1 }
        if path == roots[current].path {
            isBare[current] = stat.type == .directory
        } else if stat.type == .symlink {
            // A link that led to the root lies elsewhere.
            if PathOrder.isAtOrBeneath(path, roots[current].path) { hasLinks[current] = true }
        } else if stat.type != .directory {
            isBare[current] = false
        }
        return current
    }

    /// The root that a path is at or beneath, by its place among `roots`. What an archive keeps of a root under another
    /// name belongs to the root.
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

    /// Whether a root lies beneath a path.
    func isAboveRoot(_ path: [UInt8]) -> Bool {
        roots.contains { PathOrder.isAtOrBeneath($0.path, path) }
    }
}

/// What a source may lack, and which earlier doubts it ends.
public struct SourceDoubts: Sendable {
    /// A path of the backup of whose files none are left, or less than half.
    public struct Shrunken: Sendable {
        /// The path.
        public var path: [UInt8]
        /// Its number in the request.
        public var number: Int
        /// How many files it had.
        public var before: UInt64
        /// How many of these are stored whole.
        public var left: UInt64
        /// How many of these are there and could not be read, or not to their end.
        public var unread: UInt64
        /// How many of these are there and empty, and were not.
        public var emptied: UInt64
        /// How many others are stored whole.
        public var others: UInt64
        /// How many of these a rule leaves out now. Not counted where one of the files is stored, or many others.
        public var leftOut: UInt64
        /// How many of these are gone and were called safe to delete.
        public var vouched: UInt64
        /// A folder that was a file system of its own, is none now and has none of the files that it had.
        public var lostMount: [UInt8]?

        /// How many files are stored whole.
        public var now: UInt64 { left + others }
        /// How many of the files are not there, and nobody called them safe to delete.
        public var gone: UInt64 { before - left - unread - emptied - leftOut - vouched }
    }

    /// The paths in doubt.
    public private(set) var shrunken: [Shrunken] = []
    /// The paths that would be in doubt if none of what is gone had been called safe to delete.
    public private(set) var cleared: [Shrunken] = []
    /// The `originalID`s of snapshots that were in doubt and are not any more, as they were right.
    public private(set) var confirmed: [ID128] = []

    /// Whether there is nothing to say.
    public var isEmpty: Bool { shrunken.isEmpty && confirmed.isEmpty }

    /// True if nothing can be said that a snapshot's record does not say.
    func areThose(of snapshot: CommitRecord) -> Bool {
        confirmed.isEmpty
            && Set(shrunken.map(\.path)) == Set(snapshot.doubtfulPaths.map { snapshot.paths[$0] })
    }

    /// No doubts.
    public init() {}

    /// Compares what a whole walk met and what came of it with what parents have.
    ///
    /// - Parameters:
    ///   - tally: what the walk met.
    ///   - stored: what became of that.
    ///   - latest: the latest complete snapshot of the same device and paths.
    ///   - trusted: the latest of them that is not in doubt; `latest` unless that is.
    ///   - isArchive: whether the backup carries over what is gone.
    ///   - isMeant: whether the user says that what is there is right.
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
            // How many files there were is not known any more.
            let isStillEmpty = found.now == 0 && trusted == nil && doubted.contains(root.path)
            if found.hasLostMost || isStillEmpty || found.lostMount != nil {
                shrunken.append(found)
            } else if found.hasBeenCleared {
                cleared.append(found)
            }
        }
        // Does this walk find what the snapshot in doubt has?
        let agreed = tally.roots.enumerated().filter { place, root in
            guard doubted.contains(root.path) else { return false }
            if trusted != nil, !shrunken.contains(where: { $0.path == root.path }) { return false }
            if isMeant { return true }
            let found = sinceDoubt.path(root.path, number: root.number, place)
            let isRead = !tally.isUnread[place] && stored.unstoredFiles[place] == 0
            let hasNotGrown = found.now <= found.before || found.now - found.before <= found.before
            // Files without anything in them confirm no more than none.
            let holdsSomething =
                found.now > 0 && beforeDoubt.path(root.path, number: root.number, place).now > 0
            return holdsSomething && isRead && hasNotGrown && !found.hasLostMost && found.lostMount == nil
        }.map(\.element.path)
        if !doubted.isEmpty, doubted.allSatisfy(agreed.contains) { confirmed = [latest.snapshot.originalID] }
        if isMeant { return }
        self.cleared = cleared.sorted { $0.number < $1.number }
        // As long as one path keeps the snapshot in doubt, the others are compared with the same one before it.
        let left = shrunken.filter { !agreed.contains($0.path) }
        self.shrunken = (left.isEmpty || !confirmed.isEmpty ? left : shrunken).sorted {
            $0.number < $1.number
        }
    }
}

/// What is left of the files that a parent has.
private struct Remains {
    private let before: [UInt64]
    private let left: [UInt64]
    private let unread: [UInt64]
    private let emptied: [UInt64]
    private let leftOut: [UInt64]
    private let vouched: [UInt64]
    private let lostMounts: [[UInt8]?]
    /// All files that are stored whole.
    private let now: [UInt64]
    /// Fewer files than these may all be replaced by others on purpose, each night: a dump of a database.
    private static let fewestToTell: UInt64 = 4

    /// Compares by number for an archive, in which everything stays that is gone, and for a few files. Otherwise by
    /// path, and by content where no parent has the path.
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
            // An archive keeps what a rule leaves out.
            if isArchive || there[place] > 0 { return UInt64(0) }
            // A file of rules or a mark, which comes with them, is no file that they leave.
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
    /// Whether less than half of the files are left that nobody called safe to delete.
    fileprivate var hasLostMost: Bool { left < before - vouched && before - vouched - left > left }

    /// Whether it would have, if nobody had.
    fileprivate var hasBeenCleared: Bool { vouched > 0 && before - left > left }
}
