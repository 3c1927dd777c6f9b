// ParentTrack: moves through a parent snapshot's entries in step with the walk, and finds the entries that the walk
// does not meet. The walk has missed an entry if it has gone past the entry's path without meeting it. A root is a path
// of the backup; counts are kept for each root.

import BakCore
import BakFormat
import BakRepository

/// A parent of a backup. For one thread, in the order of the walk.
final class ParentTrack {
    /// Where the track stands relative to a path of the walk.
    enum Standing {
        /// At an earlier entry that the walk has missed.
        case missed
        /// At the path's entry.
        case found
        /// The parent does not have the path.
        case absent
    }

    /// The purposes of a parent.
    struct Uses: OptionSet {
        let rawValue: Int
        /// The backup reuses its entries for unchanged files, and does not read these files.
        static let comparing = Uses(rawValue: 1)
        /// The backup looks for its entries that the source no longer has. It reports such files as gone, and an
        /// archive carries the entries over.
        static let following = Uses(rawValue: 2)
        /// It is an archive that the latest complete snapshot has not carried over. So nothing tells which of the two
        /// has the newer state of a file.
        static let branching = Uses(rawValue: 4)
    }

    let cursor: ParentCursor
    let uses: Uses
    // Exclusivity is unchecked, as in ManifestSegmentDecoder, because these are accessed for every entry of a walk.
    /// Where the track stands relative to the path that was sought last.
    @exclusivity(unchecked) private(set) var standing = Standing.absent
    /// Number of regular files that the parent has beneath each root, without those that a rule leaves out now.
    @exclusivity(unchecked) private(set) var fileCounts: [UInt64]
    /// Number of files that a rule leaves out now, by root.
    private(set) var leftOutCounts: [UInt64]
    /// Number of files in `fileCounts` that are gone and that a vouch calls safe to delete, by root. Only a parent with
    /// `saysHowMuch` counts them.
    private(set) var vouchedCounts: [UInt64]
    /// True if this parent says how many files the source had. The doubts about the source compare that with the files
    /// that the source has now.
    @exclusivity(unchecked) var saysHowMuch = false
    /// Number of files in `fileCounts` that the walk has met as files, by root.
    @exclusivity(unchecked) private(set) var metCounts: [UInt64]
    /// Number of met files, by root, that have content in this parent and are empty now. A file counts here only if the
    /// backup reuses the entry of another parent for it. If the backup reads the file, `StoredTally` counts it.
    private(set) var emptiedCounts: [UInt64]
    /// A folder that was on another device than its parent folder and no longer is, perhaps because a disk is not
    /// mounted.
    private struct LostMount {
        let path: [UInt8]
        let root: Int
        /// Number of its files that are gone.
        var files: UInt64 = 0
        /// Number of files that the walk has met in it and that the parent does not have.
        var others: UInt64 = 0
    }
    /// The folders that may be lost mounts, because the walk has met none of their former files. All but the last have
    /// gone files. The last may have none so far, because the walk may still be in it.
    @exclusivity(unchecked) private var lostMounts: [LostMount] = []
    /// The folders above the walk's current item, each with its device now and its device in the parent.
    private var devices = PathStack<(now: UInt64, before: UInt64?)>()
    /// A sample of the content of the files that the walk has missed; nil if no sample is needed.
    @exclusivity(unchecked) var missedContent: ContentSample?
    /// Entries at and beneath this path are carried over under another name, so the track drops them.
    var passedBy: [UInt8]?

    var snapshot: CommitRecord { cursor.snapshot }

    init(_ cursor: ParentCursor, _ uses: Uses, rootCount: Int) {
        (self.cursor, self.uses) = (cursor, uses)
        fileCounts = Array(repeating: 0, count: rootCount)
        (metCounts, leftOutCounts, vouchedCounts) = (fileCounts, fileCounts, fileCounts)
        emptiedCounts = fileCounts
    }

    /// Moves to the first entry before `path` that is not dealt with. If there is none, moves to the entry at `path`,
    /// which then counts as dealt with.
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

    /// Moves to the first entry before, at or beneath `path` that is not dealt with. If `path` is nil, moves to the
    /// first entry anywhere that is not dealt with.
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

    /// Counts the entry at the track's place if it is a regular file that the parent's source had. `absence` says why
    /// the walk has not met a regular file at its path; it is nil if the walk has met one.
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

    /// Counts the file that the walk has met. Returns true if the parent's source had a file there.
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

    /// Counts a file that is empty now and in another parent, if this parent has it with content.
    func noteEmptied(beneath root: Int) {
        guard standing == .found, let fields = cursor.segment?.fields, fields.stat.type == .regular,
            fields.goneSince == nil, fields.stat.size > 0
        else { return }
        emptiedCounts[root] += 1
    }

    /// Checks whether a folder of the walk may be a lost mount: the folder was on another device than its parent folder
    /// and no longer is.
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

    /// Notes an item of the walk that is not a folder. If the parent has the item as a file, the folder around it is no
    /// lost mount.
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

    /// Returns the first lost mount beneath a root. A folder does not count if the walk has met at least as many other
    /// files in it as are gone.
    func lostMount(beneath root: Int) -> [UInt8]? {
        lostMounts.first { $0.root == root && $0.files > $0.others }?.path
    }

    /// Marks the entry at the track's place as dealt with.
    func take() { cursor.isDealtWith = true }

    /// Returns the segment at the next entry that is not dealt with.
    private func next() -> ManifestSegmentDecoder? {
        while let kind = cursor.kind {
            if kind == .entry, !cursor.isDealtWith { return cursor.segment }
            cursor.advance()
        }
        return nil
    }
}

/// A folder or file whose path an item of another type has taken. An archive carries it over, with everything beneath
/// it, under another name.
final class DisplacedEntries {
    private let cursor: ParentCursor
    private var name: DisplacedName

    /// Opens a parent's entry at `path` and those beneath it. `time` is when the backup found the path taken.
    init(
        _ snapshot: CommitRecord, repository: Repository, index: BlobIndex, at path: [UInt8],
        _ type: FileType, _ time: Timestamp
    ) throws {
        cursor = try ParentCursor(snapshot, repository: repository, index: index, from: path)
        name = DisplacedName(of: path, type, at: time)
        _ = cursor.entry(at: path)
    }

    /// Takes the next name, because another entry has this one.
    func takeNextName() { name.takeNext() }

    /// The entry's new path; nil at the end.
    var path: [UInt8]? {
        guard let segment = cursor.segment, PathOrder.isAtOrBeneath(segment.path, name.old) else {
            return nil
        }
        return name.path + segment.path[name.old.count...]
    }

    /// The segment at the entry, and the cursor.
    var entry: (segment: ManifestSegmentDecoder, cursor: ParentCursor)? {
        cursor.segment.map { ($0, cursor) }
    }

    /// Moves to the next entry.
    func advance() {
        repeat { cursor.advance() } while cursor.kind == .continuation
    }

    /// The error that ended the list of entries early.
    var failure: (any Error)? { cursor.failure }
}

/// A file whose path another file may have taken. An archive carries it over under another name, unless the file that
/// is there now has the same content.
struct FormerFile: Sendable {
    /// The file that is now at the former file's path.
    struct Successor: Sendable {
        var job: FileJob
        var stat: FileStat
        /// True if the job reads the file under another of its names.
        var isLink: Bool
    }

    private var name: DisplacedName
    let time: Timestamp
    var entry: Result<ManifestEntry, ArchiveCarrying.Loss>
    /// True if this backup is the first to find that it is gone.
    var isNewlyGone: Bool
    /// True if this is the file of the first parent that has a file at the old path. If the successor cannot be read
    /// completely, the archive carries over this file under the old path instead of a new one.
    var isFirst: Bool
    /// The file whose content decides whether this one is carried over; nil if this one is carried over in any case.
    var successor: Successor?

    init(
        _ oldPath: [UInt8], at time: Timestamp, _ entry: Result<ManifestEntry, ArchiveCarrying.Loss>,
        isNewlyGone: Bool, isFirst: Bool, successor: Successor?
    ) {
        (self.time, self.entry) = (time, entry)
        (self.isNewlyGone, self.isFirst, self.successor) = (isNewlyGone, isFirst, successor)
        name = DisplacedName(of: oldPath, .regular, at: time)
    }

    /// Its old path.
    var oldPath: [UInt8] { name.old }
    /// Its new path.
    var path: [UInt8] { name.path }

    /// Takes the next name, because another entry has this one.
    mutating func takeNextName() { name.takeNext() }
}
