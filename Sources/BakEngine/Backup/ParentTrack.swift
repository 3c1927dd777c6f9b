// ParentTrack: a parent snapshot in step with the walk, with what the walk does not meet of it. The walk misses an
// entry once it has gone past the entry's path.

import BakCore
import BakFormat
import BakRepository

/// A parent of a backup. For one thread, in the order of the walk.
final class ParentTrack {
    /// Where the track stands with regard to a path of the walk.
    enum Standing {
        /// At an entry before it that the walk has missed.
        case missed
        /// At its entry.
        case found
        /// The parent does not have it.
        case absent
    }

    /// What a parent is for.
    struct Uses: OptionSet {
        let rawValue: Int
        /// Its entries may stand for files that need not be read.
        static let comparing = Uses(rawValue: 1)
        /// What it has and the source has no more is gone; an archive carries it over.
        static let following = Uses(rawValue: 2)
        /// It is neither older nor newer than the others: the archive forked.
        static let branching = Uses(rawValue: 4)
    }

    let cursor: ParentCursor
    let uses: Uses
    // Unchecked, as in ManifestSegmentDecoder: each entry of a walk comes to these.
    /// Where the track stands with regard to the path that was sought last.
    @exclusivity(unchecked) private(set) var standing = Standing.absent
    /// The regular files that the parent has beneath each root, without those that a rule leaves out now.
    @exclusivity(unchecked) private(set) var fileCounts: [UInt64]
    /// Those that a rule leaves out now.
    private(set) var leftOutCounts: [UInt64]
    /// Of `fileCounts`, those that are gone and were called safe to delete; where `saysHowMuch`.
    private(set) var vouchedCounts: [UInt64]
    /// Whether it is one that says how much there was.
    @exclusivity(unchecked) var saysHowMuch = false
    /// How many of them the walk has met as files.
    @exclusivity(unchecked) private(set) var metCounts: [UInt64]
    /// Of those met, the files that are empty, as another parent has them, and were not.
    private(set) var emptiedCounts: [UInt64]
    /// A folder that was a file system of its own and is not any more.
    private struct LostMount {
        let path: [UInt8]
        let root: Int
        /// How many of its files are gone.
        var files: UInt64 = 0
        /// How many others the walk has met in it.
        var others: UInt64 = 0
    }
    /// Those of which no file was met. Only the last one, which the walk may be in, may have lost none.
    @exclusivity(unchecked) private var lostMounts: [LostMount] = []
    /// The devices of the folders on the way to where the walk is, now and as the parent has them.
    private var devices = PathStack<(now: UInt64, before: UInt64?)>()
    /// The content of those that it has missed; nil where nobody asks.
    @exclusivity(unchecked) var missedContent: ContentSample?
    /// What is beneath this path is dealt with elsewhere.
    var passedBy: [UInt8]?

    var snapshot: CommitRecord { cursor.snapshot }

    init(_ cursor: ParentCursor, _ uses: Uses, rootCount: Int) {
        (self.cursor, self.uses) = (cursor, uses)
        fileCounts = Array(repeating: 0, count: rootCount)
        (metCounts, leftOutCounts, vouchedCounts) = (fileCounts, fileCounts, fileCounts)
        emptiedCounts = fileCounts
    }

    /// Moves to the first entry that is not dealt with and before `path`, or else to `path`, whose entry then counts
    /// as dealt with.
    func seek(_ path: [UInt8]) {
        guard let segment = next() else {
            standing = .absent
            return
        }
        if segment.path == path {
            (standing, cursor.isDealtWith) = (.found, true)
        } else {
            standing = PathOrder.precedes(segment.path, path) ? .missed : .absent
        }
    }

    /// Moves to the first entry that is not dealt with and before `path`, at it or beneath it; nil for any entry.
    func seek(through path: [UInt8]?) {
        guard let segment = next() else {
            standing = .absent
            return
        }
        let isWithin =
            path.map { PathOrder.precedes(segment.path, $0) || PathOrder.isAtOrBeneath(segment.path, $0) }
            ?? true
        standing = isWithin ? .missed : .absent
    }

    /// Counts the entry that the track stands at, if the parent's source had it as a file; `absence` is why the walk
    /// has not met it as one, nil if it has.
    func countFile(beneath root: Int, _ absence: ParentComparer.Absence?, _ vouched: VouchedContent) {
        guard let segment = cursor.segment, segment.fields.stat.type == .regular,
            segment.fields.goneSince == nil
        else { return }
        if absence == .leftOut { return leftOutCounts[root] += 1 }
        fileCounts[root] += 1
        let isVouched = absence == .gone && saysHowMuch && vouched.contains(segment, of: snapshot)
        if absence == .gone, !isVouched, isInLostMount(segment.path) {
            lostMounts[lostMounts.count - 1].files += 1
        }
        if isVouched {
            vouchedCounts[root] += 1
        } else if standing == .missed, missedContent != nil, let entry = try? segment.entry() {
            missedContent?.add(entry, beneath: root)
        }
    }

    /// Counts the file that the walk has met. True if the parent's source had one there.
    func countMet(beneath root: Int) -> Bool {
        guard hasMetFile else { return false }
        metCounts[root] += 1
        return true
    }

    /// True if the parent's source had a file at the path that was last sought.
    var hasMetFile: Bool {
        guard standing == .found, let fields = cursor.segment?.fields else { return false }
        return fields.stat.type == .regular && fields.goneSince == nil
    }

    /// Counts a file that is as another parent has it, which is empty.
    func noteEmptied(beneath root: Int) {
        guard standing == .found, let fields = cursor.segment?.fields, fields.stat.type == .regular,
            fields.goneSince == nil, fields.stat.size > 0
        else { return }
        emptiedCounts[root] += 1
    }

    /// Looks whether a folder that the walk has met says something of a disk that is away: it was on another device
    /// than the folder above it, and is not any more.
    func noteFolder(_ path: [UInt8], _ stat: FileStat, beneath root: Int) {
        guard saysHowMuch else { return }
        let old = standing == .found ? cursor.segment?.fields : nil
        let before = old.flatMap { $0.stat.type == .directory && $0.goneSince == nil ? $0.stat.device : nil }
        while !devices.isEmpty, !devices.holds(path) { devices.pop() }
        if let above = devices.last, let before, let aboveBefore = above.before, before != aboveBefore,
            stat.device == above.now, !isInLostMount(path)
        {
            if lostMounts.last?.files == 0 { lostMounts.removeLast() }
            lostMounts.append(LostMount(path: path, root: root))
        }
        devices.push(path, (stat.device, before))
    }

    /// Notes that the walk has met something other than a folder: where a file of the parent's is, no disk is away.
    func noteContent(_ path: [UInt8], _ stat: FileStat) {
        guard !lostMounts.isEmpty, stat.type == .regular, isInLostMount(path) else { return }
        if standing == .found, let old = cursor.segment?.fields, old.stat.type == .regular,
            old.goneSince == nil
        {
            lostMounts.removeLast()
        } else {
            lostMounts[lostMounts.count - 1].others += 1
        }
    }

    private func isInLostMount(_ path: [UInt8]) -> Bool {
        lostMounts.last.map { PathOrder.isAtOrBeneath(path, $0.path) } ?? false
    }

    /// The first folder beneath a root that lacks its disk. As many other files as it had are no mark of a folder to
    /// mount a disk on.
    func lostMount(beneath root: Int) -> [UInt8]? {
        lostMounts.first { $0.root == root && $0.files > $0.others }?.path
    }

    /// Says that the entry which the track stands at is dealt with.
    func take() { cursor.isDealtWith = true }

    /// The segment that stands at the next entry which is not dealt with.
    private func next() -> ManifestSegmentDecoder? {
        while let kind = cursor.kind {
            if kind == .entry, !cursor.isDealtWith { return cursor.segment }
            cursor.advance()
        }
        return nil
    }
}

/// A folder or a file whose path something of another type has taken: an archive goes on with it, and with what is
/// beneath it, under another name.
final class DisplacedEntries {
    private let cursor: ParentCursor
    private var name: DisplacedName

    /// The entry at and beneath `path` in a parent's manifest, whose place something has taken at a time.
    init(
        _ snapshot: CommitRecord, repository: Repository, index: BlobIndex, at path: [UInt8],
        _ type: FileType, _ time: Timestamp
    ) throws {
        cursor = try ParentCursor(snapshot, repository: repository, index: index, from: path)
        name = DisplacedName(of: path, type, at: time)
        _ = cursor.entry(at: path)
    }

    /// Goes on under the next name, because another entry has this one.
    func takeNextName() { name.takeNext() }

    /// The path that the entry goes on under; nil at the end.
    var path: [UInt8]? {
        guard let segment = cursor.segment, PathOrder.isAtOrBeneath(segment.path, name.old) else {
            return nil
        }
        return name.path + segment.path[name.old.count...]
    }

    /// The segment that stands at the entry, and the cursor.
    var entry: (segment: ManifestSegmentDecoder, cursor: ParentCursor)? {
        cursor.segment.map { ($0, cursor) }
    }

    /// Goes on to the next entry.
    func advance() {
        repeat { cursor.advance() } while cursor.kind == .continuation
    }

    /// What keeps the list from being read to its end.
    var failure: (any Error)? { cursor.failure }
}

/// A file whose path another file may have taken: an archive goes on with it under another name, unless what is there
/// now has the same content.
struct FormerFile: Sendable {
    /// What is at its old path now.
    struct Successor: Sendable {
        var job: FileJob
        var stat: FileStat
        /// Whether the job reads another name of it.
        var isLink: Bool
    }

    private var name: DisplacedName
    let time: Timestamp
    var entry: Result<ManifestEntry, ArchiveCarrying.Loss>
    /// Whether the source had it until now.
    var isNewlyGone: Bool
    /// Whether it goes on under its own path where that cannot be read.
    var isFirst: Bool
    /// Nil when that is known to have other content.
    var successor: Successor?

    init(
        _ oldPath: [UInt8], at time: Timestamp, _ entry: Result<ManifestEntry, ArchiveCarrying.Loss>,
        isNewlyGone: Bool, isFirst: Bool, successor: Successor?
    ) {
        (self.time, self.entry) = (time, entry)
        (self.isNewlyGone, self.isFirst, self.successor) = (isNewlyGone, isFirst, successor)
        name = DisplacedName(of: oldPath, .regular, at: time)
    }

    /// Where it was.
    var oldPath: [UInt8] { name.old }
    /// The path that it goes on under.
    var path: [UInt8] { name.path }

    /// Goes on under the next name, because another entry has this one.
    mutating func takeNextName() { name.takeNext() }
}
