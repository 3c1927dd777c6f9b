import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

/// The packs that a check reads, their order, and how a later check continues.
@Suite struct CheckReadingTests {
    /// Returns a repository of a dozen packs.
    private static func prepared(
        _ clock: SimulatedTime = SimulatedTime(Timestamp(seconds: 1000))
    ) throws -> MemoryBench {
        let bench = try MemoryBench(time: clock)
        let random = SeededRandom(seed: 7)
        for number in 0..<6 {
            try bench.backup(
                FakeTree([.other("s", .directory), .file("s/\(number)", random.bytes(3000 + 500 * number))]))
        }
        return bench
    }

    private static func check(
        _ bench: MemoryBench, _ subset: PackSubset, maximumSeconds: UInt64? = nil
    ) throws -> CheckReport {
        let report = try RepositoryCheck(
            bench.repository, depth: .readData(subset), workerCount: 1, maximumSeconds: maximumSeconds,
            onEvent: { _ in }
        ).run()
        #expect(report.isClean)
        return report
    }

    @Test func partsTogetherReadEachPackOnce() throws {
        let bench = try Self.prepared()
        for parts in 1...5 {
            var packs = 0
            var bytes: UInt64 = 0
            for number in 1...parts {
                let report = try Self.check(bench, .part(number, of: parts))
                packs += report.verifiedPacks
                bytes += report.verifiedBytes
            }
            let whole = try Self.check(bench, .all)
            #expect(packs == whole.packs && bytes == whole.packBytes && whole.packs == 12)
        }
    }

    @Test func sharesGoRoundUntilAllHasBeenRead() throws {
        let clock = SimulatedTime(Timestamp(seconds: 1000))
        let bench = try Self.prepared(clock)
        var read: [Int] = []
        for number in 0..<12 {
            clock.jump(to: Timestamp(seconds: Int64(5000 + number)))
            let report = try Self.check(bench, .percent(25))
            #expect(report.verifiedPacks >= 1 && report.verifiedBytes < report.packBytes)
            read.append(report.verifiedPacks)
            #expect(report.readSince == Timestamp(seconds: 5000) || report.everReadBytes == report.packBytes)
            if report.everReadBytes == report.packBytes { break }
        }
        // No pack is read a second time before all packs have been read once.
        #expect(read.count >= 2 && read.count <= 5 && read.dropLast().reduce(0, +) < 12)
        let since = try Self.check(bench, .percent(25)).readSince
        #expect(try #require(since) > Timestamp(seconds: 5000))
    }

    /// Packs were read while the clock was years ahead. A later check does not wait for that time to read them again.
    @Test func whatIsDatedInTheFutureIsReadFirst() throws {
        let clock = SimulatedTime(Timestamp(seconds: 1000))
        let bench = try Self.prepared(clock)
        clock.jump(to: Timestamp(seconds: 1_000_000))
        let first = try Self.check(bench, .bytes(1))
        #expect(first.verifiedPacks == 1 && first.everReadBytes > 0)
        clock.jump(to: Timestamp(seconds: 5000))
        var read = 0
        repeat {
            let report = try Self.check(bench, .bytes(1))
            read += 1
            #expect(try #require(report.readSince) <= Timestamp(seconds: 5000))
            if report.everReadBytes == report.packBytes { break }
        } while read < 20
        #expect(read == first.packs)
    }

    @Test func aSizeReadsAboutSoMuch() throws {
        let bench = try Self.prepared()
        #expect(try Self.check(bench, .bytes(1)).verifiedPacks == 1)
        let some = try Self.check(bench, .bytes(8000))
        #expect(some.verifiedBytes >= 8000 && some.verifiedBytes < 8000 + 8000)
        let all = try Self.check(bench, .bytes(.max))
        #expect(all.verifiedPacks == all.packs)
    }

    @Test func aTimeLimitEndsTheReadingAndTheNextCheckGoesOn() throws {
        let clock = SimulatedTime(Timestamp(seconds: 1000))
        let bench = try Self.prepared(clock)
        var seen = 0
        var runs = 0
        while true {
            clock.stepSeconds = 1
            let report = try Self.check(bench, .all, maximumSeconds: 12)
            clock.stepSeconds = 0
            runs += 1
            seen += report.verifiedPacks
            #expect(report.verifiedPacks > 0)
            if report.everReadBytes == report.packBytes { break }
            #expect(report.ranOutOfTime && runs < 12)
        }
        // The run that reached the end may have gone on to the packs that were read first.
        #expect(runs >= 2 && seen >= 12 && seen < 24)
        #expect(try Self.check(bench, .all, maximumSeconds: 1000).ranOutOfTime == false)
    }

    @Test func withoutTheCacheItBeginsAnew() throws {
        let bench = try Self.prepared()
        #expect(try Self.check(bench, .part(1, of: 2)).everReadBytes > 0)
        let name = try #require(bench.cache.contents.keys.first { $0.hasPrefix("read-log-") })
        let log = try #require(bench.cache.contents[name])
        for damage in [0, 20, 40, log.count - 1] {
            bench.cache.contents[name] = log
            bench.cache.contents[name]![damage] ^= 1
            let report = try Self.check(bench, .bytes(1))
            #expect(report.everReadBytes == report.verifiedBytes)
        }
        bench.cache.contents[name] = log.dropLast(24)
        let report = try Self.check(bench, .bytes(1))
        #expect(report.everReadBytes == report.verifiedBytes)
    }

    /// If a check has found a pack damaged, every later check reads it again until it is whole, even if it reads
    /// nothing else.
    @Test func whatWasFoundDamagedIsReadAgainByEveryCheck() throws {
        let bench = try Self.prepared()
        let whole = bench.store.contents
        func check(_ depth: CheckDepth, _ contents: [ObjectKey: [UInt8]]) throws -> CheckReport {
            try MemoryBench.check(
                try MemoryBench.open(MemoryStore(contents), cache: bench.cache), depth: depth
            ).report
        }
        let key = try #require(
            whole.filter { $0.key.description.hasPrefix("packs/") }.max {
                $0.value.count < $1.value.count
            }?.key)
        var damaged = whole
        damaged[key]![1000] ^= 1
        #expect(try check(.readData, whole).isClean)
        #expect(try check(.structure, damaged).isClean)
        #expect(try check(.readData, damaged).damagedObjects == 1)
        for depth in [CheckDepth.structure, .readData(.bytes(1)), .structure] {
            let report = try check(depth, damaged)
            #expect(report.damagedObjects == 1 && report.affectedFiles > 0, "\(depth)")
            #expect(!report.hasReadAll && report.verifiedPacks >= 1, "\(depth)")
        }
        let healed = try check(.structure, whole)
        #expect(healed.isClean && healed.verifiedPacks == 1)
        let after = try check(.structure, whole)
        #expect(after.isClean && after.verifiedPacks == 0 && !after.hasReadAll)
        #expect(try check(.readData, whole).hasReadAll)
    }

    @Test func subsetsAreReadFromText() {
        #expect(PackSubset("2/5") == .part(2, of: 5))
        #expect(PackSubset("10%") == .percent(10) && PackSubset("0.5%") == .percent(0.5))
        #expect(PackSubset("20G") == .bytes(20 << 30))
        for wrong in [
            "", "0/5", "6/5", "1/0", "/", "-1/5", "0%", "101%", "%", "-1%", "nan%", "0", "x", "1/2/3",
        ] {
            #expect(PackSubset(wrong) == nil, "\(wrong)")
        }
    }
}

/// A check must not call a fault damage if it is something else.
@Suite struct CheckWordingTests {
    private static func prepared() throws -> MemoryBench {
        let bench = try MemoryBench()
        let random = SeededRandom(seed: 8)
        try bench.backup(FakeTree([.other("s", .directory), .file("s/a", random.bytes(4000))]))
        return bench
    }

    @Test func whatTheMediumDoesNotGiveIsSaidSo() throws {
        let bench = try Self.prepared()
        for key in bench.store.contents.keys.sorted() where key != ObjectNames.config {
            let faulty = FaultyStore(bench.store) { _, _, call in
                call.operation == "read" && call.object == key.description ? .lostData : nil
            }
            let (report, events) = try MemoryBench.check(try MemoryBench.open(faulty))
            #expect(report.damagedObjects == 0 && report.unreadableObjects == 1, "\(key)")
            let isTold = events.contains {
                if case .unreadable(key.description, let reason) = $0 { return reason.contains("injected") }
                return false
            }
            #expect(isTold, "\(key)")
            let costsFiles = ["packs", "index"].contains { key.description.hasPrefix($0) }
            #expect(
                (report.affectedFiles + report.affectedSnapshots > 0)
                    == (costsFiles || key.description.hasPrefix("snap")))
        }
    }

    @Test func aPackThatIsReadInPartKeepsTheRest() throws {
        let bench = try Self.prepared()
        let key = try #require(
            bench.store.contents.filter { $0.key.description.hasPrefix("packs/") }.max {
                $0.value.count < $1.value.count
            }?.key)
        // The medium cannot read one byte.
        let store = FaultyStore(bench.store) { _, _, call in
            call.object == key.description && call.range?.contains(1000) == true ? .lostData : nil
        }
        let (report, _) = try MemoryBench.check(try MemoryBench.open(store))
        #expect(report.unreadableObjects == 1 && report.damagedObjects == 0)
        #expect(report.affectedFiles == 1)
    }

    @Test func aNewerProgramsObjectsAreNotDamaged() throws {
        let bench = try Self.prepared()
        for key in bench.store.contents.keys.sorted() where key != ObjectNames.config {
            // If only the version differs and all checksums are this program's, it is damage.
            var flipped = bench.store.contents
            flipped[key]![10] ^= 2
            let damaged = try MemoryBench.check(try MemoryBench.open(MemoryStore(flipped))).report
            // A damaged spare loses nothing.
            let isSpare = key.description.hasPrefix("records/")
            #expect((isSpare ? damaged.harmlessObjects : damaged.damagedObjects) == 1)
            // If the checksums differ from this program's, too, a newer program wrote the object.
            var newer = flipped
            for position in newer[key]!.indices.suffix(20) { newer[key]![position] ^= 0x55 }
            let (report, events) = try MemoryBench.check(try MemoryBench.open(MemoryStore(newer)))
            #expect(report.damagedObjects == 0 && report.unsupportedObjects == 1, "\(key)")
            let isTold = events.contains {
                if case .unsupported(key.description, let reason) = $0 { return reason.contains("version 3") }
                return false
            }
            #expect(isTold, "\(key)")
        }
        var newer = bench.store.contents
        newer[ObjectNames.config]![10] = 2
        newer[ObjectNames.config]![70] ^= 1
        do {
            _ = try MemoryBench.open(MemoryStore(newer))
            Issue.record("it was opened")
        } catch let error as CorruptionError { #expect(error.needsNewerProgram) }
    }

    @Test func aBackupTellsAnUnreachablePackFromADamagedOne() throws {
        let bench = try Self.prepared()
        let faulty = FaultyStore(bench.store) { _, _, call in
            call.operation == "size" && call.object.hasPrefix("packs/") ? .denied : nil
        }
        let random = SeededRandom(seed: 8)
        let tree = FakeTree([.other("s", .directory), .file("s/a", random.bytes(4000))])
        let report = try Backup(try MemoryBench.open(faulty), of: tree).run(MemoryBench.request())
        #expect(!report.damagedPacks.isEmpty)
        for fault in report.damagedPacks {
            #expect(fault.cause == .medium && fault.description.contains("cannot be read"))
        }
    }
}
