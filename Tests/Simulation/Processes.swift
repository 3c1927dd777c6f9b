// The simulated processes. They call the same code as the program's commands.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import TestSupport

@testable import BakRepository

extension Surroundings {
    func open() throws -> Repository {
        try Repository.open(store, cache: cache, time: time, random: random)
    }
}

extension Process {
    /// Makes a repository.
    static let initialize = Process(name: "init") { surroundings in
        var options = Repository.Options(classes: Contents.classes)
        options.packBytes = 1 << 20
        _ = try Repository.create(
            in: surroundings.store, options: options, cache: surroundings.cache, time: surroundings.time,
            random: ForwardedRandom(base: surroundings.random))
    }

    /// Backs up the files with the given numbers, and calls `onCommit` with each snapshot.
    ///
    /// - Parameters:
    ///   - hasParent: true if the backup takes over files from the newest snapshot, as a second backup does.
    ///   - checkpoint: the number of files after which a partial snapshot is committed.
    ///   - sessionLimit: how many sessions the backup begins before it gives up.
    ///   - closes: true if the backup closes its sessions at its end, however it ends, as `Backup` does.
    static func backup(
        _ numbers: [Int], hasParent: Bool = false, checkpoint: Int? = nil, sessionLimit: Int = .max,
        closes: Bool = false, faults: ProtocolFaults = ProtocolFaults(), sweepFault: SweepFault? = nil,
        onCommit: @escaping @Sendable (CommitRecord) -> Void = { _ in }
    ) -> Process {
        Process(name: "backup") { surroundings in
            var faults = faults
            let store = surroundings.store as? ActorStore
            store?.sessionsLeft = sessionLimit
            store?.sweepFault = sweepFault
            let repository = try surroundings.open()
            var kept = BackupSession.KeptPacks()
            // If a collection has ended the session, the backup begins again and keeps its packs, as `Backup` does.
            for attempt in 1... {
                faults.milestones = surroundings.milestones.inside(
                    ["attempt \(attempt) \(store?.sessionsLeft ?? 0)"])
                let session = try BackupSession(
                    repository, host: "host", program: "test", keeping: kept, faults: faults)
                defer { if closes { session.close() } }
                do {
                    let run = BackupOfNumbers(repository, session, onCommit)
                    return try run.run(numbers, hasParent: hasParent, checkpoint: checkpoint)
                } catch RepositoryError.sessionRevoked where attempt < 20 {
                    kept = session.keptPacks
                } catch RepositoryError.unpublishedRemoved where attempt < 20 { kept = session.keptPacks }
            }
        }
    }

    /// Prunes until nothing is unused. With `isOneRound`, the time limit ends the prune when it has decided one round.
    static func prune(
        graceSeconds: UInt64 = 0, isOneRound: Bool = false, faults: ProtocolFaults = ProtocolFaults(),
        ignoresSpares: Bool = false,
        onReport: @escaping @Sendable (PruneReport) -> Void = { _ in }
    ) -> Process {
        Process(name: "prune") { surroundings in
            (surroundings.store as? ActorStore)?.ignoresSpares = ignoresSpares
            var options = PruneOptions()
            options.maxUnused = .bytes(0)
            options.graceSeconds = graceSeconds
            options.pause = surroundings.pause
            var faults = faults
            faults.milestones = surroundings.milestones
            var onEvent: @Sendable (PruneEvent) -> Void = { _ in }
            if isOneRound, let time = surroundings.time as? SimulatedTime {
                options.maxDurationNanoseconds = 1
                onEvent = { if case .step(.indexing) = $0 { time.advance(seconds: 1) } }
            }
            let prune = Prune(
                try surroundings.open(), options, host: "host", program: "test", onEvent: onEvent,
                faults: faults)
            onReport(try prune.run())
        }
    }

    /// Forgets the snapshots that `choose` picks.
    static func forget(_ choose: @escaping @Sendable ([CommitRecord]) -> [ID128]) -> Process {
        Process(name: "forget") { surroundings in
            let repository = try surroundings.open()
            let chosen = choose(try repository.snapshots().readable)
            if !chosen.isEmpty { try repository.forget(chosen, host: "host", program: "test") }
        }
    }

    /// Takes back the forgotten snapshot that `choose` returns.
    static func takeBack(
        faults: ProtocolFaults = ProtocolFaults(),
        onCommit: @escaping @Sendable (CommitRecord) -> Void = { _ in },
        _ choose: @escaping @Sendable (Repository) throws -> CommitRecord?
    ) -> Process {
        Process(name: "take back") { surroundings in
            let repository = try surroundings.open()
            guard let chosen = try choose(repository) else { return }
            var faults = faults
            faults.milestones = surroundings.milestones
            let outcome = try repository.takeBack(chosen, host: "host", program: "test", faults: faults)
            if case .back(let record) = outcome { onCommit(record) }
        }
    }

    /// The ways to lose or damage a commit record.
    enum RecordLoss: Int { case deleted, cut, cutToATombstonesLength, changed }

    /// Loses or damages the commit record of a snapshot that has a spare. `choose` gets the number of such snapshots,
    /// and returns the index of one.
    static func lose(
        _ loss: RecordLoss, _ choose: @escaping @Sendable (_ count: Int) -> Int
    ) -> Process {
        Process(name: "lose") { surroundings in
            let repository = try surroundings.open()
            let spared = try repository.spares().keys.sorted()
            let there = try repository.sessionOutcomes().committed.intersection(spared).sorted()
            guard !there.isEmpty else { return }
            let key = ObjectNames.snapshot(there[choose(there.count)])
            var bytes = try repository.store.readWhole(key, upTo: FormatLimits.recordBytes)
            switch loss {
            case .deleted: bytes = []
            case .cut: bytes = Array(bytes.prefix(60))
            case .cutToATombstonesLength: bytes = Array(bytes.prefix(Tombstone.objectBytes))
            case .changed: bytes[100] ^= 1
            }
            try surroundings.store.delete(key)
            if !bytes.isEmpty { _ = try bytes.withUnsafeBytes { try surroundings.store.put(key, $0) } }
        }
    }

    /// Deletes the commit record of one snapshot.
    static func lose(_ snapshot: ObjectKey) -> Process {
        Process(name: "lose") { try $0.store.delete(snapshot) }
    }

    /// Removes the unpublished objects of writers that stopped.
    static func sweep(_ fault: SweepFault? = nil) -> Process {
        Process(name: "sweep") { surroundings in
            (surroundings.store as? ActorStore)?.sweepFault = fault
            try surroundings.open().removeLeavings()
        }
    }

    /// Brings back snapshots that have lost their records.
    static let bringBack = Process(name: "bring back") { surroundings in
        _ = try RepairSnapshots(try surroundings.open(), RepairRequest(host: "host", program: "test")).run()
    }

    /// Reads every snapshot. Reports a fault if it cannot read a snapshot that was not forgotten meanwhile.
    static func read(onFault: @escaping @Sendable (String) -> Void) -> Process {
        Process(name: "read") { surroundings in
            let repository = try surroundings.open()
            let snapshots = try repository.snapshots().readable
            let index = try BlobIndex(repository)
            for snapshot in snapshots {
                do {
                    if let fault = try Contents.fault(in: snapshot, repository, index) { onFault(fault) }
                } catch let error where !(error is StoreError) {
                    guard try !repository.forgotten().contains(snapshot.id) else { continue }
                    onFault("snapshot \(snapshot.id.short): \(error)")
                }
            }
        }
    }
}

/// One attempt at a backup.
private struct BackupOfNumbers {
    private let repository: Repository
    private let session: BackupSession
    private let onCommit: (CommitRecord) -> Void

    init(_ repository: Repository, _ session: BackupSession, _ onCommit: @escaping (CommitRecord) -> Void) {
        (self.repository, self.session, self.onCommit) = (repository, session, onCommit)
    }

    func run(_ numbers: [Int], hasParent: Bool, checkpoint: Int?) throws {
        let known = hasParent ? try parentEntries() : [:]
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        for (place, number) in numbers.enumerated() {
            if place == checkpoint {
                try commit(Array(numbers.prefix(place)), try manifest.storeRoot(), continuing: true)
            }
            if let chunk = known[number], session.index.holds(chunk) {
                try manifest.append(Contents.entry(number, chunk))
                continue
            }
            let chunk = try Contents.bytes(number).withUnsafeBytes {
                try chunks.store($0, isCompressed: false)
            }
            try manifest.append(Contents.entry(number, chunk))
        }
        try commit(numbers, try manifest.storeRoot(), continuing: false)
    }

    private func commit(_ numbers: [Int], _ root: BlobReference, continuing: Bool) throws {
        let record = try session.commit(continuing: continuing) {
            Contents.record($0, numbers, hasIndex: $1, root: root, at: repository.time.now())
        }
        onCommit(record)
    }

    /// Returns the chunks of the newest snapshot's files. A snapshot that cannot be read is not used as a parent.
    private func parentEntries() throws -> [Int: BlobReference] {
        var known: [Int: BlobReference] = [:]
        guard let parent = try repository.snapshots().readable.last else { return known }
        do {
            let reader = try ManifestReader(parent, repository: repository, index: session.index)
            while case .entry(let entry)? = try reader.next() {
                guard case .extents(let extents) = entry.content, case .chunk(let chunk)? = extents.first,
                    let number = Int(String(decoding: entry.path.dropFirst(4), as: UTF8.self))
                else { continue }
                known[number - 1000] = chunk
            }
        } catch let error where !(error is StoreError) {}
        return known
    }
}

/// A concrete type for any source of randomness, for callers that need one.
struct ForwardedRandom: RandomSource {
    let base: any RandomSource
    func fill(_ buffer: UnsafeMutableRawBufferPointer) { base.fill(buffer) }
}
