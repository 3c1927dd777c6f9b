// ParentComparer: decides which items of the walk are the same as in a parent snapshot. For such an item the backup
// reuses the parent's entry and does not read the item. An entry is reused only if the repository still has all of its
// extents. A run is a series of consecutive entries of a parent whose records are taken over as they are stored.
// `ParentComparer+Missed` handles the parents' entries that the walk does not meet.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Compares a walk with parent snapshots. For one thread, in the order of the walk.
package final class ParentComparer {
    /// The result of comparing an item of the walk.
    package enum Outcome {
        /// No parent's entry can be reused. If the item is a file, the caller passes the job that reads it to
        /// `keepFormers`. `recorded` is the fingerprint of a parent's entry, if the metadata is unchanged but the file
        /// must be read again all the same.
        case differs(BackupEvent.Change, recorded: Int? = nil)
        /// A parent's entry is reused.
        case same(ManifestEntry)
        /// A parent's entry is reused, and has been added to the run.
        case inRun
        /// The entry that a parent has under another path is reused.
        case moved(ManifestEntry)
    }

    let tracks: [ParentTrack]
    let makesRuns: Bool
    /// True if the entries of at least one track may be reused.
    private let isComparing: Bool
    /// Carries over entries for an archive; nil if the snapshot is not an archive.
    let carrying: ArchiveCarrying?
    let onEvent: @Sendable (BackupEvent) -> Void
    let index: BlobIndex
    let vouched: VouchedContent
    private let tree: any SourceTree
    private let request: BackupRequest
    private let moves: MoveFinder
    // The following properties are accessed for every entry of a walk, and checking for exclusive access each time
    // would be slow. So exclusivity is unchecked, as in ManifestSegmentDecoder.
    /// The place in a parent's manifest from which the previous entry came; nil if the previous entry came from no
    /// parent.
    @exclusivity(unchecked) var place: ParentCursor.Place?
    /// Bytes of the records, and of the paths, that were added to runs since the last entry that was not in a run.
    @exclusivity(unchecked) var runBytes = 0
    @exclusivity(unchecked) var runPathBytes = 0
    /// Entries to carry over under another name, which the walk has not reached yet.
    @exclusivity(unchecked) var displaced: [DisplacedEntries] = []
    @exclusivity(unchecked) var formers: [FormerFile] = []
    /// The counts of what the walk met and missed.
    @exclusivity(unchecked) var tally: SourceTally

    /// Compares with the tracks whose uses include comparing. If several tracks have an unchanged entry for an item,
    /// the entry of the first is reused. If `makesRuns` is false, `compare` returns every entry and adds none to a run.
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

    /// Compares a walk with one snapshot, entry by entry, and stores nothing.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError`.
    package convenience init(
        with snapshot: CommitRecord, of tree: any SourceTree, repository: Repository, index: BlobIndex
    ) throws {
        let cursor = try ParentCursor(snapshot, repository: repository, index: index)
        self.init(
            [ParentTrack(cursor, .comparing, rootCount: 1)], of: tree,
            request: BackupRequest(paths: [], host: "", device: "", user: "", program: ""),
            repository: repository, index: index, makesRuns: false, carrying: nil, onEvent: { _ in })
    }

    /// Compares an item of the walk. The caller has already called `seek` with its path and taken all missed entries.
    /// The entry of an unmodified item may be added to `run`.
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
            // The parent's next record is coded relative to this entry. That record can join a run only if this entry
            // has the same device as before and the manifest accepts this entry.
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

    /// Counts a file of the walk in each parent that has a file at its path. Returns true if the file is new to a
    /// parent whose track samples the content of missed files. The content of such a file is sampled, too: together the
    /// two samples show which missed files were only renamed.
    private func countMet() -> Bool {
        var isNewToOne = false
        for track in tracks where !track.countMet(beneath: tally.current) && track.missedContent != nil {
            isNewToOne = true
        }
        return isNewToOne
    }

    /// True if the walk has met a file, and a parent has a file at its path.
    private func isKnown(_ stat: FileStat) -> Bool {
        stat.type == .regular && tracks.contains(where: \.hasMetFile)
    }

    /// Notes that a file is empty for which a parent's entry is reused. Each parent that says how many files there were
    /// (`saysHowMuch`) and has the file with content counts it as emptied.
    private func noteEmptied(_ segment: ManifestSegmentDecoder) {
        guard segment.fields.stat.size == 0, segment.fields.stat.type == .regular else { return }
        for track in tracks where track.saysHowMuch { track.noteEmptied(beneath: tally.current) }
    }

    private func noteNew(_ entry: ManifestEntry?) {
        if let entry { tally.newContent.add(entry, beneath: tally.current) }
    }

    /// True if device, inode and ctime can prove that the item at `path` was elsewhere before.
    private func believesMoves(_ path: [UInt8], _ stat: FileStat) -> Bool {
        !tracks.isEmpty && !request.ignoresInode && !request.ignoresCtime
            && tree.evidence(path, stat).hasIdentity
    }

    /// Returns the entry to reuse for an item that was moved to `path`; nil if there is none.
    private func moved(_ path: [UInt8], _ stat: FileStat) -> ManifestEntry? {
        moves.entry(for: path, unchangedSince: stat.ctime) { segment, parent in
            let old = segment.fields.stat
            // Only inode and ctime prove that this is the same file, unchanged.
            guard InodeKey(old) == InodeKey(stat), old.ctime == stat.ctime, believesMoves(path, stat),
                stands(segment, for: stat),
                var entry = whole(segment, of: parent)
            else { return nil }
            (entry.stat, entry.goneSince) = (stat, nil)
            return entry
        }
    }

    /// True if an entry may be reused for an item with this stat. Only the entry's first record is examined.
    private func stands(_ segment: ManifestSegmentDecoder, for stat: FileStat) -> Bool {
        isSame(segment.fields.stat, stat) && !segment.fields.changedWhileRead && !segment.fields.isUnsettled
            && segment.fields.missing.isEmpty && hasContent(segment)
    }

    /// Returns an entry's fingerprint if the file's metadata is unchanged. It shows, after the file is read, whether
    /// the file is unmodified.
    private func fingerprint(_ segment: ManifestSegmentDecoder, ifAsItWas stat: FileStat) -> Int? {
        guard stat.type == .regular, segment.isComplete, isSame(segment.fields.stat, stat) else { return nil }
        return (try? segment.entry())?.fingerprint
    }

    /// True if the entry's record can be taken over as it is stored. A record in a run is coded relative to the one
    /// before it. The first record of a segment is not, so an entry with which a segment may begin cannot be in a run.
    private func mayJoinRun(_ segment: ManifestSegmentDecoder, _ path: [UInt8], _ stat: FileStat) -> Bool {
        let old = segment.fields.stat
        return old.device == stat.device && old.inode == stat.inode && old.ctime == stat.ctime
            && segment.fields.goneSince == nil && canJoinRun(segment, path)
    }

    /// True if a stored record can be part of a run.
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

    /// True if the repository still has everything that the entry's first record refers to. If not, the file is read
    /// again, which stores the missing chunks again.
    func hasContent(_ segment: ManifestSegmentDecoder) -> Bool {
        let hasAll = try? segment.allExtents(isStored)
        return hasAll == true
    }

    /// Returns the entry with the extents of all its records; nil if any of them is missing.
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
    /// Hashes the parts of an entry that a user can see; only for counting. The hash differs from run to run.
    var fingerprint: Int {
        var hasher = Hasher()
        hasher.combine(stat.withoutAllocation)
        hasher.combine(attributes)
        hasher.combine(content)
        return hasher.finalize()
    }
}

extension FileStat {
    /// The stat without the allocated size, which is not stored and may change on its own.
    package var withoutAllocation: FileStat {
        var stat = self
        stat.allocatedBytes = 0
        return stat
    }

    /// True if size and times are the same as in `before`.
    func isUnchanged(since before: FileStat) -> Bool {
        size == before.size && mtime == before.mtime && ctime == before.ctime
    }
}
