// A backup takes over runs of unmodified entries from the parent's segments without decoding them. Whatever changed
// between two backups, the manifest must be the same as if each entry were taken over separately.

import BakCore
import BakEngine
import BakFormat
import BakRepository
import BakStorage
import TestBench
import TestSupport
import Testing

@Suite struct UnmodifiedRunTests {
    /// A library in which each round changes some entries.
    private struct ChangingTree {
        var files: [String: FakeEntry] = [:]
        var random: SeededRandom

        init(_ random: SeededRandom, count: Int) {
            self.random = random
            for _ in 0..<count { add() }
        }

        mutating func add() {
            let folder = Int.random(in: 0..<12, using: &random)
            let path = "s/album \(folder)/\(Int.random(in: 0..<100_000, using: &random)).jpg"
            let content = random.bytes(Int.random(in: 0..<300, using: &random))
            files[path] = .file(path, content) { $0.attributes.userName = Array("someone".utf8) }
        }

        mutating func change() {
            for path in files.keys.sorted() where Int.random(in: 0..<150, using: &random) == 0 {
                switch Int.random(in: 0..<6, using: &random) {
                case 0: files[path] = nil
                case 1:
                    files[path]!.content = random.bytes(2000)
                    files[path]!.stat.size = 2000
                    files[path]!.stat.mtime.seconds += 1
                case 2: files[path]!.stat.uid += 1
                case 3: files[path]!.stat.device += 1
                case 4:
                    let attribute = ExtendedAttribute(name: Array("user.tag".utf8), value: [1])
                    files[path]!.attributes.extendedAttributes = [attribute]
                    files[path]!.stat.ctime.seconds += 1
                default: add()
                }
            }
        }

        var tree: FakeTree {
            let folders = Set(files.keys.map { $0.split(separator: "/").dropLast().joined(separator: "/") })
            let entries = Array(files.values) + (folders + ["s"]).map { .other($0, .directory) }
            return FakeTree(entries.sorted { PathOrder.precedes($0.path, $1.path) })
        }
    }

    @Test func aRunGivesTheManifestThatItsEntriesGive() throws {
        for seed in UInt64(1)...(isLong ? 200 : 4) {
            let bench = try MemoryBench()
            var library = ChangingTree(SeededRandom(seed: seed), count: 1500)
            var parent = try #require(try bench.backup(library.tree).snapshot)
            for round in 0..<4 {
                library.change()
                let request = {
                    var request = MemoryBench.request()
                    request.parent = .snapshot(parent.id)
                    return request
                }()
                let inRuns = try Backup(bench.repository, of: library.tree).run(request)
                let oneByOne = try Backup(bench.repository, of: library.tree, onEntry: { _, _ in }).run(
                    request)
                #expect(inRuns.snapshot?.root == oneByOne.snapshot?.root, "seed \(seed), round \(round)")
                var counters = inRuns.counters
                // The other backup ran first and stored the new content, so this one stores nothing.
                counters.addedBlobs = oneByOne.counters.addedBlobs
                counters.addedBytes = oneByOne.counters.addedBytes
                counters.addedStoredBytes = oneByOne.counters.addedStoredBytes
                #expect(counters == oneByOne.counters, "seed \(seed), round \(round)")
                #expect(inRuns.counters.unmodifiedFiles > 1300)
                parent = try #require(inRuns.snapshot)
                let restored = try MemoryBench.restore(bench.repository, parent)
                #expect(restored.items == library.tree.expected, "seed \(seed), round \(round)")
            }
        }
    }
}
