// Targets that treat two names as the same, or that refuse some entries. No entry replaces another entry's item. Every
// entry that can be restored is restored, and every other entry is named.

import BakCore
import BakFormat
import BakRepository
import BakStorage
import Synchronization
import TestBench
import TestSupport
import Testing

@testable import BakEngine

@Suite struct RestoreNamesTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func restore(
        _ bench: MemoryBench, _ snapshot: CommitRecord, to target: PickyTarget,
        _ mode: RestoreRequest.Overwrite = .always, _ log: RestoreLog = RestoreLog()
    ) throws -> RestoreReport {
        var request = RestoreRequest(snapshot: snapshot)
        request.overwrite = mode
        return try Restore(
            bench.repository, index: try BlobIndex(bench.repository), to: target, onEvent: log.note
        ).run(request)
    }

    /// Names that differ in case, in the composition of a character, as a short name and a long one, or in a way that
    /// the program does not know.
    static let foldings: [(String, String, @Sendable (String) -> String)] = [
        ("IMG.JPG", "img.jpg", { $0.lowercased() }),
        ("cafe\u{301}", "caf\u{e9}", { $0.hasSuffix("cafe\u{301}") ? $0.dropLast(4) + "caf\u{e9}" : $0 }),
        ("LONGNA~1", "longname", { $0.hasSuffix("LONGNA~1") ? $0.dropLast(8) + "longname" : $0 }),
        ("a", "b", { $0.hasSuffix("a") ? $0.dropLast() + "b" : $0 }),
    ]

    @Test(arguments: 0..<4, RestoreRequest.Overwrite.allCases)
    func twoEntriesNeverMeet(folding: Int, mode: RestoreRequest.Overwrite) throws {
        let (one, two, foldName) = Self.foldings[folding]
        let fold: @Sendable ([UInt8]) -> [UInt8] = { path in
            let names = path.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
            return Array(names.map(foldName).joined(separator: "/").utf8)
        }
        let bench = try MemoryBench()
        let tree = FakeTree([
            .file(one, [1, 1]), .file(two, [2]), .other("zz", .directory), .file("zz/\(one)", [3]),
            .file("zz/\(two)", [4]), .other("zz\(one)", .directory), .file("zz\(one)/x", [5]),
            .other("zz\(two)", .directory), .file("zz\(two)/x", [6]), .file("zz\(two)/y", [7]),
        ])
        let snapshot = try #require(try bench.backup(tree).snapshot)
        let target = PickyTarget(fold: fold)
        for turn in 0..<3 {
            let log = RestoreLog()
            let report = try restore(bench, snapshot, to: target, mode, log)
            // Two files; a folder that meets another folder; and the file in that folder.
            #expect(report.failed == 4, "turn \(turn): \(log.failures)")
            #expect(target.inner.items[fold(bytes(one))] == .file([1, 1]))
            #expect(target.inner.items[fold(bytes("zz/" + one))] == .file([3]))
            #expect(target.inner.items[fold(bytes("zz\(one)/x"))] == .file([5]))
            #expect(target.inner.items[fold(bytes("zz\(two)/y"))] == .file([7]))
            // An item of the user's in the top folder, so that the top folder does not count as new.
            target.inner.set(bytes("stranger"), .file([9]))
        }
    }

    @Test(arguments: RestoreRequest.Overwrite.allCases)
    func aTargetThatTellsThemApartKeepsBoth(mode: RestoreRequest.Overwrite) throws {
        let bench = try MemoryBench()
        let tree = FakeTree([
            .file("IMG.JPG", [1]), .file("img.jpg", [2]), .other("x", .directory), .other("X", .directory),
            .file("x/a", [3]), .file("X/a", [4]),
        ])
        let snapshot = try #require(
            try bench.backup(FakeTree(tree.entries.sorted { PathOrder.precedes($0.path, $1.path) })).snapshot)
        let target = PickyTarget()
        target.inner.set(bytes("img.jpg"), .file([8]))
        for _ in 0..<2 {
            let log = RestoreLog()
            let report = try restore(bench, snapshot, to: target, mode, log)
            #expect(report.failed == 0, "\(log.failures)")
        }
        #expect(target.inner.items[bytes("IMG.JPG")] == .file([1]))
        #expect(target.inner.items[bytes("X/a")] == .file([4]))
        #expect(target.inner.items[bytes("x/a")] == .file([3]))
    }

    @Test(arguments: ["folder", "file", "special", "link", "metadata"])
    func arefusalIsTheEntrysUnlessFatal(operation: String) throws {
        for isFatal in [false, true] {
            let bench = try HostileManifest()
            var linked = bench.entry("d/f", .regular) {
                ($0.stat.linkCount, $0.stat.inode, $0.stat.size, $0.content) = (2, 5, 1, .inline([1]))
            }
            let first = linked
            linked.path = bytes("d/g")
            let snapshot = try bench.commit([
                bench.entry("d", .directory), first, linked, bench.entry("d/l", .fifo),
                bench.file("z", size: 50, [.chunk(bench.chunk)]),
            ])
            let refused: [String: String] = [
                "folder": "d", "file": "d/f", "special": "d/l", "link": "d/g", "metadata": "d",
            ]
            let path = bytes(refused[operation]!)
            let target = PickyTarget(refuse: { made, at in
                made == operation && at == path
                    ? TargetError(operation: made, message: "no", kind: isFatal ? .full : .entry) : nil
            })
            let log = RestoreLog()
            if isFatal {
                #expect(throws: TargetError.self) {
                    try restore(bench.bench, snapshot, to: target, .always, log)
                }
                continue
            }
            let report = try restore(bench.bench, snapshot, to: target, .always, log)
            #expect(report.failed > 0)
            #expect(
                log.failures.contains { $0.hasPrefix(refused[operation]! + ": ") || operation == "folder" },
                "\(log.failures)")
            #expect(target.inner.items[bytes("z")] == .file(HostileManifest.chunkBytes))
        }
    }

    @Test func namesThatGetNoLinkAreCopies() throws {
        let bench = try HostileManifest()
        func named(_ path: String) -> ManifestEntry {
            bench.entry(path, .regular) {
                ($0.stat.linkCount, $0.stat.inode, $0.stat.size, $0.content) = (4, 5, 1, .inline([1]))
            }
        }
        let snapshot = try bench.commit(["a", "b", "c", "d"].map(named))
        let target = PickyTarget(refuse: { made, _ in
            made == "link" ? TargetError(operation: "link", message: "no", kind: .refusesLinks) : nil
        })
        let report = try restore(bench.bench, snapshot, to: target)
        #expect(report.files == 4 && report.copiedLinks == 3 && report.failed == 0)
        #expect(target.inner.items.values.allSatisfy { $0 == .file([1]) } && target.inner.items.count == 4)
    }

    @Test(arguments: RestoreRequest.Overwrite.allCases)
    func furtherNamesOfAFileThatStaysAreLinks(mode: RestoreRequest.Overwrite) throws {
        let bench = try HostileManifest()
        func named(_ path: String) -> ManifestEntry {
            bench.entry(path, .regular) {
                ($0.stat.linkCount, $0.stat.inode, $0.stat.size, $0.content) = (2, 5, 1, .inline([1]))
                $0.stat.mtime = Timestamp(seconds: 0)
            }
        }
        let snapshot = try bench.commit(["a", "b"].map(named))
        let links = Mutex(0)
        for there in [[1], [2], [2, 2]] as [[UInt8]] {
            let target = PickyTarget(refuse: { made, _ in
                if made == "link" { links.withLock { $0 += 1 } }
                return nil
            })
            // The item that is already there. It may be one that the target kept, or the user's own file, which may
            // look the same.
            target.inner.set(bytes("a"), .file(there))
            _ = try restore(bench.bench, snapshot, to: target, mode)
            #expect(target.inner.items[bytes("b")] == .file([1]))
        }
        // The restore never makes a link to the user's file. It either replaces that file first, or makes a file of its
        // own.
        #expect(links.withLock { $0 } == (mode == .always ? 3 : mode == .ifChanged ? 2 : 1))
    }

    @Test func likenessIsWhatFileSystemsFold() {
        for (one, other) in [
            ("IMG.JPG", "img.jpg"), ("café", "cafe\u{301}"), ("a", "a."), ("a", "a "), ("É", "e\u{301}"),
            ("Straße", "STRASSE"), ("ς", "σ"), ("\u{212A}", "k"), ("a\u{FE0F}", "a"), ("ﬁ", "FI"),
        ] {
            #expect(Likeness.key(bytes(one)) == Likeness.key(bytes(other)), "\(one) \(other)")
        }
        for (one, other) in [("a", "b"), ("a1", "a"), ("é", "e")] {
            #expect(Likeness.key(bytes(one)) != Likeness.key(bytes(other)), "\(one) \(other)")
        }
        #expect(Likeness(bytes("CAFE\u{301}*.JPG")).matches(bytes("home/me/café-2.jpg")))
        #expect(Likeness(bytes("/Home/me")).matches(bytes("home/me")))
        #expect(!Likeness(bytes("/Home/me")).matches(bytes("home/me/x")))
        #expect(!Likeness(bytes("x")).matches(bytes("xx")))
    }

    @Test func whatIsNeededIsCountedLow() throws {
        let bench = try HostileManifest()
        func named(_ path: String) -> ManifestEntry {
            bench.file(path, size: 150, [.hole(100), .chunk(bench.chunk)])
        }
        let linked = ["k", "l"].map { name in
            bench.entry(name, .regular) {
                ($0.stat.linkCount, $0.stat.inode, $0.stat.size, $0.content) = (2, 5, 3, .inline([1, 2, 3]))
            }
        }
        let snapshot = try bench.commit([named("a"), named("b")] + linked + [bench.entry("s", .symlink)])
        let repository = bench.bench.repository
        let index = try BlobIndex(repository)
        let selection = RestoreSelection(
            RestoreRequest(snapshot: snapshot), RestoreFilter(), repository: repository, index: index)
        #expect(try selection.need() == RestoreNeed(files: 4, bytes: 303, content: 103, freed: 0))
        var there = FileStat(type: .regular)
        (there.size, there.allocatedBytes, there.linkCount) = (40, 4096, 1)
        let replaced = try selection.need { entry, _ in entry.path == [97] ? (there, false) : nil }
        #expect(replaced.freed == 40 && replaced.missing(of: 60) == 3 && replaced.missing(of: 63) == 0)
        let kept = try selection.need { entry, _ in entry.path == [97] ? (there, true) : nil }
        #expect(kept.content == 53 && kept.files == 3)
    }

    @Test func whatMatchesNothingIsNamed() throws {
        let bench = try MemoryBench()
        let tree = FakeTree([
            .other("d", .directory), .file("d/Café.png", [2]), .file("d/one.jpg", [1]),
            .other("e", .directory),
        ])
        let snapshot = try #require(try bench.backup(tree).snapshot)
        let index = try BlobIndex(bench.repository)
        func miss(_ sub: String, _ includes: [String] = [], _ excludes: [String] = []) throws -> (
            RestoreMiss?, [UInt8]?
        ) {
            func patterns(_ texts: [String]) throws -> [PathPattern] {
                try texts.map { try PathPattern(bytes($0), origin: "test") }
            }
            let selection = RestoreSelection(
                RestoreRequest(snapshot: snapshot, subpath: bytes(sub)),
                RestoreFilter(includes: try patterns(includes), excludes: try patterns(excludes)),
                repository: bench.repository, index: index)
            let miss = try selection.unmatched()
            return (miss, try miss.flatMap { try selection.nearest(to: $0).first })
        }
        for (sub, includes, excludes) in [
            ("", ["*.jpg"], []), ("d", [], []), ("e", [], []), ("d/one.jpg", [], []), ("", ["d"], []),
            ("", ["!*.gif", "*.jpg"], []), ("", [], ["*.jpg"]), ("", ["*.png", "d/one.*"], ["nothing"]),
        ] as [(String, [String], [String])] {
            #expect(try miss(sub, includes, excludes).0 == nil, "\(sub) \(includes) \(excludes)")
        }
        let whole = try miss("", ["*.gif"])
        #expect(whole.0 == RestoreMiss(patterns: [bytes("*.gif")]) && whole.1 == nil)
        #expect(try miss("", ["ONE.JPG"]).1 == bytes("d/one.jpg"))
        #expect(try miss("", ["cafe\u{301}.png"]).1 == bytes("d/Café.png"))
        #expect(try miss("D").1 == bytes("d"))
        #expect(try miss("x").0?.path == bytes("x"))
        // Entries that exist but are excluded are not reported as missing, and no similar name is suggested.
        for (includes, excludes) in [(["*.jpg"], ["*.jpg"]), (["d/one.jpg"], ["d"])] {
            let hidden = try miss("", includes, excludes)
            #expect(hidden.0?.isLeftOut == true && hidden.0?.isEverything == true && hidden.1 == nil)
        }
        for (includes, excludes) in [(["/nope"], []), ([], ["*"]), (["/x/y"], ["*"])] {
            let nothing = try miss("", includes, excludes).0
            #expect(nothing?.path == nil && nothing?.isLeftOut == false && nothing?.isEverything == true)
            #expect(nothing?.patterns == includes.map(bytes))
        }
        #expect(try miss("", [], ["*"]).0?.isEverything == true)
        #expect(try miss("", ["*.jpg"], ["d"]).0?.isEverything == true)
        #expect(
            try miss("", ["*.jpg", "*.gif"]).0 == RestoreMiss(patterns: [bytes("*.gif")], isEverything: false)
        )
    }

    @Test func timesAreComparedInTheTargetsSteps() {
        var stat = FileStat(type: .regular)
        stat.size = 5
        var random = SeededRandom(seed: 29)
        for step in [1, 100, 1_000, 10_000_000, 1_000_000_000, 2_000_000_000] as [Int64] {
            func kept(_ time: Timestamp) -> Timestamp {
                if step >= 1_000_000_000 {
                    let seconds = step / 1_000_000_000
                    return Timestamp(seconds: time.seconds / seconds * seconds)
                }
                return Timestamp(
                    seconds: time.seconds, nanoseconds: time.nanoseconds / UInt32(step) * UInt32(step))
            }
            for _ in 0..<200 {
                stat.mtime = Timestamp(
                    seconds: Int64.random(in: 0...2_000_000_000, using: &random),
                    nanoseconds: UInt32.random(in: 0...999_999_999, using: &random))
                var there = stat
                there.mtime = kept(stat.mtime)
                for mode in [RestoreRequest.Overwrite.ifChanged, .ifNewer] {
                    #expect(
                        mode.reasonToKeep(there, against: stat, rendered: kept) != nil,
                        "step \(step)")
                }
                #expect(
                    stat.mtime.cut(like: there.mtime) == there.mtime || step == 1,
                    "step \(step)")
                // A file whose time is one step earlier is another file.
                var earlier = there
                earlier.mtime.seconds -= max(1, step / 1_000_000_000)
                #expect(
                    RestoreRequest.Overwrite.ifChanged.reasonToKeep(earlier, against: stat, rendered: kept)
                        == nil)
                #expect(
                    RestoreRequest.Overwrite.ifNewer.reasonToKeep(earlier, against: stat, rendered: kept)
                        == nil)
                there.size += 1
                #expect(
                    RestoreRequest.Overwrite.ifChanged.reasonToKeep(there, against: stat, rendered: kept)
                        == nil)
            }
        }
    }
}
