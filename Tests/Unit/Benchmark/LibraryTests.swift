import Testing

@testable import bakstore_benchmark

/// Figures of two machines can be compared only if both machines measured the same files.
@Suite struct LibraryTests {
    static let media = LibraryDescription(kind: .media, fileCount: 60, byteCount: 3_000_000, seed: 1)
    static let small = LibraryDescription(kind: .small, fileCount: 60, byteCount: 600_000, seed: 1)

    /// The hashes prevent changes of the generator, which would make older figures incomparable.
    @Test(arguments: [
        (media, "45ad7d321924dc28719d62c910f863d4"), (small, "1c9dd3a69186f7db0eae9f6f39c9a788"),
    ])
    func isTheSameEverywhere(library: LibraryDescription, hash: String) throws {
        let bench = try Bench()
        let one = try bench.library("one", library)
        let other = try bench.library("other", library)
        #expect(one.hash == hash)
        #expect(other.hash == hash)
        #expect(try bench.listing(one.path) == bench.listing(other.path))
    }

    @Test(arguments: [LibraryPlan.Kind.media, .small])
    func hasTheFilesAndBytesAskedFor(kind: LibraryPlan.Kind) throws {
        let bench = try Bench()
        let description = LibraryDescription(kind: kind, fileCount: 200, byteCount: 4_000_000, seed: 5)
        let path = try bench.library("library", description).path
        #expect(description.plan.files.count == 200)
        #expect(Set(description.plan.files.map(\.path)).count == 200)
        let bytes = Files.totalBytes(beneath: path)
        #expect(abs(Double(bytes) / 4_000_000 - 1) < 0.15, "\(bytes)")
    }

    @Test(arguments: [media, small])
    func aWeekChangesSomeOfEverything(library: LibraryDescription) throws {
        let bench = try Bench()
        let path = try bench.library("library", library).path
        let before = try bench.listing(path)
        let changes = library.plan.week()
        var writer = LibraryWriter(folder: path, seed: library.seed)
        for change in changes { try writer.apply(change) }
        let old = Set(library.plan.files.map(\.path))
        var counts: [String: Int] = [:]
        for change in changes {
            switch change {
            case .write(let file):
                counts[old.contains(file.path) ? "edit" : "new", default: 0] += 1
                #expect(Files.exists(path + "/" + file.path))
            case .remove(let removed):
                counts["remove", default: 0] += 1
                #expect(!Files.exists(path + "/" + removed))
            case .rename(let from, let to):
                counts["rename", default: 0] += 1
                #expect(!Files.exists(path + "/" + from) && Files.exists(path + "/" + to))
            }
        }
        #expect(Set(counts.keys) == ["edit", "new", "remove", "rename"])
        #expect(try bench.listing(path) != before)
    }

    @Test func filesHaveTheStructureOfTheirFormats() {
        let content = LibraryContent(seed: 1)
        for file in LibraryPlan(kind: .media, count: 60, bytes: 3_000_000, seed: 1).files {
            let bytes = content.bytes(of: file)
            switch file.form {
            case .jpeg, .thumbnail:
                #expect(bytes.starts(with: [0xff, 0xd8, 0xff, 0xe1]) && bytes.suffix(2) == [0xff, 0xd9])
            case .heic: #expect(bytes[4..<12].elementsEqual("ftypheic".utf8))
            case .mp4: #expect(bytes[4..<12].elementsEqual("ftypisom".utf8))
            case .chat: #expect(bytes.starts(with: "SQLite format 3".utf8) && bytes.count % 4096 == 0)
            case .json: #expect(bytes.starts(with: "[\n".utf8) && bytes.suffix(2) == Array("]\n".utf8))
            case .text: #expect(bytes.allSatisfy { $0 < 128 })
            }
        }
    }

    @Test func anEditKeepsMostOfAPicture() {
        let content = LibraryContent(seed: 1)
        var file = LibraryFile(path: "", form: .jpeg, size: 40_000, seed: 3, modified: 0)
        let original = content.bytes(of: file)
        file.edition = 1
        let edited = content.bytes(of: file)
        #expect(edited.count > original.count)
        #expect(edited.suffix(39_000).elementsEqual(original.suffix(39_000)))
    }
}
