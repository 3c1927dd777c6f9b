// Sealed packs: their content comes back, changed bytes are refused, and nothing shows where a blob begins.

import BakCodec
import BakCore
import TestSupport
import Testing

@testable import BakFormat

/// A sealed pack, and the blobs from which it was made.
private struct Sample {
    let header: ObjectHeader
    let seal: ObjectSeal
    let stored: [[UInt8]]
    let blobs: [BlobRecord]
    var bytes: [UInt8]

    init(_ lengths: [Int], _ method: SealMethod, _ random: SeededRandom) {
        let sealer = Sealer(
            method, key: SecretBytes(copying: random.bytes(32)), repository: FormatSpecimen.repository,
            random: random)
        header = sealer.newHeader(kind: .chunkPack, id: FormatSpecimen.object)
        seal = sealer.seal(of: header)!
        stored = lengths.map { random.bytes($0) }
        var blobs: [BlobRecord] = []
        var used = ObjectHeader.byteCount
        for bytes in stored {
            blobs.append(
                BlobRecord(
                    id: random.id(), offset: UInt32(used), rawLength: UInt32(bytes.count * 2),
                    storedLength: UInt32(bytes.count), codec: .zstd, storedChecksum: 0))
            used = blobs.last!.endOffset
        }
        self.blobs = blobs
        bytes = [UInt8](
            repeating: 0, count: SealedPackLayout.packBytes(blobsEnd: used, blobCount: blobs.count))
        bytes.withUnsafeMutableBytes { pack in
            header.store(to: pack.baseAddress!)
            for (blob, content) in zip(blobs, stored) {
                content.withUnsafeBytes {
                    SealedPackLayout.storeBlob(
                        blob, stored: $0, seal: seal, to: pack.baseAddress! + Int(blob.offset))
                }
            }
            SealedPackLayout.finish(pack, header: header, blobs: blobs, blobsEnd: used, seal: seal)
        }
    }

    func part<R>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try bytes.withUnsafeBytes { try body(.init(rebasing: $0[range])) }
    }

    /// Checks everything that can be checked without the key.
    func checkWithoutKey() throws -> SealedPackEnd {
        let endBytes = SealedPackLayout.endBytes(packBytes: bytes.count)
        let end = try part(0..<64) { header in
            try part(bytes.count - endBytes..<bytes.count) { end in
                try SealedPackEnd(
                    header: header, end: end, pack: "test", packBytes: bytes.count, id: FormatSpecimen.object)
            }
        }
        for block in end.blocks(in: 0..<end.coveredBytes) {
            try part(end.range(ofBlock: block)) { try end.verify($0, block: block) }
        }
        return end
    }

    /// Reads all blobs.
    func open() throws -> [[UInt8]] {
        let end = try checkWithoutKey()
        let (range, count) = try end.footer(seal)
        let (found, _) = try part(range) {
            try end.blobs($0, at: range.lowerBound, count: count, seal: seal)
        }
        #expect(found == blobs)
        let scratch = ScratchBuffer()
        return try found.map { blob in
            try part(Int(blob.offset)..<blob.endOffset) {
                let (header, stored) = try SealedPackLayout.openBlob(
                    $0, seal: seal, pack: "test", offset: blob.offset, scratch: scratch)
                #expect(header == blob)
                return Array(stored)
            }
        }
    }
}

@Suite struct SealedPackTests {
    @Test(arguments: [SealMethod.aes256GCM, .chaCha20Poly1305])
    func whatWasStoredComesBack(_ method: SealMethod) throws {
        let random = TestSeed.random("sealed packs \(method)")
        for lengths in [[], [1], [40, 1, 300], [5000, 70_000], [1 << 20], [3 << 20, 77, 1_000_001]] {
            let sample = Sample(lengths, method, random)
            let opened = try sample.open()
            #expect(opened == sample.stored)
            // A search finds each blob at its offset, and no blob near it.
            for blob in sample.blobs {
                for offset in (Int(blob.offset) - 3)...(Int(blob.offset) + 3) {
                    let found = sample.part(offset..<sample.bytes.count) {
                        SealedPackLayout.likelyBlob($0, seal: sample.seal, offset: UInt32(offset))
                    }
                    #expect(found == (offset == Int(blob.offset) ? blob : nil))
                }
            }
        }
    }

    /// A check without the key notices one changed bit in any byte.
    @Test func everyChangedByteIsNoticedWithoutTheKey() throws {
        let random = TestSeed.random("changed sealed packs")
        var sample = Sample([33, 500, 7], .aes256GCM, random)
        for place in sample.bytes.indices {
            sample.bytes[place] ^= 1 << UInt8(random.number(0...7))
            defer { sample.bytes[place] = 0 }
            let changed = sample.bytes[place]
            #expect(throws: CorruptionError.self, "byte \(place)") { try sample.checkWithoutKey() }
            sample.bytes[place] = changed
        }
    }

    /// A blob does not open at another blob's place or in another pack. A pack with another length is refused.
    @Test func blobsKeepTheirPlaces() throws {
        let random = TestSeed.random("sealed places")
        let sample = Sample([100, 100], .chaCha20Poly1305, random)
        let other = Sample([100, 100], .chaCha20Poly1305, random)
        let scratch = ScratchBuffer()
        let (one, two) = (sample.blobs[0], sample.blobs[1])
        for (bytes, offset) in [(sample, two.offset), (other, one.offset), (other, two.offset)] {
            bytes.part(Int(one.offset)..<one.endOffset) { blob in
                _ = #expect(throws: CorruptionError.self) {
                    try SealedPackLayout.openBlob(
                        blob, seal: sample.seal, pack: "test", offset: offset, scratch: scratch)
                }
            }
        }
        for change in [-1, -16, 1, 8] {
            var changed = sample
            if change < 0 {
                changed.bytes.removeLast(-change)
            } else {
                changed.bytes += [UInt8](repeating: 0, count: change)
            }
            #expect(throws: CorruptionError.self) { try changed.checkWithoutKey() }
        }
    }

    /// Padmé: padding adds at most 12 %, and there are few different lengths. Packs of 1 to 64 KiB have fewer than 130.
    @Test func lengthsSayLittle() {
        var lengths: Set<Int> = []
        for count in 1024...65536 {
            let padded = SealedPackLayout.padded(count)
            #expect(padded >= count && padded * 100 <= count * 112)
            lengths.insert(padded)
        }
        #expect(lengths.count < 130)
        let (full, target) = (
            SealedPackLayout.packBytes(blobsEnd: (32 << 20) - 5000, blobCount: 80), 32 << 20
        )
        #expect(full == target)
    }

    /// The arithmetic of a pack's end holds for every length.
    @Test func everyLengthHasItsBlocks() {
        for size in Array(168...4000) + [1, 2, 3, 32].flatMap({ n in (-200...200).map { n << 20 + $0 } }) {
            let covered = size - SealedPackLayout.endBytes(packBytes: size)
            let blocks = SealedPackLayout.blockCount(packBytes: size)
            #expect(covered >= 0 && covered <= blocks << 20 && covered + 8 > (blocks - 1) << 20)
        }
    }

    /// Mutated packs with correct checksums are refused or harmless, and no decoder traps.
    @Test func mutations() {
        let random = TestSeed.random("mutated sealed packs")
        let sample = Sample([33, 500, 7], .aes256GCM, random)
        for _ in 0..<3000 {
            var changed = sample
            random.mutate(&changed.bytes)
            guard changed.bytes.count >= SealedPackLayout.minimumBytes else { continue }
            let end = changed.bytes.count - SealedPackLayout.endBytes(packBytes: changed.bytes.count)
            let checked = Array(changed.bytes[..<64] + changed.bytes[end..<changed.bytes.count - 16])
            let checksum = checked.withUnsafeBytes(Checksum.xxh3_128)
            changed.bytes.withUnsafeMutableBytes { checksum.store(to: $0.baseAddress! + $0.count - 16) }
            if let stored = try? changed.open() { #expect(stored == sample.stored) }
        }
    }
}
