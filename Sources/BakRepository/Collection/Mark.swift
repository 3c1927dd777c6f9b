// Mark: the trusted index at one moment, and the blobs in it to which the snapshots refer. If a commit record, an index
// segment or a manifest cannot be read, it is unknown which blobs are needed. Then taking the mark throws, so that
// nothing is deleted.

import BakCore
import BakFormat
import BakStorage

/// The blobs that a repository holds, and those that its snapshots need.
struct Mark {
    /// The trusted index.
    let index: BlobIndex
    /// The entries of the index, sorted.
    let sorted: SortedIndex
    /// The segments from which the index was read.
    let trusted: TrustedSegments
    /// The snapshots that are not forgotten.
    let snapshots: [CommitRecord]
    /// The doubts about forgotten snapshots with damaged markers. The remaining blobs of these snapshots are in `live`.
    let doubts: [ForgetDoubt]
    /// The blobs that must stay: those to which `snapshots` and `doubts` refer.
    let live: LiveBlobs
    private let forgotten: Set<ID128>

    /// Takes a mark. After an error it tries again, because another program may have caused the error. A collection may
    /// have deleted objects during the mark. A listing may take several calls. It may then have shown a new snapshot
    /// but not the older snapshot that stored blobs of the new one. Throws the error if the listings have not changed
    /// since the previous error. The snapshots in `ignoring` count as forgotten.
    static func take(
        _ repository: Repository, ignoring: Set<ID128> = [], workerCount: Int,
        _ milestones: Milestones = Milestones(), overlooksMissing: Bool = false,
        onProgress: (_ done: Int, _ total: Int) throws -> Void
    ) throws -> Mark {
        var before: Listed?
        while true {
            let milestones = milestones.inside([before?.knowledge ?? "no trouble"])
            milestones.reached("mark")
            do {
                return try Mark(
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

    /// True if a new mark would have the same result.
    func isCurrent(_ repository: Repository) throws -> Bool {
        try Listed(repository)
            == Listed(
                round: trusted.round, committed: trusted.listed.committed,
                damaged: trusted.listed.damaged, forgotten: forgotten)
    }

    /// All of the mark in words, for `Milestones`.
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
        // A listing tells tombstones from commit records by their size. A commit record that lost its end could have
        // that size, so each tombstone is read.
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

/// The state on which the result of a mark depends, as listings show it.
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
    /// Returns the packs in the store with their sizes in bytes.
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
