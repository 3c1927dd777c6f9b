import BakCore
import BakStorage
import Testing

@testable import bakstore_benchmark

@Suite struct GeneratedTreeTests {
    private func entries(_ tree: GeneratedTree) throws -> [(path: [UInt8], stat: FileStat)] {
        var entries: [(path: [UInt8], stat: FileStat)] = []
        try tree.walk { event in
            if case .entry(let path, let stat) = event { entries.append((path, stat)) }
            return .proceed
        }
        return entries
    }

    @Test func theWalkIsSortedAndEndsAfterTheLastEntry() throws {
        // 1008 days of a camera, and one of the next.
        let count = 101_000 + 1008 + 3 * 13 + 1
        let entries = try entries(GeneratedTree(entryCount: count))
        #expect(entries.count == count)
        #expect(zip(entries, entries.dropFirst()).allSatisfy { PathOrder.precedes($0.path, $1.path) })
        #expect(Set(entries.map(\.stat.inode)).count == count)
        let files = entries.filter { $0.stat.type == .regular }
        for (number, file) in files.enumerated() where number % 97 == 0 {
            #expect(GeneratedTree.number(ofFileAt: file.path) == number)
        }
        #expect(files.last?.path.starts(with: "pictures/camera-001/2023/01/0".utf8) == true)
    }

    @Test func anOpenFileIsAsTheWalkSays() throws {
        for isLater in [false, true] {
            let tree = GeneratedTree(entryCount: 1200, isLater: isLater)
            var contents: [[UInt8]: Int] = [:]
            for (path, stat) in try entries(tree) where stat.type == .regular {
                let file = try tree.open(path)
                #expect(try file.stat() == stat)
                var buffer = [UInt8](repeating: 0, count: 2000)
                let read = try buffer.withUnsafeMutableBytes { buffer in
                    let first = try file.read(into: .init(rebasing: buffer[..<60]), at: 0)
                    return try first + file.read(into: .init(rebasing: buffer[60...]), at: 60)
                }
                #expect(read == Int(stat.size))
                contents[Array(buffer[..<read]), default: 0] += 1
            }
            #expect(contents.values.contains { $0 > 1 } && contents.values.contains(1))
        }
        #expect(throws: SourceError.self) { try GeneratedTree(entryCount: 5).open(GeneratedTree.root) }
    }

    @Test func aHundredthOfTheFilesIsEdited() throws {
        let (before, after) = try (
            entries(GeneratedTree(entryCount: 20_000)),
            entries(GeneratedTree(entryCount: 20_000, isLater: true))
        )
        #expect(before.map(\.path) == after.map(\.path))
        let changed = zip(before, after).count { $0.stat != $1.stat }
        #expect((150..<250).contains(changed))
    }
}
