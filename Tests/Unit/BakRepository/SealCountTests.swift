// No two seals have the same key and nonce. The test counts them in real packs. BAKSTORE_SEALS=10000000 makes a long
// count.

import BakCodec
import BakCore
import BakFormat
import Glibc
import TestSupport
import Testing

@testable import BakRepository

@Suite struct SealCountTests {
    private static let wanted = getenv("BAKSTORE_SEALS").flatMap { Int(String(cString: $0)) } ?? 100_000

    /// A key is derived from an object's salt, kind and id. So all salts must differ. A nonce is the number of an
    /// entry. So the numbers within an object must differ: each blob's offset, and then padding, footer and tail.
    @Test func noKeyAndNonceMeetTwice() throws {
        let random = TestSeed.random("seal count")
        let sealer = Sealer(
            .aes256GCM, key: SecretBytes(copying: random.bytes(32)), repository: .zero, random: random)
        let builder = PackBuilder(kind: .chunkPack, targetBytes: 1 << 20, sealer: sealer)
        var salts: Set<[UInt8]> = []
        var (seals, packs) = (0, 0)
        while seals < Self.wanted {
            builder.reset(id: .zero)
            for _ in 0..<random.number(1...5000) {
                let bytes = [UInt8](repeating: 7, count: random.number(1...40))
                bytes.withUnsafeBytes {
                    builder.append(
                        id: .zero, rawLength: $0.count, compressed: Compressed(codec: .raw, stored: $0))
                }
            }
            let (pack, blobs, bytes) = builder.finish()
            packs += 1
            salts.insert(Array(bytes[32..<64]))
            var last = 0
            for blob in blobs {
                #expect(Int(blob.offset) > last)
                last = Int(blob.offset)
            }
            let end = bytes.count - SealedPackLayout.endBytes(packBytes: bytes.count)
            let footer = end - blobs.count * PackLayout.footerEntryBytes - 16
            let padding = try #require(blobs.last).endOffset
            #expect(padding > last && footer >= padding && Int(pack.size) - PackLayout.tailBytes > footer)
            seals += blobs.count + (footer > padding ? 3 : 2)
        }
        // A small object has a key of its own and one seal.
        for _ in 0..<1000 {
            let object = Tombstone(session: .zero).encode(FrameContext(repository: .zero, sealer: sealer))
            salts.insert(Array(object[32..<64]))
            (seals, packs) = (seals + 1, packs + 1)
        }
        print("seal count: \(seals) seals in \(packs) objects")
        #expect(salts.count == packs)
    }
}
