import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// Vouches also hold in copies.
@Suite struct CopiedVouchTests {
    private static let request = CopyRequest(host: "h", program: "p")

    /// Returns a source with two files. One is inline. The other has many extents. In the later state, the inline file
    /// has another name and the long file other content.
    private static func tree(_ isLater: Bool = false) -> FakeTree {
        let random = SeededRandom(seed: 3)
        let (long, short) = (random.bytes(40_000), random.bytes(30))
        return FakeTree(
            [
                .other("s", .directory), .file("s/long", isLater ? [1] : long),
                .file(isLater ? "s/other" : "s/short", short),
            ])
    }

    private static func lost(_ repository: Repository, ifOnly staying: [CommitRecord] = []) throws -> [String]
    {
        try repository.outlook(ifOnly: staying).endangered.map { String(decoding: $0.path, as: UTF8.self) }
    }

    private static func ask(_ repository: Repository) throws {
        let tree = tree()
        var terms = DeletionTerms()
        terms.origin = RecordOrigin(time: Timestamp(seconds: 7), host: "h", program: "p")
        let report = try DeletionCheck(
            repository, of: tree, roots: [Array("s".utf8)], terms: terms, onVerdict: { _ in }
        ).run()
        #expect(report.isAllSafe && report.safeFiles == 2)
    }

    private static func destination(of source: MemoryBench, sameIDs: Bool) throws -> Repository {
        try Repository.create(
            in: MemoryStore(),
            options: sameIDs ? Repository.Options(like: source.repository.config) : MemoryBench.options,
            cache: MemoryCache(), time: source.repository.time, random: source.repository.random)
    }

    @Test(arguments: [true, false], [true, false])
    func aCopyIsReliedOnAsItsOriginal(sameIDs: Bool, wasCopiedBefore: Bool) throws {
        let source = try MemoryBench()
        try source.backup(Self.tree())
        let all = try source.repository.snapshots().readable
        let destination = try Self.destination(of: source, sameIDs: sameIDs)
        func copy() throws {
            let report = try SnapshotCopy(Self.request, from: source.repository, to: destination).run(all)
            #expect(report.isVerbatim == sameIDs && report.failedVouches == 0)
        }
        if wasCopiedBefore {
            try copy()
            #expect(try Self.lost(destination) == [])
        }
        try Self.ask(source.repository)
        try copy()
        #expect(try Self.lost(destination) == ["s/long", "s/short"])
        let copies = try destination.snapshots().readable
        #expect(try Self.lost(destination, ifOnly: copies) == [])
        let content = Set(try destination.vouchedContent())
        // The copied vouches use the destination's ids, so asking there adds no further vouch.
        try Self.ask(destination)
        try copy()
        #expect(try Set(destination.vouchedContent()) == content && destination.vouchedContent().count == 2)
    }

    /// A vouch relies on the snapshot that stays longest. The copied snapshot may be another one with the same content.
    @Test(arguments: [true, false])
    func whatAnotherSnapshotHasIsCarriedByThatOne(sameIDs: Bool) throws {
        let source = try MemoryBench()
        let first = try #require(try source.backup(Self.tree()).snapshot)
        try Self.ask(source.repository)
        try source.backup(Self.tree(true))
        let second = try source.repository.snapshots().readable.filter { $0.id != first.id }
        let destination = try Self.destination(of: source, sameIDs: sameIDs)
        let copy = SnapshotCopy(Self.request, from: source.repository, to: destination)
        #expect(try copy.run(second).copied == 1)
        #expect(try Self.lost(destination) == ["s/short"])
    }

    @Test func aDryRunRemembersNothing() throws {
        let source = try MemoryBench()
        try source.backup(Self.tree())
        try Self.ask(source.repository)
        let destination = try Self.destination(of: source, sameIDs: false)
        let all = try source.repository.snapshots().readable
        var request = Self.request
        _ = try SnapshotCopy(request, from: source.repository, to: destination).run(all)
        for info in try destination.store.list(ObjectNames.vouched) { try destination.store.delete(info.key) }
        request.isDryRun = true
        _ = try SnapshotCopy(request, from: source.repository, to: destination).run(all)
        #expect(try !destination.hasVouches())
    }
}
