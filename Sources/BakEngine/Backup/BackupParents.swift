// BackupParents: chooses the earlier snapshots that a backup uses, which are its parents. The backup compares files
// with some of them, follows some of them, and learns from some of them how many files the source had before.
//
// Terms:
// - To follow a snapshot: to look for its entries that the source no longer has. The backup reports such files as gone,
//   and an archive carries the entries over.
// - To stand for an older archive: to have carried over all of its entries.
// - Head: an archive for which no other archive stands. There are several heads if the archive forked.
// - Recorded parent: the parent that a snapshot's commit record names. In the order of snapshots, the snapshot comes
//   after its recorded parent.
// - Chain: the earlier snapshots of the same device and paths that matter to the next backup.
// - In doubt: said of a snapshot if most files of a path were missing when it was made, and no later snapshot has shown
//   whether they are really gone.
// - Spare: the second copy of a commit record.
//
// Always holds:
// - An archive follows the latest complete snapshot, and the last commit of each interrupted run after that snapshot.
// - An archive also follows the other heads, at most `branchesAtATime` in one backup. The next backup follows the
//   remaining heads.
// - The record of an archive names only snapshots that the archive followed.
// - If a commit record is damaged but its spare is not, the spare is used.
// - If the new snapshot is to be an archive and an unreadable snapshot may hold the only copy of an entry, the backup
//   fails.

import BakCore
import BakFormat
import BakRepository

/// The parents of one backup.
final class BackupParents {
    /// Every parent, in this order: the one that the user asked for, the partial snapshots, the latest complete
    /// snapshot, the latest one that is not in doubt, and the followed heads. Partial snapshots and heads are newest
    /// first.
    let tracks: [ParentTrack]
    /// True if the backup carries over gone entries for an archive; false for a copy, even a copy of an archive.
    let isArchive: Bool
    /// The first snapshot that files are compared with. For an archive that compares with no snapshot, it is the latest
    /// complete snapshot.
    let parent: CommitRecord?
    /// The parent that the new snapshot's record names. It is nil if the user chose no parent, but gave the new
    /// snapshot an earlier date than `parent` has. Files are then still compared with `parent`, but the new snapshot
    /// does not come after it.
    let recordedParent: CommitRecord?
    /// The latest complete snapshot of the same device and paths.
    private let latest: ParentTrack?
    /// The latest complete snapshot of the same device and paths that is not in doubt.
    private let trusted: ParentTrack?
    /// The newest head, if the latest complete snapshot is not an archive and the new snapshot is one.
    let resumed: CommitRecord?
    /// The heads, besides `latest` and `resumed`, that the new archive follows.
    let branches: [CommitRecord]
    /// Archives of other paths, or of another device of the same host, that the user may have meant to continue; see
    /// `Chain.others`. The list is empty if the backup's own paths have a snapshot, or if the user said whether the
    /// backup is an archive.
    let others: [CommitRecord]
    /// The archives, besides the recorded parent, that the new snapshot's record names as carried over. Archives for
    /// which the recorded parent already stands are left out.
    let joined: [CommitRecord]
    /// The maximum number of heads that one backup follows besides `latest`. Each of them has an open manifest in
    /// memory.
    static let branchesAtATime = 8

    /// Chooses and opens the parents. Throws `RepositoryError.keepsChanging` if a parent is newer than the index.
    init(
        _ request: BackupRequest, _ repository: Repository, _ index: BlobIndex,
        _ onEvent: (BackupEvent) -> Void
    ) throws {
        // A copy needs no chain: it has the entries of its original, and its parent only avoids reading files again.
        let chain =
            request.copied == nil ? try Chain(request, repository, onEvent) : Chain()
        isArchive = request.isArchive(after: chain)
        others = chain.latest == nil && request.archive == .asBefore ? chain.others : []
        if isArchive, let lost = chain.lost { throw ArchiveEndsError(snapshot: lost) }
        let heads = isArchive ? Array(chain.branches.prefix(Self.branchesAtATime)) : []
        let resumed = chain.latest?.isArchive == false ? heads.first : nil
        (self.resumed, branches) = (resumed, heads.filter { $0.id != resumed?.id })
        let uses = try Self.uses(of: chain, heads, request, repository, isArchive: isArchive)
        // A snapshot that was committed after the index was read needs a newer index.
        guard uses.allSatisfy({ index.isSince($0.snapshot) }) else {
            throw RepositoryError.keepsChanging(location: repository.store.location)
        }
        let rootCount = SourceTally(roots: request.paths).roots.count
        let isArchive = isArchive
        tracks = try uses.compactMap { snapshot, uses in
            do {
                let cursor = try ParentCursor(snapshot, repository: repository, index: index)
                return ParentTrack(cursor, uses, rootCount: rootCount)
            } catch {
                if isArchive, uses.contains(.following) { throw error }
                if uses.contains(.comparing) { onEvent(.parentUnreadable(error)) }
                return nil
            }
        }
        latest = tracks.first { $0.snapshot.id == chain.latest?.id }
        trusted = tracks.first { $0.snapshot.id == chain.trusted?.id }
        for track in [latest, trusted] { track?.saysHowMuch = true }
        // The content of missed files shows whether they were only renamed. An archive keeps all gone files, renamed or
        // not, so it needs no sample of that content.
        if !isArchive {
            for track in [latest, trusted] { track?.missedContent = ContentSample() }
        }
        parent =
            tracks.first { $0.uses.contains(.comparing) }?.snapshot ?? (isArchive ? latest?.snapshot : nil)
        // An archive's recorded parent must be a snapshot that the archive follows, even if files are compared with
        // another one.
        let first = tracks.first { $0.uses.isSuperset(of: [.comparing, .following]) }?.snapshot
        let predecessor = isArchive ? first ?? latest?.snapshot : parent
        func isAfter(_ snapshot: CommitRecord) -> Bool { request.time.map { snapshot.time > $0 } ?? false }
        if case .latest = request.parent, let predecessor, isAfter(predecessor) {
            recordedParent = nil
        } else {
            recordedParent = predecessor
        }
        var stoodFor = chain.order?.carriedOver(by: recordedParent.map { [$0] } ?? []) ?? []
        if let recordedParent { stoodFor.insert(recordedParent.originalID) }
        joined = tracks.filter { isArchive && $0.uses.contains(.following) }.map(\.snapshot).filter {
            $0.isArchive && $0.isComplete && !isAfter($0) && !stoodFor.contains($0.originalID)
        }
    }

    /// Returns each parent with its uses, in the order of `tracks`.
    private static func uses(
        of chain: Chain, _ heads: [CommitRecord], _ request: BackupRequest, _ repository: Repository,
        isArchive: Bool
    ) throws -> [(snapshot: CommitRecord, uses: ParentTrack.Uses)] {
        var uses: [(snapshot: CommitRecord, uses: ParentTrack.Uses)] = []
        func add(_ snapshot: CommitRecord?, _ more: ParentTrack.Uses) {
            guard let snapshot else { return }
            if let place = uses.firstIndex(where: { $0.snapshot.id == snapshot.id }) {
                uses[place].uses.formUnion(more)
            } else {
                uses.append((snapshot, more))
            }
        }
        var chainUses: ParentTrack.Uses = .following
        switch request.parent {
        case .latest: chainUses.insert(.comparing)
        case .snapshot(let id):
            let asked = try repository.snapshot(id)
            // If the chain has a complete snapshot, an archive follows the chain only. The snapshot that the user asked
            // for may be older, and have entries that the user has since removed from the archive. Following that
            // snapshot would bring these entries back.
            let isFollowed = request.copied == nil && (!isArchive || chain.latest == nil)
            add(asked, isFollowed ? [.comparing, .following] : .comparing)
            if !isArchive { chainUses = [] }
        case .none: break
        }
        for partial in isArchive ? chain.partials : Array(chain.partials.prefix(1)) {
            add(partial, chainUses)
        }
        add(chain.latest, chainUses)
        add(chain.trusted, chainUses.subtracting(.following))
        for head in heads { add(head, [.following, .branching]) }
        return uses
    }

    /// The snapshots whose entries an archive carries over, in the order of `tracks`.
    var followed: [CommitRecord] { tracks.filter { $0.uses.contains(.following) }.map(\.snapshot) }

    /// Enters the archives into the report.
    func enterArchives(in report: inout BackupReport) {
        if let latest = latest?.snapshot, latest.isArchive {
            report.earlierArchive = (latest, latest.counters.goneFiles)
        }
        report.resumedArchive = resumed
        (report.joinedArchives, report.otherArchives) = (branches, others)
    }

    /// Throws if an archive cannot continue because a parent's manifest could not be read.
    func expectFollowed() throws {
        guard isArchive else { return }
        for track in tracks where track.uses.contains(.following) {
            if let failure = track.cursor.failure { throw failure }
        }
    }

    /// Reports the parents that could not be read. Because of them, files were read again.
    func tellFailures(_ onEvent: (BackupEvent) -> Void) {
        for track in tracks where track.uses.contains(.comparing) {
            if let failure = track.cursor.failure { onEvent(.parentUnreadable(failure)) }
        }
    }

    /// True if there is no complete snapshot of the same device and paths yet.
    var isFirst: Bool { latest == nil }

    /// The snapshots that say how many files the source had: `latest`, and `trusted` if it is another snapshot.
    var doubtable: [CommitRecord] {
        guard let latest else { return [] }
        return [latest, trusted ?? latest].map(\.snapshot).reduce(into: []) { snapshots, next in
            if snapshots.last?.id != next.id { snapshots.append(next) }
        }
    }

    /// Returns the doubts about the source after a complete walk. `isMeant` is true if the user says that the present
    /// state of the source is intended.
    func doubts(_ tally: SourceTally, _ stored: StoredTally, isMeant: Bool) -> SourceDoubts {
        SourceDoubts(tally, stored, latest: latest, trusted: trusted, isArchive: isArchive, isMeant: isMeant)
    }
}

/// An archive cannot continue: a snapshot is unreadable, and the next archive would lack the entries that only this
/// snapshot has.
public struct ArchiveEndsError: Error, CustomStringConvertible {
    /// The snapshot that cannot be read.
    public let snapshot: UnreadableSnapshot

    /// Says which snapshot it is, and why that matters.
    public var description: String {
        "snapshot \(snapshot.id.short) cannot be read, and the archive would lose the files that only it has: \(snapshot.error)"
    }
}

extension BackupRequest {
    /// True if the backup is an archive, given the snapshots before it.
    fileprivate func isArchive(after chain: Chain) -> Bool {
        if copied != nil { return false }
        return switch archive {
        case .yes: true
        case .no: false
        case .asBefore: chain.goesOnAsArchive
        }
    }
}

/// The snapshots of one device and paths that matter to the next backup.
private struct Chain {
    /// The last commit of each interrupted run after `latest`, newest first.
    var partials: [CommitRecord] = []
    /// The latest complete snapshot.
    var latest: CommitRecord?
    /// The latest complete snapshot that is not in doubt.
    var trusted: CommitRecord?
    /// The heads besides `latest`, newest first.
    var branches: [CommitRecord] = []
    /// The archives of other devices or paths, newest first; filled only if the device and paths of the request have no
    /// snapshot. For each other pair of device and paths, the list has the latest complete snapshot if that is an
    /// archive. Two kinds of snapshots count: those of the request's device, whatever their host, and those of the
    /// request's host, whatever their device.
    var others: [CommitRecord] = []
    /// The order of all snapshots.
    var order: SnapshotOrder?
    /// An unreadable snapshot that cannot be followed, and for which no readable archive stands.
    var lost: UnreadableSnapshot?

    init() {}

    /// True if the next backup is an archive unless the user says otherwise. This is so if the latest complete snapshot
    /// is an archive. It is also so if the latest complete snapshot is no archive but a copy, and `branches` has
    /// archives, none of which is an ancestor of that copy: such a copy came from elsewhere and did not end those
    /// archives.
    var goesOnAsArchive: Bool {
        guard let latest, let order, !latest.isArchive else { return latest?.isArchive == true }
        guard latest.original != nil, !branches.isEmpty else { return false }
        let ancestors = order.ancestors(of: [latest])
        return !branches.contains { ancestors.contains($0.originalID) }
    }

    init(_ request: BackupRequest, _ repository: Repository, _ onEvent: (BackupEvent) -> Void) throws {
        let list = try repository.settledSnapshotList()
        for snapshot in list.unreadable { onEvent(.snapshotUnreadable(snapshot)) }
        var known = list.readable
        if !list.unreadable.isEmpty {
            // A backup may not rely on blobs of a session whose commit record is missing, even if the record's spare
            // exists.
            let followable = list.unreadable.filter { !$0.isMissing && !$0.isDoubtful && $0.spare != nil }
            let carriedOver = list.order.carriedOver(by: known)
            let isFine = carriedOver.union(followable.map(\.id))
            lost = list.unreadable.first { !isFine.contains($0.id) }
            known = (known + followable.compactMap(\.spare)).sorted(by: list.order.precedes)
        }
        var related = known.filter {
            $0.device == request.device && Set($0.paths) == Set(request.paths)
        }
        // If the user gave a date, only snapshots up to that date can be parents. If there are none, every related
        // snapshot can be.
        if let time = request.time, related.contains(where: { list.order.time(of: $0) <= time }) {
            related.removeAll { list.order.time(of: $0) > time }
        }
        let doubts = SnapshotDoubts(among: related)
        if related.isEmpty {
            var seen: Set<SnapshotGroup> = []
            others = known.reversed().filter {
                ($0.device == request.device || $0.host == request.host) && $0.isComplete
                    && seen.insert(SnapshotGroup(of: $0)).inserted && $0.isArchive
            }
        }
        order = list.order
        let heads = list.order.heads(among: related)
        // An archive that is no head is not the latest, even if a fast clock gave it a later time.
        let isHead = Set(heads.map(\.id))
        let latest = related.last { $0.isComplete && (!$0.isArchive || isHead.contains($0.id)) }
        (self.latest, branches) = (latest, heads.filter { $0.id != latest?.id })
        trusted = related.last { $0.isComplete && !doubts.standing.contains($0.id) }
        // A later complete snapshot supersedes a partial one. The checkpoints of a run have the same time, and the last
        // one has the entries of the others.
        for partial in related.reversed() where !partial.isComplete {
            if let latest, list.order.precedes(partial, latest) { break }
            if partials.last?.time != partial.time { partials.append(partial) }
        }
    }
}
