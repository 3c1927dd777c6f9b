// Vouches: files that were declared safe to delete, and the files that would be lost if snapshots were removed.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import TestSupport
import Testing

@Suite struct VouchingTests {
    /// Asks which files of the source folder are safe to delete. The repository remembers the safe files.
    @discardableResult
    private func ask(_ bench: Workbench, _ change: (inout DeletionTerms) -> Void = { _ in }) throws
        -> DeletionReport
    {
        let tree = try FileTree(roots: [Array("\(bench.folder)/source".utf8)])
        var terms = DeletionTerms()
        terms.origin = RecordOrigin(time: Timestamp(seconds: 1000), host: "test", program: "test")
        change(&terms)
        return try DeletionCheck(
            bench.repository, of: tree, roots: tree.roots, terms: terms, onVerdict: { _ in }
        ).run()
    }

    /// Returns the names of vouched files that would be lost if these snapshots were removed.
    private func lost(_ bench: Workbench, without removed: CommitRecord?...) throws -> [String] {
        let gone = Set(removed.compactMap { $0?.id })
        let staying = try bench.repository.snapshots().readable.filter { !gone.contains($0.id) }
        return try bench.repository.outlook(ifOnly: staying).endangered.map { file in
            String(decoding: file.path, as: UTF8.self).split(separator: "/").last.map { String($0) } ?? ""
        }
    }

    /// Returns the number of vouches, including those that were given up. A vouch and its spare count as one.
    private func vouches(_ bench: Workbench) throws -> Int {
        try bench.store.list(ObjectNames.vouched).count { !$0.key.description.hasSuffix(".spare") }
    }

    @Test func contentThatNothingElseHasIsNamed() throws {
        let bench = try Workbench(minimum: 64, maximum: 192)
        // A file with more extents than one record holds, two inline files, and a file with a hole.
        try bench.shell(
            """
            printf a > a && noise 700000 > long && printf same > s1 && printf same > s2 &&
            truncate -s 100000 hole && printf x >> hole
            """)
        let first = try bench.backup().snapshot
        #expect(try ask(bench).isAllSafe)
        #expect(try lost(bench) == [])
        #expect(try lost(bench, without: first) == ["a", "hole", "long", "s1"])
        // The same question again adds no vouch.
        let count = try vouches(bench)
        try ask(bench)
        #expect(try vouches(bench) == count && count == 1)
        // A later snapshot has all contents but one.
        try bench.shell("rm a s1 && touch new && mkdir sub && mv long sub/elsewhere")
        let second = try bench.backup().snapshot
        #expect(try lost(bench, without: first) == ["a"])
        #expect(try lost(bench, without: first, second) == ["a", "hole", "long", "s1"])
        #expect(try lost(bench, without: second) == [])
    }

    @Test func whatAnotherSnapshotHasReliesOnThatOneThen() throws {
        let bench = try Workbench()
        try bench.shell("printf a > a && printf b > b")
        let first = try #require(try bench.backup().snapshot)
        try ask(bench)
        try bench.shell("rm a")
        let second = try #require(try bench.backup().snapshot)
        let outlook = try bench.repository.outlook(ifOnly: [second])
        #expect(outlook.endangered.map(\.snapshot) == [first.id])
        #expect(outlook.endangered.first?.time == Timestamp(seconds: 1000))
        try bench.repository.forget([first.id], host: "test", program: "test")
        try bench.repository.settle(outlook)
        // Nothing asks about the files that were given up. The vouch for b now relies on the second snapshot.
        #expect(try lost(bench) == [])
        #expect(try lost(bench, without: second) == ["b"])
        // One vouch for b, and one that was given up.
        #expect(try vouches(bench) == 2)
        // If a program stops between the two steps of settling, some files are remembered twice and none is forgotten.
        try bench.repository.settle(outlook)
        #expect(try lost(bench, without: second) == ["b"])
    }

    @Test func whatWasGivenUpCountsAgainWhenItsSnapshotIsBack() throws {
        let bench = try Workbench()
        try bench.shell("printf a > a && printf b > b && printf c > c")
        let first = try #require(try bench.backup().snapshot)
        try ask(bench)
        try bench.shell("rm a")
        let second = try #require(try bench.backup().snapshot)
        try bench.shell("rm b")
        let third = try #require(try bench.backup().snapshot)
        let repository = bench.repository
        try repository.settle(try repository.outlook(ifOnly: [third]))
        try repository.forget([first.id, second.id], host: "test", program: "test")
        #expect(try lost(bench) == [] && lost(bench, without: third) == ["c"])
        // According to the vouches, both snapshots are gone. One comes back, and it is not the snapshot on which the
        // vouch relied.
        var back: CommitRecord?
        try repository.recallingVouches {
            if case .back(let record) = try repository.takeBack(second, host: "test", program: "test") {
                back = record
            }
        }
        let taken = try #require(back)
        #expect(try lost(bench, without: taken) == ["b"] && lost(bench, without: third) == [])
        // Files that this snapshot does not have stay given up until their own snapshot is back.
        try repository.recallingVouches {
            if case .back(let record) = try repository.takeBack(first, host: "test", program: "test") {
                back = record
            }
        }
        #expect(try lost(bench, without: back, taken) == ["a", "b"])
        #expect(try lost(bench, without: back) == ["a"])
    }

    /// If a program stops before it knows which snapshot is back, later commands ask about too many files, but never
    /// about too few.
    @Test func aTakingBackThatFailsForgetsNothing() throws {
        struct Stopped: Error {}
        let bench = try Workbench()
        try bench.shell("printf a > a")
        let first = try #require(try bench.backup().snapshot)
        try ask(bench)
        try bench.shell("rm a")
        try bench.backup()
        let repository = bench.repository
        try repository.settle(try repository.outlook(ifOnly: []))
        #expect(try lost(bench, without: first) == [])
        #expect(throws: Stopped.self) { try repository.recallingVouches { throw Stopped() } }
        #expect(try lost(bench, without: first) == ["a"])
    }

    @Test func whatCanNotComeBackIsDropped() throws {
        let bench = try Workbench()
        // More than a prune may leave unused.
        try bench.shell("noise 300000 > a")
        let first = try #require(try bench.backup().snapshot)
        try ask(bench)
        try bench.shell("rm a")
        let second = try #require(try bench.backup().snapshot)
        let repository = bench.repository
        try repository.forget([first.id], host: "test", program: "test")
        try repository.settle(try repository.outlook(ifOnly: [second]))
        try repository.dropGivenUpVouches()
        #expect(try vouches(bench) == 1 && !repository.hasVouches())
        var options = PruneOptions()
        options.maxUnused = .bytes(0)
        _ = try Prune(repository, options, host: "test", program: "test").run()
        try repository.dropGivenUpVouches()
        #expect(try vouches(bench) == 0)
    }

    @Test func onlyWhatIsSafeIsRemembered() throws {
        let bench = try Workbench()
        try bench.shell("printf a > a")
        let first = try #require(try bench.backup().snapshot)
        try bench.shell("printf b > b")
        try ask(bench) { $0.staying[first.id] = .ruledOut }
        #expect(try vouches(bench) == 0)
        try ask(bench) { $0.isOnRepositoryDisk = { _ in true } }
        #expect(try vouches(bench) == 0)
        #expect(try ask(bench).safeFiles == 1)
        #expect(try lost(bench, without: first) == ["a"])
    }

    /// Runs a shell command on the vouches' files that match `pattern`.
    private func damage(_ pattern: String, _ bench: Workbench, by command: String) throws {
        try bench.shell(
            """
            cd ../repository/vouched && chmod u+w * &&
            for f in \(pattern); do \(command); done
            """)
    }

    private func check(_ bench: Workbench) throws -> CheckReport {
        try RepositoryCheck(
            bench.repository, depth: .structure, workerCount: 1, onEvent: { _ in }, stop: .never
        ).run()
    }

    @Test(
        arguments: [
            "printf x | dd of=$f bs=1 seek=100 conv=notrunc 2>/dev/null", ": > $f", "truncate -s 50 $f",
            "cp ../snapshots/* $f", "rm $f && mkdir $f", "rm $f && mkfifo $f",
            "rm $f && ln -s /etc/passwd $f",
        ])
    func aVouchThatCannotBeReadIsDamage(_ command: String) throws {
        let bench = try Workbench()
        try bench.shell("printf a > a")
        let first = try bench.backup().snapshot
        try ask(bench)
        try damage("*", bench, by: command)
        let outlook = try bench.repository.outlook(ifOnly: [])
        #expect(outlook.endangered.isEmpty && outlook.unreadable.count == 1)
        #expect(try bench.repository.hasVouches())
        let report = try check(bench)
        #expect(!report.isClean && report.damagedObjects == 1)
        #expect(report.damagedVouches == (outlook.unreadable[0].isObstructed ? 0 : 1))
        // Asking again makes the lost vouch again. The unreadable one is dropped.
        try ask(bench)
        #expect(try lost(bench, without: first) == ["a"])
        try bench.repository.drop(outlook.unreadable)
        #expect(try check(bench).isClean != outlook.unreadable[0].isObstructed)
    }

    @Test(arguments: ["*.spare", "$(ls | grep -v spare)"])
    func oneOfTwoCopiesIsEnough(_ pattern: String) throws {
        let bench = try Workbench()
        try bench.shell("printf a > a")
        let first = try bench.backup().snapshot
        try ask(bench)
        for command in ["rm $f", ": > $f"] {
            try damage(pattern, bench, by: command)
            #expect(try lost(bench, without: first) == ["a"])
            #expect(try bench.repository.outlook(ifOnly: []).unreadable.isEmpty && check(bench).isClean)
            try bench.repository.renewVouches()
            try bench.shell("cd ../repository/vouched && cmp $(ls)")
        }
    }

    @Test(arguments: [StoreError.Kind.readOnly, .full, .denied])
    func whatCannotBeRememberedIsNotSafe(_ kind: StoreError.Kind) throws {
        let bench = try Workbench()
        try bench.shell("printf a > a")
        try bench.backup()
        let faulty = FaultyStore(bench.store) { _, _, call in
            call.operation == "put" && call.object.hasPrefix("vouched/") ? kind : nil
        }
        let repository = try Repository.open(
            faulty, cache: MemoryCache(), time: SystemTime(), random: TestSeed.unique(#fileID, #line))
        var reasons: [[DeletionReason]] = []
        func askThere() throws -> DeletionReport {
            reasons = []
            let tree = try FileTree(roots: [Array("\(bench.folder)/source".utf8)])
            var terms = DeletionTerms()
            terms.origin = RecordOrigin(time: Timestamp(seconds: 1), host: "", program: "")
            return try DeletionCheck(
                repository, of: tree, roots: tree.roots, terms: terms,
                onVerdict: { reasons.append($0.reasons) }
            ).run()
        }
        let report = try askThere()
        #expect(!report.isAllSafe && report.safeFiles == 0 && report.unsafeFiles == 1)
        guard case .notRemembered(let failure)? = reasons.first?.first else {
            Issue.record("\(reasons)")
            return
        }
        #expect(failure.kind == kind)
        // An earlier vouch is enough, although the repository cannot be written now.
        try ask(bench)
        #expect(try askThere().isAllSafe)
    }

    @Test func manyFilesAreSeveralVouches() throws {
        let files = (0..<300).map { number in
            Vouch.File(
                content: ID128(high: 0, low: UInt64(number / 2)),
                path: Array(repeating: UInt8(ascii: "p"), count: 60_000))
        }
        var random = TestSeed.random("an order of vouched files")
        let parts = Vouch.parts(files.shuffled(using: &random))
        #expect(parts.count > 1 && parts.flatMap(\.self).map(\.content.low) == Array(0..<150))
        let context = FrameContext(repository: .zero, sealer: .plain)
        for part in parts {
            let origin = RecordOrigin(time: Timestamp(seconds: 1), host: "", program: "")
            let bytes = Vouch(id: .zero, origin: origin, snapshot: .zero, files: part).encode(context)
            #expect(bytes.count < FormatLimits.recordBytes)
        }
        #expect(Vouch.parts([]).isEmpty)
    }
}
