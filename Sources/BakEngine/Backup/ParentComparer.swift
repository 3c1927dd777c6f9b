// ParentComparer: says which entries are as a parent snapshot has them. An entry stands for what is there
// only as a whole: with all its extents, each of which the repository still has. `ParentComparer+Missed` says what
// becomes of the parents' entries that the walk does not meet.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Compares a walk with parent snapshots. For one thread, in the order of the walk.
package final class ParentComparer {
    /// How an entry compares.
    package enum Outcome {
        /// No parent has it, or none has it as it is: `keepFormers` is to be told what reads a file. `recorded` is the
        /// fingerprint of an entry that only asked to be read once more.
        case differs(BackupEvent.Change, recorded: Int? = nil)
        /// The parent's entry stands for it.
        case same(ManifestEntry)
        /// The parent's entry stands for it, and it has been added to the run.
        case inRun
        /// The entry that the parent has under another path stands for it.
        case moved(ManifestEntry)
    }

    let tracks: [ParentTrack]
    let makesRuns: Bool
    /// True if there is one whose entries may stand for those of the walk.
    private let isComparing: Bool
    /// What an archive carries over, and how; nil when the snapshot is none.
    let carrying: ArchiveCarrying?
    let onEvent: @Sendable (BackupEvent) -> Void
    let index: BlobIndex
    let vouched: VouchedContent
    private let tree: any SourceTree
    private let request: BackupRequest
    private let moves: MoveFinder
    // Unchecked, as in ManifestSegmentDecoder: each entry of a walk comes to these.
    /// Where the entry before came from; nil when it was no parent's.
    @exclusivity(unchecked) var place: ParentCursor.Place?
    /// The length of the runs since the last entry that was not part of one.
    @exclusivity(unchecked) var runBytes = 0
    @exclusivity(unchecked) var runPathBytes = 0
    /// What goes on under another name, from here on.
    @exclusivity(unchecked) var displaced: [DisplacedEntries] = []
    @exclusivity(unchecked) var formers: [FormerFile] = []
    /// What the walk met and missed.
    @exclusivity(unchecked) var tally: SourceTally

    /// Compares with those of `tracks` that are for it, of which the first that has an entry as it is stands for it.
    /// Without `makesRuns` every entry is handed out.
    init(
        _ tracks: [ParentTrack], of tree: any SourceTree, request: BackupRequest, repository: Repository,
        index: BlobIndex, makesRuns: Bool, carrying: ArchiveCarrying?,
        onEvent: @escaping @Sendable (BackupEvent) -> Void
    ) {
        self.tracks = tracks
        self.tree = tree
        self.request = request
        self.index = index
        self.makesRuns = makesRuns
        self.carrying = carrying
        self.onEvent = onEvent
        isComparing = tracks.contains { $0.uses.contains(.comparing) }
        vouched = VouchedContent(repository, index)
        tally = SourceTally(roots: request.paths)
        moves = MoveFinder(
            tracks.filter { $0.uses.contains(.comparing) }.map(\.snapshot), repository: repository,
            index: index)
    }

    /// Compares a walk with one snapshot, entry by entry, for which nothing is stored.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`.
    package convenience init(
        with snapshot: CommitRecord, of tree: any SourceTree, repository: Repository, index: BlobIndex
    ) throws {
        let cursor = try ParentCursor(snapshot, repository: repository, index: index)
        self.init(
            [ParentTrack(cursor, .comparing, rootCount: 1)], of: tree,
            request: BackupRequest(paths: [], host: "", device: "", user: "", program: ""),
            repository: repository, index: index, makesRuns: false, carrying: nil, onEvent: { _ in })
    }

    /// Compares an entry, after `seek` with its path and all that it was told to take; `run` is what it may be added
    /// to.
    package func compare(_ path: [UInt8], _ stat: FileStat, _ run: inout EntryRun) -> Outcome {
        note(path, stat)
        let isNewToOne = stat.type == .regular && countMet()
        let before = place
        place = nil
        var change = isComparing || !isKnown(stat) ? BackupEvent.Change.new : .reread
        var isInPlace = false
        var recorded: Int?
        for track in tracks where track.standing == .found && track.uses.contains(.comparing) {
            let parent = track.cursor
            guard let segment = parent.segment else { continue }
            if segment.fields.goneSince == nil { change = .changed }
            guard stands(segment, for: stat) else {
                isInPlace = isInPlace || InodeKey(segment.fields.stat) == InodeKey(stat)
                recorded = recorded ?? fingerprint(segment, ifAsItWas: stat)
                continue
            }
            let found = parent.place
            if let before, found.follows(before), mayJoinRun(segment, path, stat) {
                place = found
                (runBytes, runPathBytes) = (runBytes + segment.storedRecord.count, runPathBytes + path.count)
                run.append(segment)
                if tracks.count > 1 { keepFormers(at: path, stat, content: (try? segment.entry())?.content) }
                if isNewToOne { noteNew(try? segment.entry()) }
                if stat.size == 0 { noteEmptied(segment) }
                return .inRun
            }
            let oldDevice = segment.fields.stat.device
            guard var entry = whole(segment, of: parent) else { continue }
            if stat.size == 0 { noteEmptied(segment) }
            (entry.stat, entry.goneSince) = (stat, nil)
            // What comes after it is coded against it: against its device, and only if a manifest takes it.
            place = oldDevice == stat.device && entry.fault == nil ? found : nil
            (runBytes, runPathBytes) = (0, 0)
            if tracks.count > 1 { keepFormers(at: path, stat, content: entry.content) }
            if isNewToOne { noteNew(entry) }
            return .same(entry)
        }
        if let entry = moved(path, stat) {
            keepFormers(at: path, stat, content: entry.content)
            return .moved(entry)
        }
        if stat.type == .directory, !isInPlace, believesMoves(path, stat) { moves.enter(path, stat) }
        return .differs(change, recorded: recorded)
    }

    /// Counts a file that the walk has met for each parent that has one there. True if one that says how much there was
    /// has none.
    private func countMet() -> Bool {
        var isNewToOne = false
        for track in tracks where !track.countMet(beneath: tally.current) && track.missedContent != nil {
            isNewToOne = true
        }
        return isNewToOne
    }

    /// True if a parent has a file where the walk has met one.
    private func isKnown(_ stat: FileStat) -> Bool {
        stat.type == .regular && tracks.contains(where: \.hasMetFile)
    }

    /// Counts a file that is as a parent has it for each parent that has more of it, if that one has nothing.
    private func noteEmptied(_ segment: ManifestSegmentDecoder) {
        guard segment.fields.stat.size == 0, segment.fields.stat.type == .regular else { return }
        for track in tracks where track.saysHowMuch { track.noteEmptied(beneath: tally.current) }
    }

    private func noteNew(_ entry: ManifestEntry?) {
        if let entry { tally.newContent.add(entry, beneath: tally.current) }
    }

    /// True if device, inode and ctime can say that what is at `path` was elsewhere before.
    private func believesMoves(_ path: [UInt8], _ stat: FileStat) -> Bool {
        !tracks.isEmpty && !request.ignoresInode && !request.ignoresCtime
            && tree.evidence(path, stat).hasIdentity
    }

    /// The entry that stands for what was moved to `path`.
    private func moved(_ path: [UInt8], _ stat: FileStat) -> ManifestEntry? {
        moves.entry(for: path, unchangedSince: stat.ctime) { segment, parent in
            let old = segment.fields.stat
            // Nothing else says that this is the same file, and as it was.
            guard InodeKey(old) == InodeKey(stat), old.ctime == stat.ctime, believesMoves(path, stat),
                stands(segment, for: stat),
                var entry = whole(segment, of: parent)
            else { return nil }
            (entry.stat, entry.goneSince) = (stat, nil)
            return entry
        }
    }

    /// Whether an entry stands for what is there now, as far as its own record tells.
    private func stands(_ segment: ManifestSegmentDecoder, for stat: FileStat) -> Bool {
        isSame(segment.fields.stat, stat) && !segment.fields.changedWhileRead && !segment.fields.isUnsettled
            && segment.fields.missing.isEmpty && hasContent(segment)
    }

    /// The fingerprint of an entry that the next reading may find to be as it was.
    private func fingerprint(_ segment: ManifestSegmentDecoder, ifAsItWas stat: FileStat) -> Int? {
        guard stat.type == .regular, segment.isComplete, isSame(segment.fields.stat, stat) else { return nil }
        return (try? segment.entry())?.fingerprint
    }

    /// Whether the entry can be taken over as it is stored. Where a segment may end it cannot: the next would
    /// begin with it.
    private func mayJoinRun(_ segment: ManifestSegmentDecoder, _ path: [UInt8], _ stat: FileStat) -> Bool {
        let old = segment.fields.stat
        return old.device == stat.device && old.inode == stat.inode && old.ctime == stat.ctime
            && segment.fields.goneSince == nil && canJoinRun(segment, path)
    }

    /// Whether a stored record can be part of a run.
    func canJoinRun(_ segment: ManifestSegmentDecoder, _ path: [UInt8]) -> Bool {
        makesRuns && segment.isComplete && runBytes < ManifestWriter.longestRunBytes
            && runPathBytes < ManifestWriter.longestRunPathBytes
            && !ManifestWriter.isBoundary(path)
    }

    func isSame(_ old: FileStat, _ stat: FileStat) -> Bool {
        old.type == stat.type && old.size == stat.size && old.mtime == stat.mtime
            && (request.ignoresCtime || old.ctime == stat.ctime)
            && (request.ignoresInode || old.inode == stat.inode) && old.mode == stat.mode
            && old.uid == stat.uid && old.gid == stat.gid && old.linkCount == stat.linkCount
            && old.representedDevice == stat.representedDevice
    }

    /// Whether the repository still has what the entry's own record refers to; if not, reading the file heals it.
    func hasContent(_ segment: ManifestSegmentDecoder) -> Bool {
        let hasAll = try? segment.allExtents(isStored)
        return hasAll == true
    }

    /// The entry with the extents of its further records, unless some of that is missing.
    private func whole(_ segment: ManifestSegmentDecoder, of parent: ParentCursor) -> ManifestEntry? {
        if segment.isComplete { return try? segment.entry() }
        guard let entry = parent.whole(segment, isInSource: true),
            case .extents(let extents) = entry.content
        else { return nil }
        return extents.allSatisfy(isStored) ? entry : nil
    }

    private func isStored(_ extent: Extent) -> Bool {
        if case .chunk(let reference) = extent { return index.holds(reference) }
        return true
    }
}

extension ManifestEntry {
    /// Tells entries apart by what a user can see of them; for counting alone. It differs from run to run.
    var fingerprint: Int {
        var hasher = Hasher()
        hasher.combine(stat.withoutAllocation)
        hasher.combine(attributes)
        hasher.combine(content)
        return hasher.finalize()
    }
}

extension FileStat {
    /// The stat without what is not stored, and may change while nothing else does.
    package var withoutAllocation: FileStat {
        var stat = self
        stat.allocatedBytes = 0
        return stat
    }

    /// True if nothing says that the file has changed since it looked like `before`.
    func isUnchanged(since before: FileStat) -> Bool {
        size == before.size && mtime == before.mtime && ctime == before.ctime
    }
}
