import BakCore
import BakFormat
import BakPosix
import BakRepository
import TestBench
import TestSupport
import Testing

@testable import BakEngine

/// Earlier copies get new information from a later copy: tags that were added since, and their place in the order.
@Suite struct CopyRenewalTests {
    private static let request = CopyRequest(host: "h", program: "p")

    /// Returns snapshots from a machine whose clock was usually wrong. The newest has one of the oldest dates.
    private static func misdated() throws -> MemoryBench {
        let bench = try MemoryBench()
        for (number, time) in [1_700_000_000, 1_925_000_000, 86_400, 1_700_009_000, 315_532_800].enumerated()
        {
            let repository = try Repository.open(
                bench.store, cache: MemoryCache(), time: SimulatedTime(Timestamp(seconds: Int64(time))),
                random: TestSeed.unique(#fileID, #line)
            )
            let content = Array("content \(number)".utf8)
            let tree = FakeTree([.other("s", .directory), .file("s/\(number)", content)])
            _ = try Backup(repository, of: tree).run(MemoryBench.request())
        }
        return bench
    }

    private static func destination(of source: MemoryBench, sameIDs: Bool) throws -> Repository {
        let options = sameIDs ? Repository.Options(like: source.repository.config) : MemoryBench.options
        return try Repository.create(
            in: MemoryStore(), options: options, cache: MemoryCache(), time: source.repository.time,
            random: source.repository.random)
    }

    private static func originals(_ repository: Repository) throws -> [ID128] {
        let list = try repository.snapshotList()
        #expect(list.unreadable.isEmpty)
        return list.order.sorted.filter(\.isComplete).map(\.originalID)
    }

    /// Whichever snapshots are copied first, the final order is that of the source.
    @Test(arguments: [true, false], [[[4]], [[0], [4]], [[2], [4], [1]], [[4], [3], [0, 1]]])
    func theOrderIsTheSources(sameIDs: Bool, parts: [[Int]]) throws {
        let source = try Self.misdated()
        let sorted = try source.repository.snapshotList().order.sorted
        #expect(
            sorted.map(\.time.seconds) == [1_700_000_000, 1_925_000_000, 86_400, 1_700_009_000, 315_532_800])
        let destination = try Self.destination(of: source, sameIDs: sameIDs)
        func copy(_ snapshots: [CommitRecord]) throws -> CopyReport {
            try SnapshotCopy(Self.request, from: source.repository, to: destination).run(snapshots)
        }
        for part in parts {
            _ = try copy(part.map { sorted[$0] })
            let copied = try Self.originals(destination)
            #expect(copied == sorted.map(\.originalID).filter(copied.contains))
        }
        let report = try copy(sorted)
        #expect(report.copied == 5 - Set(parts.joined()).count)
        #expect(try Self.originals(destination) == sorted.map(\.originalID))
        let again = try copy(sorted)
        #expect(again.copied == 0 && again.renewed == 0)
        #expect(try MemoryBench.check(destination).report.isClean)
    }

    @Test(arguments: [true, false]) func tagsComeLater(sameIDs: Bool) throws {
        let source = try Self.misdated()
        let destination = try Self.destination(of: source, sameIDs: sameIDs)
        func copy(isDry: Bool = false) throws -> CopyReport {
            var request = Self.request
            request.isDryRun = isDry
            return try SnapshotCopy(request, from: source.repository, to: destination).run(
                try source.repository.snapshots().readable)
        }
        func tags() throws -> [[String]] { try destination.snapshotList().order.sorted.map(\.tags) }
        func tag(_ repository: Repository, _ tags: [String]) throws {
            let old = try repository.snapshotList().order.sorted[1]
            var new = old
            new.tags = tags
            #expect(
                try repository.recommit(
                    [(old, new)], host: "h", program: "p", stop: .never, onDone: { _, _ in }))
        }
        _ = try copy()
        try tag(destination, ["here"])
        try tag(source.repository, ["keep", "more"])
        let dry = try copy(isDry: true)
        #expect(try dry.renewed == 1 && tags()[1] == ["here"])
        let report = try copy()
        #expect(report.copied == 0 && report.skipped == 5 && report.renewed == 1)
        #expect(try tags() == [[], ["here", "keep", "more"], [], [], []])
        try tag(source.repository, [])
        #expect(try copy().renewed == 0)
        #expect(try tags()[1] == ["here", "keep", "more"])
        #expect(try Self.originals(destination) == Self.originals(source.repository))
    }
}
