// Copies that lack files because the source was damaged when they were made. Such a copy never takes the place of its
// original.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct LossyCopyTests {
    private let source: MemoryBench
    private let original: CommitRecord
    /// The source with a damaged pack.
    private let damaged: Repository
    private let destination: Repository
    private static let request = CopyRequest(host: "h", program: "p")

    init() throws {
        source = try MemoryBench()
        let random = SeededRandom(seed: 5)
        let tree = FakeTree([
            .other("s", .directory), .file("s/a", random.bytes(3000)), .file("s/b", random.bytes(3000)),
        ])
        original = try #require(try source.backup(tree).snapshot)
        let segment = try source.repository.indexSegment(original.id)
        let pack = try #require(segment.packs.first { $0.kind == .chunkPack })
        var objects = source.store.contents
        objects[ObjectNames.pack(pack.id)]![200] ^= 1
        damaged = try MemoryBench.open(MemoryStore(objects))
        destination = try Repository.create(
            in: MemoryStore(), options: MemoryBench.options, cache: MemoryCache(),
            time: source.repository.time, random: source.repository.random)
    }

    @discardableResult
    private func copy(
        _ from: Repository, to: Repository, _ snapshots: [CommitRecord]
    ) throws -> CopyReport {
        try SnapshotCopy(Self.request, from: from, to: to).run(snapshots)
    }

    private func fileCount(_ snapshot: CommitRecord, _ repository: Repository) throws -> Int {
        try MemoryBench.restore(repository, snapshot).items.values.count {
            if case .file = $0 { true } else { false }
        }
    }

    /// While the source is damaged, further copies add nothing. Once it is whole, a complete copy replaces the lacking
    /// one.
    @Test func aCopyIsMadeWholeLater() throws {
        for round in 0..<3 {
            let report = try copy(damaged, to: destination, [original])
            #expect(report.failedFiles == 1 && report.copied == (round == 0 ? 1 : 0))
            #expect(try destination.snapshots().readable.map(\.counters.files) == [1])
        }
        #expect(try copy(source.repository, to: destination, [original]).copied == 1)
        let copies = try destination.snapshots().readable
        #expect(copies.count == 1 && copies[0].originalID == original.id)
        #expect(try fileCount(copies[0], destination) == 2)
        #expect(try copy(source.repository, to: destination, [original]).skipped == 1)
    }

    /// Where a complete copy exists, a lacking copy is not copied and replaces nothing. This also holds between
    /// repositories with the same ids.
    @Test(arguments: [false, true]) func itTakesNoPlace(_ isVerbatim: Bool) throws {
        try copy(damaged, to: destination, [original])
        let third = try Repository.create(
            in: MemoryStore(),
            options: isVerbatim ? Repository.Options(like: destination.config) : MemoryBench.options,
            cache: MemoryCache(), time: source.repository.time, random: source.repository.random)
        for isLacking in [true, false, true] {
            let from = isLacking ? destination : source.repository
            try copy(from, to: third, try from.snapshots().readable)
        }
        let copies = try third.snapshots().readable
        #expect(try copies.map { try fileCount($0, third) } == [2])
    }

    /// If the user has tagged a lacking copy, it stays.
    @Test func whatIsTaggedStays() throws {
        try copy(damaged, to: destination, [original])
        var lacking = try destination.snapshots().readable[0]
        lacking.tags = ["keep"]
        let session = try BackupSession(destination, host: "h", program: "p")
        let tagged = try session.commit(continuing: false) { id, hasIndex in
            (lacking.id, lacking.hasIndex) = (id, hasIndex)
            return lacking
        }
        session.close()
        try copy(source.repository, to: destination, [original])
        let copies = try destination.snapshots().readable
        #expect(copies.count == 2 && copies.contains { $0.id == tagged.id })
    }

    /// The original's record is damaged, and its spare is whole. A repair and a search for the latest snapshot must not
    /// take the lacking copy for the original.
    @Test func itStandsForNoDamagedOriginal() throws {
        try copy(damaged, to: destination, [original])
        try copy(destination, to: source.repository, try destination.snapshots().readable)
        var objects = source.store.contents
        objects[ObjectNames.snapshot(original.id)]![130] ^= 1
        let repository = try MemoryBench.open(MemoryStore(objects))
        #expect(throws: LatestUnreadableError.self) { try repository.snapshotList().find("latest") }
        _ = try RepairSnapshots(repository, RepairRequest(host: "h", program: "p")).run()
        let back = try #require(try repository.snapshots().readable.first { $0.id == original.id })
        #expect(try fileCount(back, repository) == 2)
        #expect(try repository.snapshotList().find("latest").id == original.id)
    }

    /// An undo does not take the lacking copy for the forgotten original.
    @Test func itStandsForNoForgottenOriginal() throws {
        try copy(damaged, to: destination, [original])
        try source.repository.forget([original.id], host: "h", program: "p")
        try copy(destination, to: source.repository, try destination.snapshots().readable)
        let forgotten = try source.repository.forgottenSnapshots()
        #expect(forgotten.map(\.snapshot.id) == [original.id])
        let outcome = try source.repository.takeBack(forgotten[0].snapshot, host: "h", program: "p")
        guard case .back(let back) = outcome else {
            Issue.record("it is not back")
            return
        }
        #expect(try fileCount(back, source.repository) == 2)
        #expect(try source.repository.forgottenSnapshots().isEmpty)
    }

    // MARK: Copies that are damaged

    /// The part of a copy that the destination has lost.
    enum Loss: CaseIterable {
        case record, spareAndRecord, content, list
    }

    /// A copy has lost something. Whatever it lost and whatever was repaired before, copying from the undamaged source
    /// makes it complete. Nothing is copied twice then.
    @Test(arguments: Loss.allCases, [false, true])
    func aDamagedCopyIsMadeAgain(_ loss: Loss, _ isVerbatim: Bool) throws {
        for hasRepaired in [false, true] {
            let store = MemoryStore()
            let whole = try Repository.create(
                in: store,
                options: isVerbatim
                    ? Repository.Options(like: source.repository.config) : MemoryBench.options,
                cache: MemoryCache(), time: source.repository.time, random: source.repository.random)
            try copy(source.repository, to: whole, [original])
            let made = try #require(try whole.snapshots().readable.first)
            var objects = store.contents
            func remove(_ kind: ObjectKind) throws {
                for pack in try whole.indexSegment(made.id).packs where pack.kind == kind {
                    objects[ObjectNames.pack(pack.id)] = nil
                }
            }
            switch loss {
            case .record: objects[ObjectNames.snapshot(made.id)]![130] ^= 1
            case .spareAndRecord:
                objects[ObjectNames.snapshot(made.id)]![130] ^= 1
                objects[ObjectNames.spare(made.id)] = nil
            case .content: try remove(.chunkPack)
            case .list: try remove(.manifestPack)
            }
            let repository = try MemoryBench.open(MemoryStore(objects))
            if loss == .content || loss == .list {
                // While the index still names the lost blob, the copy would not store it again. So the copy must fail,
                // and must not count as done.
                for isNamed in [false, true] {
                    var request = Self.request
                    request.looksUpCopies = isNamed
                    #expect(throws: CorruptionError.self) {
                        try SnapshotCopy(request, from: source.repository, to: repository).run([original])
                    }
                }
                #expect(try repository.snapshots().readable.map(\.id) == [made.id])
            }
            _ = try RepairPacks(repository, RepairRequest(host: "h", program: "p")).run()
            if hasRepaired {
                _ = try RepairSnapshots(repository, RepairRequest(host: "h", program: "p")).run()
            }
            var request = Self.request
            // A repair has made a snapshot of the rest, unless the list of files is lost.
            request.looksUpCopies = !hasRepaired || loss == .list
            let isThere = hasRepaired && loss == .record
            let report = try SnapshotCopy(request, from: source.repository, to: repository).run([original])
            #expect(report.copied == (isThere ? 0 : 1) && report.failed == 0)
            let copies = try repository.snapshots().readable.filter { $0.originalID == original.id }
            #expect(try copies.map { try fileCount($0, repository) } == [2])
            request.looksUpCopies = true
            #expect(
                try SnapshotCopy(request, from: source.repository, to: repository).run([original]).skipped
                    == 1)
            #expect(try copy(source.repository, to: repository, [original]).skipped == 1)
        }
    }
}
