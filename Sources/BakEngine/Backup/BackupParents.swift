// BackupParents: the earlier snapshots that a backup is compared with, that it follows, and that say how much there
// was.
//
// Always holds: an archive follows everything that may hold an entry which no other followed snapshot has: the latest
// complete one, each archive that no other stands for, and, of each interrupted run after it, what it committed last;
// and its record names only what it followed. So many archives are followed at a time; what is left is followed by the
// next backup. A snapshot with a damaged record is one of those by its spare; an archive does not go on past one that
// cannot be followed.

import BakCore
import BakFormat
import BakRepository

/// The parents of one backup.
final class BackupParents {
    /// Every parent, the newest first but one that was asked for before all others.
    let tracks: [ParentTrack]
    /// Whether the backup is an archive.
    let isArchive: Bool
    /// What the backup goes on from.
    let parent: CommitRecord?
    /// What its record names as its parent. One that is dated after what the user says the snapshot is of serves to be
    /// compared with, but the snapshot does not come after it.
    let recordedParent: CommitRecord?
    /// The latest complete snapshot of the same device and paths.
    private let latest: ParentTrack?
    /// The latest of these that is not in doubt.
    private let trusted: ParentTrack?
    /// The archive that this one takes up again, after snapshots that were none.
    let resumed: CommitRecord?
    /// The archives beside that one which this one carries over and the latest complete snapshot does not stand for.
    let branches: [CommitRecord]
    /// Where nothing says whether this is an archive: the latest archives of the device's other paths.
    let others: [CommitRecord]
    /// All that the record is to say that it stands for, beside its parent.
    let joined: [CommitRecord]
    /// So many archives are followed beside the latest: each takes memory for a list of files.
    static let branchesAtATime = 8

    /// Chooses and opens them. Throws `RepositoryError.keepsChanging` where one is newer than the index.
    init(
        _ request: BackupRequest, _ repository: Repository, _ index: BlobIndex,
        _ onEvent: (BackupEvent) -> Void
    ) throws {
        // A copy is what its original is: its parent only spares reading.
        let chain =
            request.copied == nil ? try Chain(request, repository, onEvent) : Chain()
        isArchive = request.isArchive(after: chain)
        others = chain.latest == nil && request.archive == .asBefore ? chain.others : []
        if isArchive, let lost = chain.lost { throw ArchiveEndsError(snapshot: lost) }
        let heads = isArchive ? Array(chain.branches.prefix(Self.branchesAtATime)) : []
        let resumed = chain.latest?.isArchive == false ? heads.first : nil
        (self.resumed, branches) = (resumed, heads.filter { $0.id != resumed?.id })
        let uses = try Self.uses(of: chain, heads, request, repository, isArchive: isArchive)
        // What has been committed since the index was read is looked for in a newer one.
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
        // From an archive nothing falls out that its source has no more, whatever has come in its place.
        if !isArchive {
            for track in [latest, trusted] { track?.missedContent = ContentSample() }
        }
        parent =
            tracks.first { $0.uses.contains(.comparing) }?.snapshot ?? (isArchive ? latest?.snapshot : nil)
        // An archive comes after what it follows, whatever else it is compared with.
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

    /// What each parent is for, in the order of the tracks.
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
            // What an archive has is what its chain has, and no older snapshot, out of which things may have been
            // taken.
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

    /// What an archive carries over from, the newest first.
    var followed: [CommitRecord] { tracks.filter { $0.uses.contains(.following) }.map(\.snapshot) }

    /// Enters what there is to say of archives.
    func enterArchives(in report: inout BackupReport) {
        if let latest = latest?.snapshot, latest.isArchive {
            report.earlierArchive = (latest, latest.counters.goneFiles)
        }
        report.resumedArchive = resumed
        (report.joinedArchives, report.otherArchives) = (branches, others)
    }

    /// Throws if an archive cannot go on, because it is not known what a parent has.
    func expectFollowed() throws {
        guard isArchive else { return }
        for track in tracks where track.uses.contains(.following) {
            if let failure = track.cursor.failure { throw failure }
        }
    }

    /// Tells of parents that were no help, so that files were read again.
    func tellFailures(_ onEvent: (BackupEvent) -> Void) {
        for track in tracks where track.uses.contains(.comparing) {
            if let failure = track.cursor.failure { onEvent(.parentUnreadable(failure)) }
        }
    }

    /// Whether there is no complete snapshot of the same device and paths yet.
    var isFirst: Bool { latest == nil }

    /// The snapshots that say how much there was.
    var doubtable: [CommitRecord] {
        guard let latest else { return [] }
        return [latest, trusted ?? latest].map(\.snapshot).reduce(into: []) { snapshots, next in
            if snapshots.last?.id != next.id { snapshots.append(next) }
        }
    }

    /// What the source may lack, after a whole walk.
    func doubts(_ tally: SourceTally, _ stored: StoredTally, isMeant: Bool) -> SourceDoubts {
        SourceDoubts(tally, stored, latest: latest, trusted: trusted, isArchive: isArchive, isMeant: isMeant)
    }
}

/// An archive that cannot go on: what only an unreadable snapshot has would be in no later one.
public struct ArchiveEndsError: Error, CustomStringConvertible {
    /// The snapshot that cannot be read.
    public let snapshot: UnreadableSnapshot

    /// Says which snapshot it is, and why that matters.
    public var description: String {
        "snapshot \(snapshot.id.short) cannot be read, and the archive would lack what only that one has: \(snapshot.error)"
    }
}

extension BackupRequest {
    /// Whether the backup is an archive, by the snapshots before it.
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
    /// Of each interrupted run after `latest`, what it committed last; the newest first.
    var partials: [CommitRecord] = []
    /// The latest complete one.
    var latest: CommitRecord?
    /// The latest complete one that is not in doubt.
    var trusted: CommitRecord?
    /// The archives beside `latest` that no other stands for, the newest first.
    var branches: [CommitRecord] = []
    /// Of the device's other paths the latest complete snapshots that are archives, the newest first.
    var others: [CommitRecord] = []
    /// The order of all snapshots.
    var order: SnapshotOrder?
    /// A snapshot that cannot be followed, and of which no archive is known to have all that it has.
    var lost: UnreadableSnapshot?

    init() {}

    /// Whether nobody has ended the archive: a copy of a snapshot that is none, and did not come after it, does not.
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
            // Nobody stores by what a session has stored whose record is missing.
            let followable = list.unreadable.filter { !$0.isMissing && !$0.isDoubtful && $0.spare != nil }
            let carriedOver = list.order.carriedOver(by: known)
            let isFine = carriedOver.union(followable.map(\.id))
            lost = list.unreadable.first { !isFine.contains($0.id) }
            known = (known + followable.compactMap(\.spare)).sorted(by: list.order.precedes)
        }
        var related = known.filter {
            $0.device == request.device && Set($0.paths) == Set(request.paths)
        }
        // Who names a date says where in the history the snapshot belongs.
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
        // What another stands for is not the latest, even if a clock was ahead when it was made.
        let isHead = Set(heads.map(\.id))
        let latest = related.last { $0.isComplete && (!$0.isArchive || isHead.contains($0.id)) }
        (self.latest, branches) = (latest, heads.filter { $0.id != latest?.id })
        trusted = related.last { $0.isComplete && !doubts.standing.contains($0.id) }
        // A run's own checkpoints come before what completes it: they say nothing more then.
        for partial in related.reversed() where !partial.isComplete {
            if let latest, list.order.precedes(partial, latest) { break }
            if partials.last?.time != partial.time { partials.append(partial) }
        }
    }
}
