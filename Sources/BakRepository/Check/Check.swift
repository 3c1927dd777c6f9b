// Check: finds and names damage. It trusts the store alone and not this machine's cache. It reads the index from the
// store, compares every pack that the index names with the pack's footer, and compares every manifest with the index.
//
// A collection may move blobs and delete objects while a check runs. So the check first looks at all objects except
// manifests, and starts again if a collection was decided meanwhile. Then it reports the damage and reads the
// manifests. If a manifest refers to a missing blob, the blob is really lost, unless the snapshot was forgotten.
//
// Besides the mapped index table, a check needs some dozens of bytes for each pack, manifest segment and damaged blob.

import BakCore
import BakFormat
import BakStorage

/// Checks one repository.
public final class RepositoryCheck {
    private let repository: Repository
    private let depth: CheckDepth
    private let workerCount: Int
    private let deadline: UInt64?
    private let onEvent: @Sendable (CheckEvent) -> Void
    private let stop: StopSignal
    private var report = CheckReport()
    private var damage = DamagedBlobs()
    private var told: Set<String> = []
    private var faultyObjects: [CorruptionError.Cause: Set<String>] = [:]
    /// The findings that are not reported yet.
    private var held: [CheckEvent] = []
    /// The read log before this check. `log` adds what this check has read.
    private var firstLog = ReadLog()
    private var log = ReadLog()
    /// The packs that this check has read and found whole.
    private var readPacks: Set<ID128> = []
    /// How often a collection may interfere before the check gives up.
    private static let attempts = 100
    /// The most blobs of damaged packs whose index entries are collected in one pass over the index.
    private static let blobsPerPass = 1 << 20

    /// Prepares a check.
    ///
    /// - Parameters:
    ///   - workerCount: the number of packs to read at once.
    ///   - maximumSeconds: when to stop reading packs, in seconds from now. The rest of the check is always done.
    ///   - onEvent: receives the findings, from any thread.
    ///   - stop: polled; once it is requested, the check ends early.
    public init(
        _ repository: Repository, depth: CheckDepth, workerCount: Int, maximumSeconds: UInt64? = nil,
        onEvent: @escaping @Sendable (CheckEvent) -> Void,
        stop: StopSignal = .never
    ) {
        self.repository = repository
        self.depth = depth
        self.workerCount = workerCount
        let now = repository.time.monotonicNanoseconds()
        deadline = maximumSeconds.map { now &+ $0 &* 1_000_000_000 }
        self.onEvent = onEvent
        self.stop = stop
    }

    /// Checks the repository.
    ///
    /// - Throws: `StoreError`, and `RepositoryError.keepsChanging` if collections interfere in every attempt.
    public func run() throws -> CheckReport {
        firstLog = ReadLog(repository)
        log = firstLog
        for _ in 0..<Self.attempts {
            (report, damage, told, faultyObjects, held) = (CheckReport(), DamagedBlobs(), [], [:], [])
            let round = try repository.collectionRounds().decided
            do {
                let (list, index) = try checkObjects()
                if try repository.collectionRounds().decided == round {
                    return try conclude(list, index)
                }
            } catch let error as StoreError where error.kind == .notFound {
                guard try repository.collectionRounds().decided != round else { throw error }
            }
            if stop.isRequested {
                report = CheckReport()
                report.wasInterrupted = true
                return report
            }
        }
        throw RepositoryError.keepsChanging(location: repository.store.location)
    }

    /// Reports the damage of objects, then looks for snapshots and files that the damage affects.
    private func conclude(_ list: SnapshotList, _ index: BlobIndex) throws -> CheckReport {
        tellHeld()
        onEvent(.step("manifests"))
        try checkManifests(list.readable, index)
        // A repair of the index finds missing blobs that lie whole in packs that the index does not name.
        if report.affectedFiles > 0 || report.affectedSnapshots > 0, report.unusedPacks > 0,
            !report.repairs.contains(.index), wouldFind()
        {
            report.repairs.insert(.index)
        }
        for snapshot in list.unreadable where snapshot.isDamage && !snapshot.isDoubtful {
            if snapshot.isObstructed, snapshot.spare == nil { continue }
            if try snapshot.spare != nil || repository.partialRecord(of: snapshot, index) != nil {
                report.repairs.insert(.snapshots)
            } else {
                report.hopelessSnapshots.append(snapshot.id)
            }
        }
        if report.repairs == [.snapshots] { lookAhead() }
        // A repair of the index or of packs may bring these snapshots back. If not, the next check reports them.
        if !report.repairs.isDisjoint(with: [.index, .packs]) { report.hopelessSnapshots = [] }
        report.wasInterrupted = stop.isRequested
        return report
    }

    /// True if a dry run shows that a repair of the index would find blobs.
    private func wouldFind() -> Bool {
        var request = RepairRequest(host: "", program: "")
        request.isDryRun = true
        let repair = RepairIndex(repository, request, onEvent: { _ in }, stop: stop)
        // If the dry run fails, the repair itself will say what is wrong.
        guard let found = try? repair.run() else { return true }
        return found.foundBlobs > 0 || found.salvagedBlobs > 0
    }

    /// Finds out with a dry run whether a repair of snapshots would still change anything. The repair does nothing for
    /// a snapshot that it has replaced before, unless lost content of the snapshot is back since then.
    private func lookAhead() {
        var request = RepairRequest(host: "", program: "")
        request.isDryRun = true
        let outcomes = RepairOutcomes()
        let repair = RepairSnapshots(
            repository, request, onEvent: outcomes.note, stop: stop)
        // If the dry run fails, the repair itself will say what is wrong.
        guard (try? repair.run()) != nil, !stop.isRequested else { return }
        let known = Set(report.hopelessSnapshots)
        report.hopelessSnapshots += outcomes.hopeless.subtracting(known).sorted()
        if !outcomes.isOfUse { report.repairs = [] }
    }

    /// Checks everything except the content of manifests.
    private func checkObjects() throws -> (SnapshotList, BlobIndex) {
        onEvent(.step("snapshots"))
        var obstructions = try Obstructions(repository.store)
        for found in obstructions.hindering { note(found.key.description, "\(found)") }
        report.obstructions = obstructions.hindering.count
        let list = try repository.snapshotList()
        try checkSnapshots(list, obstructions)
        onEvent(.step("index"))
        let index = try BlobIndex(repository, rebuilding: true) {
            self.note($0)
            self.report.repairs.insert(.index)
        }
        report.blobs = index.count
        try noteUnusedSegments(index)
        try checkCollections()
        try checkVouches()
        try checkKeySlots()
        onEvent(.step("packs"))
        let census = try PackCensus(repository.store, index) { key in
            held.append(.unused(object: key.description, reason: "its name is not that of a pack"))
        }
        obstructions.add(census.obstructions)
        checkListing(census, obstructions)
        try checkPacks(census, index)
        // An obstruction in the place of a missing object is reported already, with that object.
        for found in obstructions.others
        where faultyObjects[.damage]?.contains(found.key.description) != true {
            report.harmlessObjects += 1
            held.append(.harmless(object: found.key.description, reason: "\(found)"))
        }
        return (list, index)
    }

    private func note(_ error: CorruptionError) {
        if error.isRefused { report.hasRefused = true }
        note(error.object, "at byte \(error.offset): \(error.reason)", error.cause)
    }

    private func note(_ object: String, _ reason: String, _ cause: CorruptionError.Cause = .damage) {
        guard told.insert("\(object) \(reason)").inserted else { return }
        faultyObjects[cause, default: []].insert(object)
        func count(_ cause: CorruptionError.Cause) -> Int { faultyObjects[cause]?.count ?? 0 }
        (report.damagedObjects, report.unreadableObjects) = (count(.damage), count(.medium))
        report.unsupportedObjects = count(.newerProgram)
        switch cause {
        case .damage: held.append(.damage(object: object, reason: reason))
        case .medium: held.append(.unreadable(object: object, reason: reason))
        case .newerProgram: held.append(.unsupported(object: object, reason: reason))
        }
    }

    /// Notes damage that shows only when a manifest is read, because the manifest's pack was not read as a whole.
    private func noteManifestDamage(_ error: CorruptionError) {
        guard faultyObjects[error.cause]?.contains(error.object) != true else { return }
        note(error)
        tellHeld()
        let isPack = ObjectKey.isValid(error.object) && ObjectNames.pack(in: ObjectKey(error.object)) != nil
        if isPack, !error.isWhole { report.repairs.insert(.packs) }
    }

    private func tellHeld() {
        for event in held { onEvent(event) }
        held = []
    }

    // MARK: Small objects

    private func checkSnapshots(_ list: SnapshotList, _ obstructions: Obstructions) throws {
        let (readable, unreadable) = (list.readable, list.unreadable)
        try checkSpares()
        report.snapshots = readable.count + unreadable.count
        // Snapshots with a damaged forget marker are left out: `checkCollections` reports their markers.
        for snapshot in unreadable where !snapshot.isDoubtful {
            if let error = snapshot.error as? CorruptionError {
                // The obstruction is reported already. The user must move it away before a check can see the record.
                if snapshot.isObstructed, snapshot.spare == nil { continue }
                if !snapshot.isObstructed { note(error) }
                if error.needsNewerProgram { continue }
            }
            report.affectedSnapshots += 1
            report.unlistedSnapshots += 1
            // Damage of the record itself is noted above.
            let why = snapshot.error is CorruptionError ? "" : ": \(snapshot.error)"
            let what = snapshot.isMissing ? "is missing" : "cannot be read\(why)"
            held.append(.affectedSnapshot(snapshot: snapshot.id, reason: "its commit record \(what)"))
        }
        let segments = Set(try repository.store.list(ObjectNames.index).map(\.key))
        let round = try repository.collectionRounds().decided
        let superseded = try repository.supersededSessions(by: round)
        // If the newest decision is damaged, no segment is reported as missing, because the decision may supersede it.
        let isTold = round == 0 || (try? repository.collectionDecision(round)) != nil
        for record in readable
        where record.hasIndex && !segments.contains(ObjectNames.indexSegment(record.id)) {
            guard isTold, !superseded.contains(record.id) else { continue }
            let key = ObjectNames.indexSegment(record.id)
            note(key.description, "the index segment is \(obstructions.absence(of: key))")
            report.repairs.insert(.index)
        }
        for info in try repository.store.list(ObjectNames.sessions) {
            guard let id = ObjectNames.id(in: info.key) else { continue }
            do {
                _ = try repository.sessionRecord(id)
            } catch var error as CorruptionError {
                if error.cause == .damage { error.reason += ". A prune removes it" }
                note(error)
            } catch let error as StoreError where error.kind == .notFound {
                // The session was decided meanwhile, and a program has removed its record.
            }
        }
    }

    /// Notes spares that cannot be used. They are harmless, because nothing is lost with them.
    private func checkSpares() throws {
        for id in try repository.spares().keys.sorted() {
            do {
                _ = try repository.readRecord(ObjectNames.spare(id), of: id)
            } catch let error as CorruptionError {
                guard error.cause == .damage else {
                    note(error)
                    continue
                }
                noteHarmless(error, "To make it again, run: bakstore repair snapshots")
            } catch let error as StoreError where error.kind == .notFound || error.concernsOneObject {
                // A prune has removed the spare, or an obstruction is in its place.
            }
        }
    }

    /// Notes segments that are not trusted. They are not damage: a prune removes them.
    private func noteUnusedSegments(_ index: BlobIndex) throws {
        let trusted = index.trusted
        let used = Set(trusted.keys.values)
        let superseded = Set(trusted.collections.decision?.superseded ?? [])
        for info in try repository.store.list(ObjectNames.index) where !used.contains(info.key) {
            let reason: String
            if ObjectNames.baseSegment(in: info.key) != nil {
                reason = "no decision names it any more. A prune removes it"
            } else if let id = ObjectNames.id(in: info.key) {
                reason =
                    superseded.contains(id)
                    ? "a decision supersedes it. A prune removes it" : "its session did not commit"
            } else {
                reason = "its name is not that of an index segment"
            }
            held.append(.unused(object: info.key.description, reason: reason))
        }
    }

    /// Checks forget markers and the records of collections.
    private func checkCollections() throws {
        for info in try repository.store.list(ObjectNames.forgotten) {
            guard let id = ObjectNames.id(in: info.key) else {
                held.append(
                    .unused(object: info.key.description, reason: "its name is not that of a forget marker"))
                continue
            }
            do {
                try repository.expectForgetMarker(id)
            } catch let error as CorruptionError {
                note(error)
                if error.cause != .newerProgram { report.damagedMarkers.append(id) }
            }
        }
        repository.distrustMarkers(of: Set(report.damagedMarkers))
        let decided = try repository.collectionRounds().decided
        for info in try repository.store.list(ObjectNames.collections) {
            guard let (number, isDecision) = ObjectNames.round(in: info.key) else {
                held.append(
                    .unused(object: info.key.description, reason: "it is neither a plan nor a decision"))
                continue
            }
            do {
                if isDecision {
                    _ = try repository.collectionDecision(number)
                } else {
                    _ = try repository.collectionPlan(number)
                }
            } catch let error as CorruptionError {
                if number < decided || (number == decided && !isDecision) {
                    held.append(
                        .unused(object: info.key.description, reason: "a later round counts: \(error)"))
                    continue
                }
                note(error)
                report.repairs.insert(.index)
            }
        }
    }

    /// Checks the key slots. A damaged slot does not open, even with the right password.
    private func checkKeySlots() throws {
        guard repository.isEncrypted else { return }
        try KeySlots(repository.store, repository: repository.config.id).unreadable.forEach { note($0.error) }
    }

    /// Checks the vouches.
    private func checkVouches() throws {
        for vouch in try repository.vouches().unreadable {
            guard !vouch.isObstructed else {
                note(vouch.error.object, vouch.error.reason)
                continue
            }
            note(vouch.error)
            if vouch.error.cause != .newerProgram { report.damagedVouches += 1 }
        }
        for error in try repository.damagedCopies() {
            noteHarmless(error, "Its other copy is intact, and a prune makes it again")
        }
        for error in try repository.givenUp().unreadable {
            noteHarmless(error, "It is no longer known which files it called safe to delete")
        }
    }

    private func noteHarmless(_ error: CorruptionError, _ meaning: String) {
        report.harmlessObjects += 1
        held.append(
            .harmless(object: error.object, reason: "at byte \(error.offset): \(error.reason). \(meaning)"))
    }

    // MARK: Packs

    /// Compares the packs in the index with the listing.
    private func checkListing(_ census: PackCensus, _ obstructions: Obstructions) {
        report.packs = census.packs.count
        (report.unusedPacks, report.unusedBytes) = census.unnamed
        for pack in census.packs {
            report.packBytes.add(pack.indexed.size)
            let key = ObjectNames.pack(pack.id)
            let name = key.description
            guard let size = pack.storedBytes else {
                note(name, "the pack is \(obstructions.absence(of: key))")
                report.repairs.insert(.packs)
                damage.packs.insert(pack.id)
                report.missingBytes.add(pack.indexed.size)
                continue
            }
            guard size != pack.indexed.size else { continue }
            note(name, "it has \(size) bytes, but the index says \(pack.indexed.size)")
            report.repairs.insert(.packs)
            // All blobs of a pack that is too short count as damaged, unless the check reads it and finds whole ones.
            if depth == .structure, size < pack.indexed.size, !firstLog.damaged.contains(pack.id) {
                damage.packs.insert(pack.id)
            }
        }
    }

    /// Verifies the chosen packs as a whole, and the headers and footers of the others.
    private func checkPacks(_ census: PackCensus, _ index: BlobIndex) throws {
        var chosen = census.choose(depth, firstLog)
        let done = chosen.filter { readPacks.contains($0.id) }
        chosen.removeAll { readPacks.contains($0.id) }
        let isChosen = Set(chosen.map(\.id))
        let others = census.packs.filter { $0.storedBytes != nil && !isChosen.contains($0.id) }
        let run = PackCheckRun(
            repository, index, log, census, chosenBytes: chosen.total(\.indexed.size),
            onEvent: onEvent, stop: stop)
        run.verify(
            chosen.map { ($0, true) } + others.map { ($0, false) }, deadline: deadline,
            workerCount: repository.store.readerCount(atLeast: workerCount))
        log = run.log
        readPacks.formUnion(run.wholePacks)
        if let failure = run.failure { throw failure }
        report.verifiedPacks = run.verifiedPacks + done.count
        report.verifiedBytes = run.verifiedBytes + done.total(\.indexed.size)
        report.ranOutOfTime = run.ranOutOfTime
        for pack in census.packs {
            guard let seconds = log.seconds[pack.id] else { continue }
            report.everReadBytes.add(pack.indexed.size)
            report.readSince = min(
                report.readSince ?? Timestamp(seconds: seconds), Timestamp(seconds: seconds))
        }
        var unexplained: [CountedPack] = []
        for (pack, found, wasRead) in run.faulty {
            // If an earlier check found the pack whole, its bytes are in `everReadBytes` already.
            if wasRead, log.seconds[pack.id] == nil { report.faultyReadBytes.add(pack.indexed.size) }
            for reason in found.words {
                note(ObjectNames.pack(pack.id).description, reason, found.cause ?? .damage)
            }
            if found.isRefused {
                report.hasRefused = true
                continue
            }
            damage.blobs.formUnion(found.badBlobs)
            if found.cause != .newerProgram { report.repairs.formUnion(found.repairs) }
            if found.needsIndex, wasRead { unexplained.append(pack) }
        }
        try verifyIndexed(unexplained, index)
    }

    /// Finds the unreadable blobs in packs whose footers are damaged or contradict the index.
    private func verifyIndexed(_ packs: [CountedPack], _ index: BlobIndex) throws {
        let stop = stop
        let verifier = PackVerifier(repository, index, stop: stop)
        var rest = packs[...]
        while !rest.isEmpty, !stop.isRequested {
            var entries: [ID128: [IndexEntry]] = [:]
            var blobs = 0
            let batch = rest.prefix { pack in
                blobs += pack.blobCount
                guard entries.isEmpty || blobs <= Self.blobsPerPass else { return false }
                entries[pack.id] = []
                return true
            }
            rest = rest.dropFirst(batch.count)
            let sorted = try index.soundIndex()
            try sorted.forEach { _, entry in entries[sorted.packs[Int(entry.pack)].id]?.append(entry) }
            for pack in batch where !stop.isRequested {
                let sorted = entries[pack.id]!.sorted { $0.offset < $1.offset }
                damage.blobs.formUnion(try verifier.verifyIndexed(sorted, of: pack.indexed))
            }
        }
    }

    // MARK: Manifests

    private func checkManifests(_ snapshots: [CommitRecord], _ index: BlobIndex) throws {
        let onEvent = onEvent
        let checker = ManifestChecker(repository, index, damage) { snapshot, path, reason in
            onEvent(.affectedFile(snapshot: snapshot, path: path, reason: reason))
        }
        for snapshot in snapshots {
            if stop.isRequested { return }
            let found = try checker.check(snapshot)
            if found.isClean { continue }
            report.affectedSnapshots += 1
            report.affectedFiles += found.files
            report.lacksContent = true
            // If no part of the manifest can be read, a repair cannot make anything of it.
            if found.failure == nil || found.isPartlyReadable {
                report.repairs.insert(.snapshots)
            } else {
                report.hopelessSnapshots.append(snapshot.id)
            }
            for error in found.damage { noteManifestDamage(error) }
            if let failure = found.failure {
                report.unlistedSnapshots += 1
                onEvent(.affectedSnapshot(snapshot: snapshot.id, reason: failure))
            }
        }
    }
}

/// The outcome of a dry run of a repair. One thread reports to it.
private final class RepairOutcomes: @unchecked Sendable {
    /// True if the repair would bring back a snapshot or make a new one.
    private(set) var isOfUse = false
    /// The snapshots for which the repair would do nothing.
    private(set) var hopeless: Set<ID128> = []

    func note(_ event: RepairEvent) {
        switch event {
        case .broughtBack(let snapshot, _), .replaced(let snapshot, _, _, true):
            isOfUse = true
            hopeless.remove(snapshot)
        case .replaced(let snapshot, _, _, false), .lostSnapshot(let snapshot, _): hopeless.insert(snapshot)
        default: break
        }
    }
}

extension PackFindings {
    /// The repairs for these findings.
    fileprivate var repairs: Set<Repair> { isContradicted ? [.index, .packs] : [.packs] }
}
