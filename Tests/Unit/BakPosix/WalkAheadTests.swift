// A walk may report entries as unseen, without their stat. If the caller stats these entries later, the result is the
// same as that of a walk that stats each entry.

import BakCore
import BakStorage
import Glibc
import TestSupport
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct WalkAheadTests {
        let scratch = Scratch()

        private func events(_ tree: FileTree, isAhead: Bool) throws -> [WalkEvent] {
            var events: [WalkEvent] = []
            let visit: (WalkEvent) -> WalkDecision = {
                events.append($0)
                return .proceed
            }
            try isAhead ? tree.walkAhead(visit) : tree.walk(visit)
            return events
        }

        private func words(_ event: WalkEvent) -> String {
            switch event {
            case .entry(let path, var stat):
                // The kernel may be writing the file back, and then counts its blocks twice or not at all for a moment.
                stat.allocatedBytes = 0
                return "\(String(decoding: path, as: UTF8.self)) \(stat)"
            case .unseen(let path, _): return "\(String(decoding: path, as: UTF8.self)) unseen"
            case .failure(let path, let error): return "\(String(decoding: path, as: UTF8.self))! \(error)"
            }
        }

        /// Makes a folder with random items, some of which are folders of the same kind.
        private func fill(_ folder: String, depth: Int, _ random: inout SeededRandom) {
            scratch.folder(folder)
            for number in 0..<Int.random(in: 0...6, using: &random) {
                let name = "\(folder)/\(number)"
                switch Int.random(in: 0...5, using: &random) {
                case 0: symlink("nowhere", scratch[name])
                case 1: mkfifo(scratch[name], 0o600)
                case 2 where depth > 0: fill(name, depth: depth - 1, &random)
                default: scratch.write(name, String(repeating: "x", count: number))
                }
            }
        }

        @Test func looksLaterAtTheSame() throws {
            let seed = TestSeed.value
            var random = TestSeed.random("trees that are walked ahead")
            var unseen = 0
            for round in 0..<20 {
                fill("r\(round)", depth: 4, &random)
                let tree = try FileTree(roots: [scratch.bytes("r\(round)")])
                let ahead = try events(tree, isAhead: true)
                unseen += ahead.count { if case .unseen = $0 { true } else { false } }
                #expect(
                    ahead.map { words($0.seen) } == (try events(tree, isAhead: false)).map(words),
                    "seed \(seed), round \(round)")
            }
            #expect(unseen > 0, "seed \(seed)")
        }

        @Test func whatVanishesOrBecomesAFolderFails() throws {
            scratch.folder("r")
            for name in ["r/a", "r/b", "r/c"] { scratch.write(name) }
            let tree = try FileTree(roots: [scratch.bytes("r")])
            let ahead = try events(tree, isAhead: true).suffix(3)
            unlink(scratch["r/a"])
            unlink(scratch["r/b"])
            scratch.folder("r/b")
            scratch.write("r/b/lost")
            let reasons = ahead.map { event in
                if case .failure(_, let error) = event.seen { error.description } else { "fine" }
            }
            #expect(
                reasons == [
                    "cannot look up: No such file or directory",
                    "cannot look up: it became a folder while its folder was read", "fine",
                ])
        }

        @Test func unseenEntriesKeepTheirFolderOpenAndNoLonger() throws {
            scratch.folder("r")
            for number in 0..<5 {
                scratch.folder("r/\(number)")
                scratch.write("r/\(number)/f")
            }
            let before = scratch.openDescriptors()
            do {
                let tree = try FileTree(roots: [scratch.bytes("r")])
                let ahead = try events(tree, isAhead: true)
                #expect(scratch.openDescriptors() == before + 5)
                #expect(ahead.count > 10)
            }
            #expect(scratch.openDescriptors() == before)
        }
    }
}
