// Survey: what counts at some moment and what of it the snapshots refer to. It is all or nothing: where a commit
// record, an index segment or a manifest cannot be read, nobody knows what is needed, and the error says so.

import BakCore
import BakFormat
import BakStorage

/// What a repository holds and needs.
struct Survey {
    /// The trusted index.
    let index: BlobIndex
    /// Its entries, sorted.
    let sorted: SortedIndex
    /// The segments that it was read from.
    let trusted: TrustedSegments
    /// The snapshots that stay.
    let snapshots: [CommitRecord]
    /// Forgotten snapshots whose markers are damaged: what is there of them stays.
    let doubts: [ForgetDoubt]
    /// What they refer to.
    let live: LiveBlobs
    private let forgotten: Set<ID128>

    /// Looks, again and again while others get in the way: what another collection removed is missing here, and a
    /// listing that takes several calls may show a snapshot and not the one before it that it counts on. Throws what
    /// is wrong when that is so while nothing changes. `ignoring` are snapshots that count as forgotten.
    static func take(
        _ repository: Repository, ignoring: Set<ID128> = [], workerCount: Int,
        _ milestones: Milestones = Milestones(), overlooksMissing: Bool = false,
        onProgress: (_ done: Int, _ total: Int) throws -> Void
    ) throws -> Survey {
        var before: Listed?
        while true {
            let milestones = milestones.inside([before?.knowledge ?? "no trouble"])
            milestones.reached("survey")
            do {
                return try Survey(
                    repository, ignoring: ignoring, workerCount: workerCount, milestones,
                    overlooksMissing: overlooksMissing, onProgress: onProgress)
            } catch let error as PruneStopped {
                throw error
            } catch {
                let now = try Listed(repository)
                guard now != before else { throw error }
                before = now
            }
        }
    }

    private init(
        _ repository: Repository, ignoring: Set<ID128>, workerCount: Int, _ milestones: Milestones,
        overlooksMissing: Bool, onProgress: (_ done: Int, _ total: Int) throws -> Void
    ) throws {
        index = try BlobIndex(repository, for: .collecting, milestones)
        sorted = try index.soundIndex()
        trusted = index.trusted
        milestones.reached(
            "index", ["\(trusted.outcomes.revoked.sorted())", Self.knowledge(sorted, trusted)])
        forgotten = try repository.forgotten()
        snapshots = try Self.readSnapshots(
            repository, trusted, without: forgotten.union(ignoring), overlooksMissing: overlooksMissing)
        let doubts = try repository.doubts(about: forgotten, index)
        self.doubts = doubts
        var live = try LiveBlobs(
            snapshots.map(\.root), repository, index, sorted, workerCount: workerCount,
            onProgress: onProgress)
        for doubt in doubts {
            guard let root = doubt.snapshot?.root else { throw doubt.error }
            try live.insertWhatIsThere(of: root, repository, index, sorted)
        }
        self.live = live
    }

    /// Whether a new survey would come to the same.
    func isCurrent(_ repository: Repository) throws -> Bool {
        try Listed(repository)
            == Listed(
                round: trusted.round, committed: trusted.listed.committed,
                damaged: trusted.listed.damaged, forgotten: forgotten)
    }

    /// All that it says, for `Milestones`.
    var knowledge: String {
        var living: [Int] = []
        try? sorted.forEachBlob { position, _ in if live.contains(position) { living.append(position) } }
        return "\(living) \(forgotten.sorted()) \(Self.knowledge(sorted, trusted))"
    }

    private static func knowledge(_ sorted: SortedIndex, _ trusted: TrustedSegments) -> String {
        var lines = ["\(trusted.round) \(sorted.packs)"]
        try? sorted.forEachBlob { position, copies in lines.append("\(position) \(copies)") }
        let superseded = trusted.collections.decision?.superseded ?? []
        let (listed, outcomes) = (trusted.listed, trusted.outcomes)
        for ids in [
            Set(superseded), trusted.sessions, outcomes.committed, outcomes.damaged, listed.committed,
            listed.damaged,
        ] {
            lines.append("\(ids.sorted())")
        }
        return lines.joined(separator: "; ")
    }

    private static func readSnapshots(
        _ repository: Repository, _ trusted: TrustedSegments, without forgotten: Set<ID128>,
        overlooksMissing: Bool
    ) throws -> [CommitRecord] {
        let damaged = overlooksMissing ? trusted.listed.damaged : trusted.outcomes.damaged
        for id in damaged.subtracting(forgotten).sorted() {
            throw try repository.faultOfRecord(id)
        }
        // A commit record that lost its end could pass for a tombstone in a listing.
        for id in trusted.outcomes.revoked.subtracting(forgotten).sorted() {
            try repository.expectTombstone(id)
        }
        let superseded = Set(trusted.collections.decision?.superseded ?? [])
        let records = try trusted.outcomes.committed.subtracting(forgotten).sorted().map { id in
            let record: CommitRecord
            do {
                record = try repository.snapshot(id)
            } catch is CorruptionError {
                throw try repository.faultOfRecord(id)
            }
            if record.hasIndex, !superseded.contains(id), !trusted.sessions.contains(id) {
                throw CorruptionError(
                    object: ObjectNames.indexSegment(id).description, offset: 0,
                    reason: "the index segment is missing")
            }
            return record
        }
        let missing = try repository.missingParents(of: records) {
            trusted.outcomes.committed.contains($0) || forgotten.contains($0)
        }
        if let parent = missing.min() { throw try repository.faultOfRecord(parent) }
        return records
    }
}

/// What a survey depends on, as listings show it.
private struct Listed: Equatable {
    var round: UInt64
    var committed: Set<ID128>
    var damaged: Set<ID128>
    var forgotten: Set<ID128>

    var knowledge: String {
        "\(round) \(committed.sorted()) \(damaged.sorted()) \(forgotten.sorted())"
    }
}

extension Listed {
    init(_ repository: Repository) throws {
        round = try repository.collectionRounds().decided
        let outcomes = try repository.sessionOutcomes()
        (committed, damaged) = (outcomes.committed, outcomes.damaged)
        forgotten = try repository.forgotten()
    }
}

extension Repository {
    /// Every pack that is in the store, and its size.
    func listPacks() throws -> [ID128: Int] {
        var packs: [ID128: Int] = [:]
        try store.listPackFolders { objects, _ in
            for info in objects {
                guard let id = ObjectNames.pack(in: info.key) else { continue }
                packs[id] = info.size
            }
        }
        return packs
    }
}
