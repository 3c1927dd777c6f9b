import SeededNumbers
import Testing

@testable import BakChunking

/// A container with different amounts of tags, as before and after an edit.
struct ContainerCase: CustomTestStringConvertible {
    var name: String
    var make: @Sendable (_ tagBytes: Int) -> ContainerSample

    static let payloadBytes = 40_000
    static let all =
        ContainerKind.allCases.map { kind in
            ContainerCase(name: kind.rawValue) {
                kind.sample(tagBytes: $0, payloadBytes: payloadBytes, seed: 11)
            }
        }
        + [true, false].map { isFirst in
            ContainerCase(name: "HEIC, meta \(isFirst ? "before" : "behind")") { tagBytes in
                var generator = SplitMix64(seed: 12)
                let tags = InputKind.text.bytes(tagBytes, seed: UInt64(tagBytes))
                return ContainerKind.heic(tags, generator.bytes(payloadBytes), metaComesFirst: isFirst)
            }
        }

    var testDescription: String { name }

    var kind: ContainerKind { ContainerKind(rawValue: name) ?? .boxes }
}

@Suite struct ContainerHintTests {
    static let chunkers = ChunkerSet(
        general: Chunker(parameters: .small, key: ChunkerKey(seed: 7)),
        media: Chunker(
            parameters: ChunkerParameters(minimum: 1024, maximum: 3072)!, key: ChunkerKey(seed: 7)))

    /// Returns all hints of a file.
    static func hints(_ kind: ContainerKind, _ bytes: [UInt8]) -> [Hint] {
        var hints = ContainerHints(kind)
        bytes.withUnsafeBytes { hints.advance(over: $0, from: 0, isLast: true) }
        var found: [Hint] = []
        while let next = hints.list.next {
            if next.offset < UInt64(bytes.count) { found.append(next) }
            hints.removeNext()
        }
        return found
    }

    /// Returns the chunks of a file that arrives in pieces of 1 to `largestRead` bytes.
    static func chunks(
        _ bytes: [UInt8], readUpTo largestRead: Int = .max, seed: UInt64 = 1
    ) -> [(bytes: ArraySlice<UInt8>, isCompressed: Bool)] {
        var generator = SplitMix64(seed: seed)
        var cutter = ContentCutter(chunkers)
        var chunks: [(bytes: ArraySlice<UInt8>, isCompressed: Bool)] = []
        var start = 0
        var filled = 0
        while start < bytes.count {
            let chunk = bytes.withUnsafeBytes {
                cutter.nextChunk(
                    in: UnsafeRawBufferPointer(rebasing: $0[start..<filled]), isLast: filled == bytes.count)
            }
            if let chunk {
                chunks.append((bytes[start..<start + chunk.byteCount], chunk.isCompressed))
                start += chunk.byteCount
            } else {
                precondition(filled < bytes.count, "the last bytes are not cut")
                let most = min(largestRead, bytes.count - filled)
                filled += Int.random(in: 1...most, using: &generator)
            }
        }
        return chunks
    }

    @Test(arguments: ContainerCase.all)
    func hintsAreWhereThePartsAre(container: ContainerCase) {
        for tagBytes in [1200, 1900, 5000] {
            let sample = container.make(tagBytes)
            let found = Self.hints(container.kind, sample.bytes)
            // Tables and similar parts may get further hints.
            let missing = sample.expected.filter { !found.contains($0) }
            #expect(missing.isEmpty, "\(tagBytes) bytes of tags: \(missing) are not in \(found)")
            #expect(found.count <= sample.expected.count + 3, "\(tagBytes) bytes of tags: \(found)")
        }
    }

    /// The program recognises the container from its first bytes. After an edit of the tags, only the chunks with tags
    /// are new.
    @Test(arguments: ContainerCase.all)
    func anEditOfTagsLeavesThePayloadsChunks(container: ContainerCase) {
        for (before, after) in [(1200, 1700), (5000, 1300), (1500, 6000)] {
            let known = Set(Self.chunks(container.make(before).bytes).map(\.bytes))
            let new = Self.chunks(container.make(after).bytes).map(\.bytes).filter { !known.contains($0) }
            let newBytes = new.reduce(0) { $0 + $1.count }
            #expect(newBytes <= 3 * after + 3000, "\(newBytes) new bytes for \(after) bytes of tags")
        }
    }

    @Test(arguments: ContainerCase.all)
    func chunksDoNotDependOnReadSizes(container: ContainerCase) {
        let bytes = container.make(1700).bytes
        let expected = Self.chunks(bytes)
        for (seed, largestRead) in [(UInt64(1), 1), (2, 37), (3, 700), (4, 20_000)] {
            let chunks = Self.chunks(bytes, readUpTo: largestRead, seed: seed)
            #expect(
                chunks.map(\.bytes) == expected.map(\.bytes), "seed \(seed), reads of up to \(largestRead)")
            #expect(chunks.map(\.isCompressed) == expected.map(\.isCompressed))
        }
    }

    /// Whatever is damaged in a file, its chunks cover the file, and they are not too many.
    @Test(arguments: ContainerCase.all)
    func damagedContainersAreCutAllTheSame(container: ContainerCase) {
        let whole = container.make(1500).bytes
        for seed in UInt64(1)...70 {
            var generator = SplitMix64(seed: seed)
            let bytes = Self.damaged(whole, &generator)
            let chunks = Self.chunks(bytes)
            #expect(chunks.map(\.bytes.count).reduce(0, +) == bytes.count, "seed \(seed)")
            #expect(chunks.allSatisfy { !$0.bytes.isEmpty }, "seed \(seed)")
            let most = bytes.count / ChunkerParameters.small.minimum * 2 + 40
            #expect(chunks.count <= most, "seed \(seed): \(chunks.count) chunks")
            let inPieces = Self.chunks(bytes, readUpTo: 900, seed: seed)
            #expect(inPieces.map(\.bytes) == chunks.map(\.bytes), "seed \(seed)")
        }
    }

    /// Damages a file: cuts off its end, changes bytes, removes or doubles a part, or sets a length to an extreme
    /// value.
    static func damaged(_ whole: [UInt8], _ generator: inout SplitMix64) -> [UInt8] {
        var bytes = whole
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        let structure = Int.random(in: 0..<min(3000, bytes.count - 8), using: &generator)
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: bytes.removeLast(bytes.count - place)
        case 1: bytes[structure] = UInt8.random(in: 0...255, using: &generator)
        case 2: bytes.removeSubrange(structure..<structure + Int.random(in: 1...8, using: &generator))
        case 3: bytes.insert(contentsOf: bytes[structure..<structure + 8], at: place)
        default:
            let extreme = [
                [0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 1],
            ]
            let value = extreme.randomElement(using: &generator)!
            bytes.replaceSubrange(structure..<structure + 4, with: value.map { UInt8($0) })
        }
        return bytes
    }

    /// Containers that consist only of tiny parts. They get at most one hint for each 64 KiB, and a few more.
    @Test func hostileContainersGetFewHints() {
        let size = 1 << 20
        let boxes = ContainerKind.box("mdat", []) + ContainerKind.box("free", [])
        let start = ContainerKind.box("ftyp", Array("isom".utf8))
        let film = start + (0..<size / boxes.count).flatMap { _ in boxes }
        let segments = ContainerKind.segment(0xe1, [UInt8](repeating: 65, count: 40))
        let scan = ContainerKind.segment(0xda, [1, 2, 3]) + [0xff, 0xd9]
        let image = [0xff, 0xd8] + ContainerKind.segment(0xe2, Array("MPF\0".utf8)) + segments + scan
        let pictures = (0..<size / image.count).flatMap { _ in image }
        for (kind, bytes) in [(ContainerKind.boxes, film), (.jpeg, pictures)] {
            let hints = Self.hints(kind, bytes)
            #expect(!hints.isEmpty && hints.count <= 16 + size >> 16 + 1, "\(kind): \(hints.count)")
        }
    }

    @Test func pairsAreFoundAtEveryPlace() {
        for count in 0...200 {
            for place in 0...max(0, count - 1) {
                var bytes = [UInt8](repeating: 0xff, count: count)
                if place + 1 < count { bytes[place + 1] = 0xd9 }
                let found = bytes.withUnsafeBytes {
                    HintWindow(bytes: $0, offset: 9).first(0xff, 0xd9, from: 0)
                }
                #expect(found == (place + 1 < count ? place : nil), "\(place) of \(count)")
            }
        }
        let apart = [UInt8](repeating: 0xd9, count: 100) + [UInt8](repeating: 0xff, count: 100)
        #expect(apart.withUnsafeBytes { HintWindow(bytes: $0, offset: 0).first(0xff, 0xd9, from: 0) } == nil)
    }

    @Test(arguments: ContainerCase.all)
    func aFullBufferAlwaysGivesAChunk(container: ContainerCase) {
        var bytes = container.make(1500).bytes
        var generator = SplitMix64(seed: 3)
        bytes += generator.bytes(Self.chunkers.bytesForAChunk)
        // A container may claim that its next part begins far away.
        for place in stride(from: 0, to: 400, by: 4) {
            var hostile = bytes
            hostile.replaceSubrange(place..<place + 3, with: [0, 0x7f, 0xff])
            var cutter = ContentCutter(Self.chunkers)
            let chunk = hostile.withUnsafeBytes {
                cutter.nextChunk(
                    in: UnsafeRawBufferPointer(rebasing: $0[..<Self.chunkers.bytesForAChunk]), isLast: false)
            }
            #expect(chunk != nil, "at \(place)")
        }
    }

    @Test func smallFilesAndHolesHaveNoHints() {
        let small = ContainerKind.jpeg.sample(tagBytes: 100, payloadBytes: 800, seed: 1).bytes
        let plain = small.withUnsafeBytes {
            Self.chunkers.chunker(for: .media).firstCut(in: $0, isLast: small.count < 1 << 20)
        }
        #expect(Self.chunks(Array(small.prefix(8000))).first?.bytes.count == min(plain ?? 0, 8000))
        var cutter = ContentCutter(Self.chunkers)
        cutter.skipHole(1 << 30)
        let bytes = ContainerKind.png.sample(tagBytes: 5000, payloadBytes: 9000, seed: 1).bytes
        let chunk = bytes.withUnsafeBytes { cutter.nextChunk(in: $0, isLast: true) }
        #expect(chunk?.isCompressed == false)
    }

    /// Programs move the directory of a TIFF to the front when they edit it.
    @Test func aDirectoryThatMovesCostsOnlyItself() {
        var generator = SplitMix64(seed: 5)
        let strips = [generator.bytes(9000), generator.bytes(12_000), generator.bytes(1001)]
        let profile = generator.bytes(4380)
        let before = ContainerKind.stripedTIFF(
            generator.bytes(2301), strips, profile: profile, directoryComesFirst: false)
        let tags = generator.bytes(3111)
        let after = ContainerKind.stripedTIFF(tags, strips, profile: profile, directoryComesFirst: true)
        let known = Set(Self.chunks(before).map { Array($0.bytes) })
        let new = Self.chunks(after).filter { !known.contains(Array($0.bytes)) }
        // The new bytes are the header, the directory, its lists, the tags and the padding before the profile.
        let newBytes = new.reduce(0) { $0 + $1.bytes.count }
        #expect(newBytes == after.count - profile.count - strips.reduce(0) { $0 + $1.count }, "\(newBytes)")
    }

    @Test func metadataAreOfferedToACodec() {
        let chunks = Self.chunks(
            ContainerKind.png.sample(tagBytes: 5000, payloadBytes: 40_000, seed: 1).bytes)
        #expect(chunks.first?.isCompressed == false)
        #expect(chunks.contains { $0.isCompressed })
        #expect(chunks.last?.isCompressed == false)
    }
}

extension ContainerHintTests {
    /// A small file claims billions of extents without bytes: each item has 65,535 of them. A parser that counts them
    /// one by one would take minutes.
    @Test func extentsWithoutLengthAreNotCounted() {
        let item = bigEndian(UInt16(1)) + [0, 0, 0xff, 0xff]
        let count = 21_000
        let locations = (0..<count).flatMap { _ in item }
        let header = [0, 0, 0, 0, 0, 0] + bigEndian(UInt16(count))
        let entry = ContainerKind.box("infe", [2, 0, 0, 0, 0, 1, 0, 0] + Array("Exif".utf8) + [0])
        let meta = ContainerKind.box(
            "meta",
            [0, 0, 0, 0] + ContainerKind.box("iinf", [0, 0, 0, 0, 0, 1] + entry)
                + ContainerKind.box("iloc", header + locations))
        let ranges = meta.withUnsafeBytes {
            ItemLocations.metadataRanges(in: HintWindow(bytes: $0, offset: 0))
        }
        #expect(ranges.isEmpty)
    }
}
