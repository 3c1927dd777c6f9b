// BackupParents: the earlier snapshots that a backup uses. Each has one or more uses: the backup compares files with
// it, an archive follows it, or it tells how many files there were.
//
// Always holds: an archive follows every snapshot that may hold an entry which no other followed snapshot has. These
// are the latest complete snapshot, each archive that no other stands for, and the last commit of each interrupted run
// after the latest. The record names only snapshots that were followed. A backup follows a limited number of archives;
// the next backup follows the rest. A snapshot with a damaged record takes part through its spare. The backup of an
// archive fails rather than skip a snapshot that cannot be followed.

import BakCore
import BakFormat
import BakRepository

/// The parents of one backup.
final class BackupParents {
    /// Every parent, newest first. A parent that the user asked for comes before all others.
    let tracks: [ParentTrack]
    /// True if the backup is an archive.
    let isArchive: Bool
    /// The snapshot that the backup continues from.
    let parent: CommitRecord?
    /// The parent that the snapshot's record names. It is nil if the parent is dated after the time that the user gave.
    /// Files are then compared with that parent, but the snapshot does not come after it.
    let recordedParent: CommitRecord?
    /// The latest complete snapshot of the same device and paths.
    private let latest: ParentTrack?
    /// The latest of these that is not in doubt.
    private let trusted: ParentTrack?
    /// The archive that this one resumes after snapshots that were not archives.
    let resumed: CommitRecord?
    /// Further archives, besides `resumed`, that this one carries over because the latest complete snapshot does not
    /// stand for them.
    let branches: [CommitRecord]
    /// The latest archives of the device's other paths, if nothing says whether this backup is an archive.
    let others: [CommitRecord]
    /// All archives that the record says it stands for, besides its parent.
    let joined: [CommitRecord]
    /// How many archives are followed besides the latest. Each needs memory for a list of files.
    static let branchesAtATime = 8

    /// Chooses and opens the parents. Throws `RepositoryError.keepsChanging` if one is newer than the index.
    init(
        _ request: BackupRequest, _ repository: Repository, _ index: BlobIndex,
        _ onEvent: (BackupEvent) -> Void
    ) throws {
        // A copy is whatever its original is; its parent only saves reading.
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
        // An archive keeps files that its source no longer has, whatever has replaced them. It needs no sample of them.
        if !isArchive {
            for track in [latest, trusted] { track?.missedContent = ContentSample() }
        }
        parent =
            tracks.first { $0.uses.contains(.comparing) }?.snapshot ?? (isArchive ? latest?.snapshot : nil)
        // An archive comes after a snapshot that it follows, even if it is compared with another.
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

    /// Returns each parent with its uses, in the order of the tracks.
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
            // An archive continues what its chain has. An older snapshot may still hold entries that were removed from
            // the chain since, so it is not followed.
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

    /// The snapshots that an archive carries over from, newest first.
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

    /// Reports parents that could not be read, so that files were read again.
    func tellFailures(_ onEvent: (BackupEvent) -> Void) {
        for track in tracks where track.uses.contains(.comparing) {
            if let failure = track.cursor.failure { onEvent(.parentUnreadable(failure)) }
        }
    }

    /// True if there is no complete snapshot of the same device and paths yet.
    var isFirst: Bool { latest == nil }

    /// The snapshots that tell how many files there were.
    var doubtable: [CommitRecord] {
        guard let latest else { return [] }
        return [latest, trusted ?? latest].map(\.snapshot).reduce(into: []) { snapshots, next in
            if snapshots.last?.id != next.id { snapshots.append(next) }
        }
    }

    /// Returns the doubts about the source after a complete walk.
    func doubts(_ tally: SourceTally, _ stored: StoredTally, isMeant: Bool) -> SourceDoubts {
        SourceDoubts(tally, stored, latest: latest, trusted: trusted, isArchive: isArchive, isMeant: isMeant)
    }
}

/// An archive cannot continue, because no later snapshot would have the entries that only an unreadable snapshot has.
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
    /// The archives besides `latest` that no other archive stands for, newest first.
    var branches: [CommitRecord] = []
    /// The latest complete snapshots of the device's other paths, as far as they are archives, newest first.
    var others: [CommitRecord] = []
    /// The order of all snapshots.
    var order: SnapshotOrder?
    /// A snapshot that cannot be followed and that no archive is known to carry over completely.
    var lost: UnreadableSnapshot?

    init() {}

    /// True if the archive goes on. A copy of a snapshot that is not an archive ends it only if it came after the
    /// archive.
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
            // A backup may not rely on blobs of a session whose record is missing.
            let followable = list.unreadable.filter { !$0.isMissing && !$0.isDoubtful && $0.spare != nil }
            let carriedOver = list.order.carriedOver(by: known)
            let isFine = carriedOver.union(followable.map(\.id))
            lost = list.unreadable.first { !isFine.contains($0.id) }
            known = (known + followable.compactMap(\.spare)).sorted(by: list.order.precedes)
        }
        var related = known.filter {
            $0.device == request.device && Set($0.paths) == Set(request.paths)
        }
        // The user's date says where in the history the snapshot belongs.
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
        // An archive that another stands for is not the latest, even if a fast clock gave it a later time.
        let isHead = Set(heads.map(\.id))
        let latest = related.last { $0.isComplete && (!$0.isArchive || isHead.contains($0.id)) }
        (self.latest, branches) = (latest, heads.filter { $0.id != latest?.id })
        trusted = related.last { $0.isComplete && !doubts.standing.contains($0.id) }
        // A run's checkpoints come before the snapshot that completes it, and add nothing to it.
        for partial in related.reversed() where !partial.isComplete {
            if let latest, list.order.precedes(partial, latest) { break }
            if partials.last?.time != partial.time { partials.append(partial) }
        }
    }
}
