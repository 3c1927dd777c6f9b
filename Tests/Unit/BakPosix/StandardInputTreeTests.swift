// StandardInputTree on pipes and files: the input as it arrives, its end, its failures, and the request to stop.

import BakCore
import BakStorage
import Glibc
import Synchronization
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct StandardInputTreeTests {
        let scratch = Scratch()
        let now = Timestamp(seconds: 1_800_000_000, nanoseconds: 7)

        func tree(_ descriptor: Int32, stop: StopSignal = .never)
            -> StandardInputTree
        {
            StandardInputTree(
                name: Array("dump.sql".utf8), time: now, descriptor: descriptor, stop: stop)
        }

        /// Reads in pieces of `step` bytes until a read returns less.
        func readAll(_ file: any SourceFile, step: Int) throws -> [UInt8] {
            var content: [UInt8] = []
            var piece = [UInt8](repeating: 0, count: step)
            while true {
                let count = try piece.withUnsafeMutableBytes {
                    try file.read(into: $0, at: UInt64(content.count))
                }
                content += piece[..<count]
                if count < step { return content }
            }
        }

        @Test func isOneFileOfThisUser() throws {
            var met: [([UInt8], FileStat)] = []
            try tree(0).walk {
                if case .entry(let path, let stat) = $0 { met.append((path, stat)) }
                return .proceed
            }
            #expect(met.count == 1)
            let (path, stat) = met[0]
            #expect(path == Array("dump.sql".utf8))
            #expect(stat.type == .regular && stat.mode == 0o600 && stat.uid == geteuid())
            #expect(stat.mtime == now && stat.size == 0 && stat.linkCount == 1)
        }

        @Test(arguments: [1, 1000, 70_000, 1 << 20])
        func gathersWhatComesInPieces(step: Int) throws {
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            defer { close(ends[0]) }
            let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let output = ends[1]
            let writer = Thread {
                for start in stride(from: 0, to: content.count, by: 7_001) {
                    var part = content[start..<min(start + 7_001, content.count)]
                    while !part.isEmpty {
                        let count = part.withUnsafeBytes { write(output, $0.baseAddress, $0.count) }
                        part = part.dropFirst(count)
                    }
                }
                close(output)
            }
            defer { writer.join() }
            let file = try tree(ends[0]).open(Array("dump.sql".utf8))
            #expect(!file.hasKnownSize)
            #expect(try readAll(file, step: step) == content)
        }

        @Test func anInputWithoutBlockingIsWaitedFor() throws {
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            #expect(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
            defer { close(ends[0]) }
            let output = ends[1]
            let writer = Thread {
                usleep(30_000)
                write(output, "late", 4)
                close(output)
            }
            defer { writer.join() }
            let file = try tree(ends[0]).open(Array("dump.sql".utf8))
            #expect(try readAll(file, step: 100) == Array("late".utf8))
        }

        @Test func isReadOnceAndInOrder() throws {
            scratch.write("f", "12345")
            let input = open(scratch["f"], O_RDONLY)
            defer { close(input) }
            let tree = tree(input)
            #expect(throws: SourceError.self) { try tree.open(Array("other".utf8)) }
            let file = try tree.open(Array("dump.sql".utf8))
            #expect(throws: SourceError.self) { try tree.open(Array("dump.sql".utf8)) }
            #expect(try readAll(file, step: 5) == Array("12345".utf8))
            var byte = [UInt8](repeating: 0, count: 1)
            #expect(throws: SourceError.self) {
                try byte.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
            }
        }

        @Test func anInputThatCannotBeReadIsAnError() throws {
            let folder = open(scratch.path, O_RDONLY)
            defer { close(folder) }
            for descriptor in [folder, 9999] {
                let file = try tree(descriptor).open(Array("dump.sql".utf8))
                #expect(throws: SourceError.self) { try readAll(file, step: 10) }
            }
        }

        @Test func theWishToStopEndsTheWait() throws {
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            defer { for end in ends { close(end) } }
            write(ends[1], "begun", 5)
            let polls = Atomic(0)
            let file = try tree(ends[0], stop: StopSignal { polls.add(1, ordering: .relaxed).newValue == 2 })
                .open(Array("dump.sql".utf8))
            #expect(throws: SourceError.self) { try readAll(file, step: 10) }
            #expect(polls.load(ordering: .relaxed) == 2)
        }
    }
}
