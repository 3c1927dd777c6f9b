// Doubts over several backups. A backup is in doubt if most files are missing, perhaps because a disk was not
// connected. The tests cover files that rules exclude, and files that were declared safe to delete.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct DoubtSequenceTests {
    /// The state of the source and the rules in one backup.
    private enum Night: String {
        /// 20 files, no rules.
        case full
        /// The 20 files, and a rule that excludes half of them.
        case half
        /// The 20 files, and a rule that excludes the other half.
        case otherHalf
        /// The 20 files, and rules that exclude all but one.
        case allButOne
        /// The 20 files, and a rule that excludes all of them.
        case none
        /// The 20 files, and a rule that excludes their folder.
        case noFolder
        /// The 20 files, and a rule that excludes them because of their size.
        case noSize
        /// The 20 files, and a file of rules in the folder that excludes all of them and itself.
        case ownRules
        /// The 20 files, and a file of rules in the folder that excludes only the pictures.
        case storedRules
        /// An empty folder.
        case empty
        /// An empty folder, and a rule that would exclude all 20 files.
        case emptyNone
        /// Half of the files are gone, and a rule excludes the other half.
        case halfGone
        /// The rules of `none`, and further files that they do not exclude.
        case others
        /// The 20 files, of which all, most or some have become empty.
        case cut, mostCut, someCut
        /// The 20 files and a folder. The folder is a mounted file system with 5 files, an empty folder, or a folder
        /// with another file.
        case mounted, unmounted, other
        /// The 20 files and a mounted file system with a folder in it. This folder is another mounted file system with
        /// 5 files, an empty folder, a folder with another file, or a folder with one of the 5 files.
        case nested, unnested, unnestedMarked, partly

        func tree() -> FakeTree {
            let files: [String] =
                switch self {
                case .empty, .emptyNone: []
                case .others: (0..<12).map { "other \($0).txt" } + (0..<20).map { "\($0).jpg" }
                case .halfGone: (10..<20).map { "\($0).jpg" }
                default: (0..<20).map { "\($0).jpg" }
                }
            var entries = [FakeEntry.other("s", .directory)]
            if self == .storedRules { entries.append(.file("s/.bakignore", Array("*.jpg\n".utf8))) }
            if self == .ownRules { entries.append(.file("s/.bakignore", Array("*\n".utf8))) }
            let cut = [Night.cut: 20, .mostCut: 11, .someCut: 10][self] ?? 0
            entries += files.enumerated().map { number, name in
                .file("s/\(name)", number < cut ? [] : Array("content of \(name)".utf8))
            }
            if [.mounted, .unmounted, .other].contains(self) {
                let device: UInt64 = self == .mounted ? 2 : 1
                let names =
                    self == .mounted ? (0..<5).map { "usb/\($0)" } : self == .other ? ["usb/other"] : []
                entries.append(.other("s/usb", .directory) { $0.stat.device = device })
                entries += names.map { name in
                    .file("s/\(name)", Array(name.utf8)) { $0.stat.device = device }
                }
            }
            if [.nested, .unnested, .unnestedMarked, .partly].contains(self) {
                let device: UInt64 = self == .nested ? 3 : 2
                let names =
                    [Night.nested: (0..<5).map { "\($0)" }, .unnestedMarked: ["mark"], .partly: ["0"]][self]
                    ?? []
                entries.append(.other("s/usb", .directory) { $0.stat.device = 2 })
                entries.append(.other("s/usb/card", .directory) { $0.stat.device = device })
                entries += names.map { name in
                    .file("s/usb/card/\(name)", Array(name.utf8)) { $0.stat.device = device }
                }
            }
            return FakeTree(entries.sorted { PathOrder.precedes($0.path, $1.path) })
        }

        func exclusions() throws -> BackupExclusions {
            var exclusions = BackupExclusions()
            let patterns =
                switch self {
                case .half, .halfGone: ["/s/1?.jpg"]
                case .otherHalf: ["/s/?.jpg"]
                case .allButOne: ["/s/1?.jpg", "/s/[1-9].jpg"]
                case .none, .emptyNone, .others: ["*.jpg"]
                case .noFolder: ["/s"]
                default: [] as [String]
                }
            exclusions.patterns = try patterns.map { try PathPattern(Array($0.utf8), origin: "test") }
            if self == .noSize { exclusions.largestFile = 5 }
            exclusions.honoursIgnoreFiles = self == .ownRules || self == .storedRules
            return exclusions
        }
    }

    /// Runs backups such as `full none? empty?`. The mark `?` expects a doubt. The mark `!` tells the backup that the
    /// missing files are intended. Returns the backups with their actual marks, and finally the newest one whose
    /// snapshot counts.
    private func run(_ nights: String, archive: BackupRequest.ArchiveChoice) throws -> [String] {
        let bench = try MemoryBench()
        var found: [String] = []
        var names: [Int64: String] = [:]
        for (number, word) in nights.split(separator: " ").enumerated() {
            let name = String(word.filter { $0.isLetter })
            let night = try #require(Night(rawValue: name))
            let report = try bench.backup(
                night.tree(),
                EventLog(),
                { request in
                    request.time = Timestamp(seconds: Int64(number))
                    (request.archive, request.allowsEmpty) = (archive, word.hasSuffix("!"))
                }, exclusions: try night.exclusions())
            let mark = report.doubts.shrunken.isEmpty ? word.hasSuffix("!") ? "!" : "" : "?"
            found.append(name + mark)
            names[Int64(number)] = name
            #expect(report.snapshot?.doubtfulPaths.isEmpty ?? false == report.doubts.shrunken.isEmpty)
        }
        let all = try bench.repository.snapshots().readable
        let doubts = SnapshotDoubts(among: all)
        let counting = all.last { !doubts.standing.contains($0.id) && !doubts.refuted.contains($0.id) }
        return found + ["-> " + (counting.flatMap { names[$0.time.seconds] } ?? "")]
    }

    @Test(arguments: [
        // Rules that exclude everything cause a doubt, and again with other rules.
        "full none? -> full", "full noFolder? -> full", "full noSize? -> full", "full ownRules? -> full",
        "full none? none? noFolder? -> full", "none none -> none", "empty none -> none",
        "full storedRules? -> full", "full storedRules? storedRules -> storedRules",
        // The user says that it is intended, or files are there again.
        "full none! none none -> none", "full none? none! none -> none", "full none? full -> full",
        "full none? half half -> half", "full none? others -> others",
        // Rules that exclude only some files cause no doubt. The files that are left then count.
        "full half -> half", "full half empty? -> half", "full half empty? empty? half -> half",
        "full half otherHalf -> otherHalf", "full half otherHalf empty? -> otherHalf",
        "full half none? -> half", "full half none? empty? -> half", "full half halfGone? -> half",
        "full allButOne empty? -> allButOne", "full allButOne none? empty? -> allButOne",
        // The source is empty after a rule excluded everything, with the rule or without it; or the rule comes after an
        // empty source.
        "full none? empty? -> full", "full none? emptyNone? -> full", "full emptyNone? -> full",
        "full none? empty? none? empty? full -> full",
        "full empty? none? -> full", "full empty? noFolder? noFolder? -> full", "full empty? half -> half",
        // After the user said that it is intended, files that come back count again.
        "full none! full empty? -> full", "full none! empty -> empty", "full none? empty! none -> none",
        "full none? none! full empty? none? -> full",
        // Files exist but have become empty.
        "full cut? -> full", "full cut? cut? -> full", "full mostCut? -> full", "full someCut -> someCut",
        "full mostCut? mostCut -> mostCut", "full cut! cut -> cut", "full cut? full cut? -> full",
        "cut full -> full", "cut cut -> cut", "full cut? empty? -> full", "full someCut empty? -> someCut",
        // A mounted file system is gone, although it has only few of the files.
        "mounted unmounted? -> mounted", "mounted unmounted? unmounted -> unmounted",
        "mounted unmounted! unmounted -> unmounted", "mounted unmounted? mounted -> mounted",
        "mounted other? -> mounted", "mounted other? other -> other", "mounted unmounted? other -> other",
        "unmounted mounted -> mounted", "mounted full -> full",
        "nested unnested? -> nested", "nested unnestedMarked? -> nested", "nested partly -> partly",
        "nested unnested? unnested -> unnested", "unnested nested -> nested", "nested mounted -> mounted",
    ]) func sequences(_ row: String) throws {
        let parts = row.split(separator: "-")
        let found = try run(String(parts[0]), archive: .no)
        #expect(found.joined(separator: " ") == row)
    }

    /// An archive keeps excluded files. So only files that are gone cause a doubt.
    @Test(arguments: [
        "full none -> none", "full none empty? -> none", "full none emptyNone? -> none",
        "full noFolder -> noFolder",
        "full half empty? -> half", "full none none empty? none -> none", "full none empty! empty -> empty",
    ]) func sequencesOfArchives(_ row: String) throws {
        let found = try run(String(row.split(separator: "-")[0]), archive: .yes)
        #expect(found.joined(separator: " ") == row)
    }

    /// Files that rules exclude are counted separately from files that are gone.
    @Test func countsSayWhatRulesLeaveOut() throws {
        let bench = try MemoryBench()
        try bench.backup(Night.full.tree(), EventLog(), { $0.archive = .no })
        var exclusions = BackupExclusions()
        exclusions.patterns = [try PathPattern(Array("/s/1?.jpg".utf8), origin: "test")]
        let gone = Night.halfGone.tree()
        let report = try bench.backup(gone, EventLog(), { $0.archive = .no }, exclusions: exclusions)
        let doubt = try #require(report.doubts.shrunken.first)
        #expect((doubt.before, doubt.leftOut, doubt.gone, doubt.now) == (20, 10, 10, 0))
        #expect(report.counters.newlyGoneFiles == 10)
    }

    /// A folder of copies is gone, and a folder with the same content is left. The gone folder does not count as
    /// renamed to the other, whether the backup compares the other folder or reads it again.
    @Test(arguments: [false, true]) func copiesThatAreLeftAreNotThoseThatAreGone(isForced: Bool) throws {
        let bench = try MemoryBench()
        func backup(_ folders: [(name: String, contents: Range<Int>)]) throws -> BackupReport {
            var entries = [FakeEntry.other("s", .directory)]
            for (name, contents) in folders {
                entries.append(.other("s/\(name)", .directory))
                entries += contents.map { .file("s/\(name)/\($0 + 100)", Array("content \($0)".utf8)) }
            }
            return try bench.backup(FakeTree(entries), EventLog()) {
                $0.archive = .no
                if isForced { $0.parent = .none }
            }
        }
        _ = try backup([("a", 0..<10), ("b", 0..<12)])
        let report = try backup([("a", 0..<10), ("others", 100..<112)])
        let doubt = try #require(report.doubts.shrunken.first)
        #expect((doubt.before, doubt.left, doubt.others) == (22, 10, 12))
        // A renamed folder does not count as gone, even if the backup reads it.
        #expect(try backup([("a", 0..<10), ("c", 0..<12)]).doubts.shrunken.isEmpty)
    }

    // MARK: What was called safe to delete

    /// The number of files in a folder; how many of them were declared safe to delete; how many are deleted, from the
    /// first on; whether that causes a doubt.
    @Test(arguments: [
        // All deleted files were declared safe, as when a phone is cleared.
        (20, 20, 20, false), (20, 20, 15, false), (2, 2, 2, false), (1, 1, 1, false), (20, 15, 15, false),
        // None or too few of the deleted files were declared safe.
        (20, 0, 20, true), (20, 15, 20, true), (20, 19, 20, true), (20, 4, 16, true), (3, 2, 3, true),
        // Of the files that were not declared safe, at least half are left.
        (20, 10, 15, false), (20, 10, 16, true),
    ]) func whatWasCalledSafeIsMissedByNobody(
        _ count: Int, _ safe: Int, _ deleted: Int, _ isInDoubt: Bool
    ) throws {
        for archive in [BackupRequest.ArchiveChoice.no, .yes] {
            for isReplaced in [false, true] {
                let bench = try MemoryBench()
                func files(_ numbers: Range<Int>) -> [FakeEntry] {
                    // The first file has more extents than one record holds.
                    numbers.map { .file("s/\($0 + 100)", content($0)) }
                }
                func content(_ number: Int) -> [UInt8] {
                    if number > 0 || isReplaced || safe != 20 { return Array("content \(number)".utf8) }
                    let random = SeededRandom(seed: 7)
                    return random.bytes(1 << 21)
                }
                let folder = FakeEntry.other("s", .directory)
                let first = try #require(
                    try bench.backup(
                        FakeTree([folder] + files(0..<count)), EventLog(), { $0.archive = archive }
                    )
                    .snapshot)
                let index = try BlobIndex(bench.repository) { _ in }
                let reader = try ManifestReader(first, repository: bench.repository, index: index)
                var vouches: [Vouch.File] = []
                var entries: [ManifestEntry] = []
                while let next = try reader.next() {
                    switch next {
                    case .entry(let entry): entries.append(entry)
                    case .continuation(let more):
                        guard case .extents(let extents) = entries[entries.count - 1].content else {
                            continue
                        }
                        entries[entries.count - 1].content = .extents(extents + more)
                    }
                }
                for entry in entries where entry.stat.type == .regular && vouches.count < safe {
                    vouches.append(
                        Vouch.File(content: try #require(entry.content).fingerprint, path: entry.path))
                }
                try bench.repository.vouch(
                    for: [first.id: vouches],
                    RecordOrigin(time: Timestamp(seconds: 1), host: "h", program: "p"))
                var left = [folder] + files(deleted..<count)
                // An item of another type has the name of a deleted file.
                if isReplaced { left.insert(.other("s/100", .directory), at: 1) }
                let report = try bench.backup(FakeTree(left), EventLog(), { $0.archive = archive })
                // An archive loses nothing, so the numbers alone decide whether there is a doubt.
                #expect(report.doubts.shrunken.isEmpty != isInDoubt)
                #expect(report.snapshot?.doubtfulPaths.isEmpty != isInDoubt)
                if !isInDoubt {
                    #expect(report.doubts.cleared.map(\.vouched) == [UInt64(min(safe, deleted))])
                    // The next backup has no doubt either.
                    let next = try bench.backup(FakeTree(left), EventLog(), { $0.archive = archive })
                    #expect(next.doubts.isEmpty && next.doubts.cleared.isEmpty)
                } else {
                    #expect(report.doubts.cleared.isEmpty)
                }
            }
        }
    }

    /// Files that cannot be read do not count as deleted.
    @Test func whatCannotBeReadWasNotDeleted() throws {
        let bench = try MemoryBench()
        let files = (0..<8).map { FakeEntry.file("s/f/\($0)", Array("content \($0)".utf8)) }
        let folders = [FakeEntry.other("s", .directory), .other("s/f", .directory)]
        let first = try #require(
            try bench.backup(FakeTree(folders + files), EventLog(), { $0.archive = .no }).snapshot)
        try bench.repository.vouch(
            for: [
                first.id: files.map {
                    Vouch.File(content: FileContent.inline($0.content).fingerprint, path: $0.path)
                }
            ],
            RecordOrigin(time: Timestamp(seconds: 1), host: "h", program: "p"))
        let unread = FakeTree([folders[0], .other("s/f", .directory) { $0.fault = "list" }])
        #expect(try bench.backup(unread, EventLog(), { $0.archive = .no }).doubts.shrunken.count == 1)
        #expect(try bench.backup(FakeTree(folders), EventLog(), { $0.archive = .no }).doubts.isEmpty)
    }
}
