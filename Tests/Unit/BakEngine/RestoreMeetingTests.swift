// Snapshots whose paths meet at the target, because the target treats different names as the same. The snapshots are
// restored again and again. An item keeps the content of the entry that made it. Only entries that really meet are
// refused. A restore never replaces another entry's item, and replaces the user's items only as its mode says.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@testable import BakEngine

@Suite struct RestoreMeetingTests {
    /// A way in which a target treats names as the same, with spellings that it treats as the same.
    struct Folding: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var spellings: @Sendable (String) -> [String]
        var fold: @Sendable (String) -> String

        func path(_ path: [UInt8]) -> [UInt8] {
            let names = path.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
            return Array(names.map(fold).joined(separator: "/").utf8)
        }
    }

    static let foldings = [
        Folding(
            testDescription: "case",
            spellings: { [$0.uppercased(), $0, $0.prefix(1).uppercased() + $0.dropFirst()] },
            fold: { $0.lowercased() }),
        Folding(
            testDescription: "normalisation", spellings: { ["\($0)e\u{301}", "\($0)\u{e9}"] },
            fold: { name in
                var scalars = Array(name.unicodeScalars)
                while let place = scalars.firstIndex(of: "\u{301}") {
                    scalars.replaceSubrange((place - 1)...place, with: ["\u{e9}"])
                }
                return String(String.UnicodeScalarView(scalars))
            }),
        Folding(
            testDescription: "a way that nothing knows of", spellings: { ["\($0)-1", "\($0)-2", "\($0)-3"] },
            fold: { $0.contains("-") ? String($0.dropLast(2)) : $0 }),
    ]

    private func restore(
        _ bench: MemoryBench, _ snapshot: CommitRecord, to target: PickyTarget,
        _ mode: RestoreRequest.Overwrite, _ log: RestoreLog = RestoreLog(),
        filter: RestoreFilter = RestoreFilter()
    ) throws -> RestoreReport {
        var request = RestoreRequest(snapshot: snapshot)
        (request.overwrite, request.isPrivileged) = (mode, true)
        return try Restore(
            bench.repository, index: try BlobIndex(bench.repository), to: target, filter: filter,
            onEvent: log.note
        ).run(request)
    }

    /// Returns nested folders, files, links and special files that have few names and many spellings.
    private func tree(_ folding: Folding, _ random: inout SeededRandom, hasLinks: Bool) -> FakeTree {
        var entries: [FakeEntry] = []
        var seen: Set<String> = []
        func fill(_ folder: String, depth: Int) {
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let name = ["a", "b", "c"].randomElement(using: &random)!
                let path = folder + folding.spellings(name).randomElement(using: &random)!
                guard seen.insert(path).inserted else { continue }
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5 where depth < 4:
                    entries.append(.other(path, .directory))
                    fill(path + "/", depth: depth + 1)
                case 5: entries.append(.other(path, .symlink))
                case 6: entries.append(.other(path, .fifo))
                case 7 where hasLinks:
                    entries.append(
                        .file(path, [7, 7]) { ($0.stat.linkCount, $0.stat.inode) = (9, 77) })
                default: entries.append(.file(path, random.bytes(Int.random(in: 1...60, using: &random))))
                }
            }
        }
        fill("", depth: 0)
        return FakeTree(entries.sorted { PathOrder.precedes($0.path, $1.path) })
    }

    /// Expects that the log mentions every entry, and that each restored entry is at the target.
    private func expect(_ tree: FakeTree, _ log: RestoreLog, in target: PickyTarget, _ comment: Comment) {
        let (restored, failed) = (log.restored, log.failed)
        for entry in tree.entries {
            let isTold =
                restored.contains(entry.path) || failed.contains(entry.path) || log.kept.contains(entry.path)
            #expect(isTold, "\(comment): nothing is said of \(String(decoding: entry.path, as: UTF8.self))")
            guard restored.contains(entry.path) else { continue }
            #expect(
                target.inner.items[target.fold(entry.path)] == tree.expected[entry.path],
                "\(comment): \(String(decoding: entry.path, as: UTF8.self)) is another's")
        }
    }

    /// Expects that the same entries failed as at the first time. The exception is a link that the medium refuses:
    /// another item may have its name by now, and then the link counts as kept.
    private func expectSame(_ tree: FakeTree, _ log: RestoreLog, as first: RestoreLog, _ comment: Comment) {
        let links = tree.entries.filter { $0.stat.type == .symlink }.map(\.path)
        #expect(log.failed == first.failed.subtracting(log.kept.intersection(links)), comment)
    }

    @Test(arguments: foldings, RestoreRequest.Overwrite.allCases)
    func whatWasRestoredIsTakenAsWhole(folding: Folding, mode: RestoreRequest.Overwrite) throws {
        for seed in UInt64(0)..<24 {
            var random = SeededRandom(seed: seed)
            let tree = tree(folding, &random, hasLinks: false)
            let comment: Comment = "seed \(seed)"
            let bench = try MemoryBench()
            let snapshot = try #require(try bench.backup(tree).snapshot)
            let refusesLinks = seed % 3 == 1
            let target = PickyTarget(
                fold: folding.path,
                refuse: { made, path in
                    let isLink = tree.entries.contains { $0.path == path && $0.stat.type == .symlink }
                    return refusesLinks && made == "special" && isLink
                        ? TargetError(operation: made, message: "no") : nil
                })
            let first = RestoreLog()
            _ = try restore(bench, snapshot, to: target, mode, first)
            expect(tree, first, in: target, comment)
            let whole = target.inner.items
            for turn in 2...3 {
                let log = RestoreLog()
                _ = try restore(bench, snapshot, to: target, mode, log)
                expectSame(tree, log, as: first, "\(comment), turn \(turn): \(log.failures)")
                expect(tree, log, in: target, comment)
                #expect(target.inner.items.filter { $0.key != [1] } == whole, "\(comment), turn \(turn)")
                // An item of the user's.
                target.inner.set([1], .file([9]))
            }
            // A file that the user has changed is replaced or kept, as the mode says. It never becomes another entry.
            for (path, item) in whole { if case .file = item { target.inner.set(path, .file([])) } }
            let log = RestoreLog()
            _ = try restore(bench, snapshot, to: target, mode, log)
            expectSame(tree, log, as: first, "\(comment), changed: \(log.failures)")
            for (path, item) in whole {
                guard case .file = item else { continue }
                #expect(target.inner.items[path] == (mode == .never ? .file([]) : item), comment)
            }
        }
    }

    @Test(arguments: foldings, RestoreRequest.Overwrite.allCases)
    func hardLinksMeetToo(folding: Folding, mode: RestoreRequest.Overwrite) throws {
        for seed in UInt64(0)..<16 {
            var random = SeededRandom(seed: seed)
            let tree = tree(folding, &random, hasLinks: true)
            let bench = try MemoryBench()
            let snapshot = try #require(try bench.backup(tree).snapshot)
            let target = PickyTarget(fold: folding.path)
            var stable: (items: [[UInt8]: MemoryTarget.Item], failed: Set<[UInt8]>)?
            for turn in 1...4 {
                let log = RestoreLog()
                _ = try restore(bench, snapshot, to: target, mode, log)
                expect(tree, log, in: target, "seed \(seed), turn \(turn)")
                // A restore makes further names of a file last. So at first, another entry may have taken such a name.
                if turn >= 3 {
                    #expect(target.inner.items == stable?.items, "seed \(seed), turn \(turn)")
                    #expect(log.failed == stable?.failed, "seed \(seed), turn \(turn): \(log.failures)")
                }
                stable = (target.inner.items, log.failed)
            }
        }
    }

    @Test(arguments: RestoreRequest.Overwrite.allCases)
    func longContentNeverComesToLieOverAnothers(mode: RestoreRequest.Overwrite) throws {
        for seed in UInt64(0)..<6 {
            var random = SeededRandom(seed: seed)
            var tree = tree(Self.foldings[0], &random, hasLinks: false)
            // The content is in packs. A thread writes it when it has loaded it, which may be after later entries were
            // handled.
            tree = FakeTree(
                tree.entries.map { entry in
                    guard entry.stat.type == .regular else { return entry }
                    return .file(String(decoding: entry.path, as: UTF8.self), random.bytes(3000))
                })
            let bench = try MemoryBench()
            let snapshot = try #require(try bench.backup(tree).snapshot)
            let target = PickyTarget(fold: Self.foldings[0].path)
            for turn in 1...3 {
                let log = RestoreLog()
                _ = try restore(bench, snapshot, to: target, mode, log)
                expect(tree, log, in: target, "seed \(seed), turn \(turn)")
            }
        }
    }

    @Test func whatIsNotWantedMeetsNothing() throws {
        func pattern(_ text: String) throws -> PathPattern {
            try PathPattern(Array(text.utf8), origin: "test")
        }
        let tree = FakeTree([
            .other("IMG", .directory), .file("IMG/a", [1]), .file("IMG/b", [2]),
            .other("IMG/none", .directory),
            .file("IMG/none/x", [3]), .other("img", .directory), .file("img/a", [4]), .file("img/b", [5]),
            .file("img/c", [6]), .other("img/none", .directory), .file("img/none/x", [7]),
        ])
        let bench = try MemoryBench()
        let snapshot = try #require(try bench.backup(tree).snapshot)
        let filter = RestoreFilter(
            includes: try ["IMG/a", "img/*"].map(pattern), excludes: try ["IMG/none"].map(pattern))
        let target = PickyTarget(fold: Self.foldings[0].path)
        for turn in 1...3 {
            let log = RestoreLog()
            _ = try restore(bench, snapshot, to: target, .always, log, filter: filter)
            #expect(log.failed == [Array("img".utf8), Array("img/a".utf8)], "turn \(turn): \(log.failures)")
            #expect(target.inner.items[Array("img/b".utf8)] == .file([5]))
            #expect(target.inner.items[Array("img/none/x".utf8)] == .file([7]))
        }
    }

    @Test func whatIsTheUsersInAMergedFolderIsTreatedAsTheModeSays() throws {
        let tree = FakeTree([
            .other("IMG", .directory), .file("IMG/a", [1]), .other("img", .directory), .file("img/b", [2]),
        ])
        let bench = try MemoryBench()
        let snapshot = try #require(try bench.backup(tree).snapshot)
        for mode in RestoreRequest.Overwrite.allCases {
            let target = PickyTarget(fold: Self.foldings[0].path)
            target.inner.items = [Array("img".utf8): .folder, Array("img/b".utf8): .file([8, 8])]
            let log = RestoreLog()
            _ = try restore(bench, snapshot, to: target, mode, log)
            #expect(log.failed == [Array("img".utf8)], "\(mode): \(log.failures)")
            #expect(
                target.inner.items[Array("img/b".utf8)] == .file(mode == .never ? [8, 8] : [2]), "\(mode)")
        }
    }

    @Test func longListsOfOthersAreReadInPart() throws {
        // Beneath one folder there are more entries than the reader passes over one by one, and there are bounds of
        // segments between them.
        let bench = try HostileManifest()
        let inner = (0..<9000).map { bench.entry("IMG/m/f\(10000 + $0)", .regular) }
        let snapshot = try bench.commitLong(
            [
                bench.entry("IMG", .directory), bench.entry("IMG/a", .regular),
                bench.entry("IMG/m", .directory),
            ]
                + inner + [bench.entry("IMG/z", .regular), bench.entry("img", .directory)])
        let repository = bench.bench.repository
        let selection = RestoreSelection(
            RestoreRequest(snapshot: snapshot), RestoreFilter(), repository: repository,
            index: try BlobIndex(repository))
        let found = try #require(try selection.entries(in: Array("IMG".utf8), stop: .never))
        #expect(found.map { String(decoding: $0.name, as: UTF8.self) } == ["a", "m", "z"])
        #expect(found.map(\.type) == [.regular, .directory, .regular])
        #expect(try selection.entries(in: Array("IMG".utf8), stop: StopSignal { true }) == nil)
    }
}
