// Doubts that depend on what was stored: files exist but cannot be read, or other files have taken the place of the
// earlier ones.

import BakCore
import BakFormat
import BakRepository
import TestBench
import TestSupport
import Testing

@testable import BakEngine

@Suite struct UnstoredFileTests {
    /// The operation that fails when a file is read.
    enum Fault: String, CaseIterable, Sendable { case open, vanish, read, fstat, short }

    /// Returns files with numbers as names. All but the first `whole` of them have a fault.
    private static func tree(
        _ numbers: Range<Int>, whole: Int? = nil, _ fault: Fault = .open, folder: String = "s/d",
        content: (Int) -> String = { "content \($0)" }
    ) -> FakeTree {
        var entries: [FakeEntry] = [.other("s", .directory), .other(folder, .directory)]
        for number in numbers {
            entries.append(
                .file("\(folder)/\(number).jpg", Array(content(number).utf8)) { entry in
                    guard let whole, number - numbers.lowerBound >= whole else { return }
                    // The backup would not read an unchanged file.
                    entry.stat.mtime.seconds += 1
                    if fault == .short { entry.content.removeLast(3) } else { entry.fault = fault.rawValue }
                })
        }
        return FakeTree(entries.sorted { PathOrder.precedes($0.path, $1.path) })
    }

    private func standing(_ bench: MemoryBench) throws -> [Int64] {
        let all = try bench.repository.snapshots().readable
        let doubts = SnapshotDoubts(among: all)
        return all.filter { doubts.standing.contains($0.id) }.map(\.time.seconds)
    }

    @Test(arguments: [(6, 0, true), (6, 2, true), (6, 3, false), (6, 5, false), (1, 0, true), (7, 3, true)])
    func whatCouldNotBeReadIsMissing(_ count: Int, _ whole: Int, _ isInDoubt: Bool) throws {
        for fault in Fault.allCases {
            for archive in [BackupRequest.ArchiveChoice.yes, .no] {
                for parent in [BackupRequest.ParentChoice.latest, .none] {
                    let bench = try MemoryBench()
                    try bench.archive(Self.tree(0..<count), at: 1) { $0.archive = archive }
                    let bad = Self.tree(0..<count, whole: whole, fault)
                    func again(_ time: Int64) throws -> SourceDoubts {
                        let report = try bench.archive(bad, at: time) {
                            ($0.archive, $0.parent) = (archive, parent)
                        }
                        #expect(report.counters.failedItems == UInt64(count - whole))
                        return report.doubts
                    }
                    let first = try again(2)
                    #expect(first.shrunken.isEmpty != isInDoubt, "\(fault) \(archive)")
                    #expect(try standing(bench) == (isInDoubt ? [2] : []))
                    guard isInDoubt else { continue }
                    let found = try #require(first.shrunken.first)
                    #expect(found.before == UInt64(count) && found.left == UInt64(whole) && found.gone == 0)
                    #expect(found.unread == UInt64(count - whole) && found.others == 0)
                    // The same faults at the next backup confirm nothing.
                    #expect(try !again(3).shrunken.isEmpty)
                    #expect(try standing(bench) == [2, 3])
                    let readable = try bench.archive(Self.tree(0..<count), at: 4) { $0.archive = archive }
                    #expect(readable.doubts.isEmpty && readable.counters.failedItems == 0)
                    #expect(try standing(bench) == [])
                }
            }
        }
    }

    /// New files that cannot be read cause no doubt about the earlier files.
    @Test func newFilesThatCannotBeReadAreNoDoubt() throws {
        let bench = try MemoryBench()
        try bench.archive(Self.tree(0..<6), at: 1) { $0.archive = .no }
        let report = try bench.archive(Self.tree(0..<40, whole: 6), at: 2) { $0.archive = .no }
        #expect(report.counters.failedItems == 34 && report.doubts.isEmpty)
        let mixed = try bench.archive(Self.tree(4..<40, whole: 3), at: 3) { $0.archive = .no }
        let found = try #require(mixed.doubts.shrunken.first)
        #expect((found.before, found.left, found.unread, found.others, found.gone) == (6, 2, 0, 1, 4))
    }

    /// Another disk is in the same place. The numbers are: files before, files that both disks have, other files; and
    /// whether that causes a doubt.
    @Test(arguments: [
        (6, 0, 6, true), (6, 2, 40, true), (6, 3, 40, false), (4, 0, 4, true), (3, 0, 3, false),
        (6, 6, 6, false),
    ])
    func otherFilesAreNotThoseThatWere(_ before: Int, _ left: Int, _ others: Int, _ isInDoubt: Bool) throws {
        for parent in [BackupRequest.ParentChoice.latest, .none] {
            let bench = try MemoryBench()
            func back(_ numbers: Range<Int>, at time: Int64) throws -> BackupReport {
                try bench.archive(Self.tree(numbers), at: time) { ($0.archive, $0.parent) = (.no, parent) }
            }
            let first = 0..<before
            let second = before - left..<before + others
            _ = try back(first, at: 1)
            let report = try back(second, at: 2)
            #expect(report.doubts.shrunken.isEmpty != isInDoubt)
            #expect(try standing(bench) == (isInDoubt ? [2] : []))
            guard isInDoubt else { continue }
            let found = try #require(report.doubts.shrunken.first)
            #expect(found.before == UInt64(before) && found.left == UInt64(left))
            #expect(found.others == UInt64(others) && found.unread == 0)
            // A third disk does not confirm the doubt about the second. But the next backup of this third disk confirms
            // it.
            #expect(try !back(1000..<1000 + before, at: 3).doubts.shrunken.isEmpty)
            #expect(try back(1000..<1000 + before, at: 4).doubts.shrunken.isEmpty)
            #expect(try standing(bench) == [])
            _ = try back(second, at: 5)
            _ = try back(1000..<1000 + before, at: 6)
            let all = try bench.repository.snapshots().readable
            let refuted = SnapshotDoubts(among: all).refuted
            #expect(all.filter { refuted.contains($0.id) }.map(\.time.seconds) == [2, 5])
        }
    }

    /// An archive loses nothing, so a memory card that was cleared and filled again causes no doubt.
    @Test func otherFilesInAnArchiveAreNoDoubt() throws {
        let bench = try MemoryBench()
        try bench.archive(Self.tree(0..<6), at: 1)
        let report = try bench.archive(Self.tree(6..<12), at: 2)
        #expect(report.doubts.isEmpty && report.snapshot?.counters.files == 12)
    }

    /// A file with other content under the same name counts as the same file, changed.
    @Test func changedFilesAreThere() throws {
        let bench = try MemoryBench()
        try bench.archive(Self.tree(0..<6), at: 1) { $0.archive = .no }
        let report = try bench.archive(Self.tree(0..<6) { "other \($0)" }, at: 2) {
            ($0.archive, $0.parent) = (.no, .none)
        }
        #expect(report.doubts.isEmpty)
    }

    /// Renamed files and files in a renamed folder are recognised by their content, even after an interruption.
    @Test func renamedFilesAreThere() throws {
        let long = { (number: Int) in String(repeating: "number \(number) ", count: 300) }
        for content in [{ "content \($0)" }, long] {
            for parent in [BackupRequest.ParentChoice.latest, .none] {
                for stops in [nil, 20, 40, 60] {
                    let bench = try MemoryBench()
                    func back(_ tree: FakeTree, at time: Int64, stops: Int? = nil) throws -> BackupReport {
                        try bench.archive(tree, at: time, stoppingAfter: stops) {
                            ($0.archive, $0.parent) = (.no, parent)
                        }
                    }
                    _ = try back(Self.tree(0..<40, content: content), at: 1)
                    let renamed = Self.tree(100..<140) { content($0 - 100) }
                    if let stops { _ = try back(renamed, at: 2, stops: stops) }
                    #expect(try back(renamed, at: 3).doubts.isEmpty)
                    let moved = Self.tree(100..<140, folder: "s/moved") { content($0 - 100) }
                    #expect(try back(moved, at: 4).doubts.isEmpty)
                    // Only 19 of the 40 files have known content.
                    let few = Self.tree(200..<240) { content($0 < 219 ? $0 - 200 : $0) }
                    #expect(try back(few, at: 5).doubts.shrunken.map(\.left) == [19])
                }
            }
        }
    }

    /// A file that cannot be read to its end stays in an archive as it was, under each of its names.
    @Test func anArchiveKeepsWhatCannotBeReadToItsEnd() throws {
        func tree(short: Bool) -> FakeTree {
            var entries: [FakeEntry] = [.other("s", .directory)]
            for name in ["a", "b", "c"] {
                entries.append(
                    .file("s/\(name)", Array(repeating: 7, count: 2000)) { entry in
                        if name != "a" { (entry.stat.inode, entry.stat.linkCount) = (5, 2) }
                        guard short else { return }
                        entry.stat.mtime.seconds += 1
                        entry.content = name == "a" ? [] : Array(repeating: 7, count: 700)
                    })
            }
            return FakeTree(entries)
        }
        let bench = try MemoryBench()
        try bench.archive(tree(short: false), at: 1)
        let events = EventLog()
        let report = try bench.archive(tree(short: true), at: 2, events)
        #expect(report.counters.failedItems == 3)
        #expect(events.failures.count == 3)
        let items = try bench.archived(try #require(report.snapshot))
        for name in ["s/a", "s/b", "s/c"] {
            let item = try #require(items[Array(name.utf8)])
            #expect(item.content == Array(repeating: 7, count: 2000) && item.goneSince == nil)
        }
        // If the archive has no earlier state of the file, it stores the part that could be read.
        let other = try MemoryBench()
        let first = try #require(try other.archive(tree(short: true), at: 1).snapshot)
        #expect(try other.archived(first)[Array("s/b".utf8)]?.content.count == 700)
        let whole = try #require(try other.archive(tree(short: false), at: 2).snapshot)
        #expect(try other.archived(whole)[Array("s/b".utf8)]?.content.count == 2000)
    }

    /// A sample of many contents represents all of them.
    @Test func samplesStandForAll() throws {
        func entry(_ number: Int) -> ManifestEntry {
            var stat = FileStat(type: .regular)
            stat.size = 8
            let bytes = withUnsafeBytes(of: UInt64(number)) { Array($0) }
            return ManifestEntry(
                path: [97], stat: stat, attributes: FileAttributes(), content: .inline(bytes))
        }
        for seed in UInt64(1)...40 {
            var random = SeededRandom(seed: seed)
            let few = Int.random(in: 0...3000, using: &random)
            let many = Int.random(in: 0...20_000, using: &random)
            var (one, other, third) = (ContentSample(most: 512), ContentSample(most: 512), ContentSample())
            for number in 0..<few + many {
                if number < few + many / 2 { one.add(entry(number), beneath: 1) }
                if number >= few {
                    other.add(entry(number), beneath: 1)
                    third.add(entry(number), beneath: number % 2)
                }
            }
            let shared = one.shared(with: other, rootCount: 2)
            #expect(shared[0] == 0)
            // A sample keeps some hundreds of contents. The permitted error is far larger than chance explains.
            let expected = Double(many / 2)
            let bits = (0...).first { Double(few + many) / Double(1 << $0) <= 512 } ?? 0
            let deviation = (expected * Double(1 << bits)).squareRoot()
            #expect(
                abs(Double(shared[1]) - expected) <= 8 * deviation + Double(4 << bits),
                "seed \(seed), \(few) and \(many): \(shared[1])")
            if few + many <= 512 { #expect(shared[1] == UInt64(many / 2)) }
            third.add(other)
            #expect(one.shared(with: third, rootCount: 2)[1] >= shared[1])
        }
    }

    /// The sample counts how often it met the same content.
    @Test func oneFileStandsForOne() {
        var (one, other) = (ContentSample(), ContentSample())
        let empty = ManifestEntry(
            path: [97], stat: FileStat(type: .regular), attributes: FileAttributes(), content: .inline([]))
        for _ in 0..<9 { one.add(empty, beneath: 0) }
        for _ in 0..<4 { other.add(empty, beneath: 0) }
        #expect(one.shared(with: other, rootCount: 1) == [4] && other.shared(with: one, rootCount: 1) == [4])
    }
}
