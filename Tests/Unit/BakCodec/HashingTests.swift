import BakCore
import CKernels
import SeededNumbers
import Testing

@testable import BakCodec

private func hex(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(Hex.decode(digits[$0..<$0 + 2])!) }
}

/// The 32-byte secret for the known answers.
private let secret = Array(UInt8(0)..<32)

@Suite struct ChecksumTests {
    /// Computed with python-xxhash 4.1.0 (xxHash 0.8.4) over `Samples.numbered`.
    @Test(arguments: [
        (0, "2d06800538d394c2", "99aa06d3014798d86001c324468d497f"),
        (1, "4a4139caf4136257", "885f487031a569684a4139caf4136257"),
        (3, "df622cdbf2e9826b", "5c4fdf53fef2db7cdf622cdbf2e9826b"),
        (16, "9ed473a086c648b3", "9830747acbf5638d08248983882f7034"),
        (128, "23d66e317af3b4dc", "ea3c534eb84726dbf97b20c8015ae42e"),
        (240, "bd6357c1d37da7be", "9fc648ac321b0e75f2348e2cd251acbd"),
        (241, "5482be4640fd444f", "6922a7c0210b85455482be4640fd444f"),
        (4096, "bdc13a309da35aef", "8a1b157c9eedd68bbdc13a309da35aef"),
        (100_000, "5a372e74ef36b2ac", "3739f7baad198e515a372e74ef36b2ac"),
    ])
    func knownAnswers(count: Int, expected64: String, expected128: String) {
        Samples.numbered(count).withUnsafeBytes { bytes in
            #expect(Hex.encode(Checksum.xxh3_64(bytes)) == expected64)
            #expect(Checksum.xxh3_128(bytes).description == expected128)
        }
    }

    @Test func aStreamGivesWhatOneCallGives() {
        let content = Samples.numbered(100_000)
        var generator = SplitMix64(seed: 1)
        content.withUnsafeBytes { bytes in
            var stream = ChecksumStream()
            var position = 0
            while position < bytes.count {
                let count = min(Int.random(in: 0...3000, using: &generator), bytes.count - position)
                stream.update(UnsafeRawBufferPointer(rebasing: bytes[position..<position + count]))
                position += count
            }
            let streamed = stream.finish()
            #expect(streamed == Checksum.xxh3_128(bytes))
        }
        let empty = ChecksumStream().finish()
        #expect(empty.description == "99aa06d3014798d86001c324468d497f")
    }
}

@Suite struct KeyDerivationTests {
    /// RFC 5869, appendix A.1 to A.3.
    @Test(arguments: [
        (
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        ),
        (
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            Hex.encode(Array(UInt8(0xb0)...0xff)),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                + "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                + "cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
        (
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04", "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        ),
    ])
    func rfc5869(key: String, info: String, expected: String) {
        let derived = KeyDerivation.expand(secret: hex(key), info: hex(info), count: expected.utf8.count / 2)
        #expect(Hex.encode(derived) == expected)
    }

    @Test func labelsSeparateAndCountsOnlyTruncate() {
        let long = KeyDerivation.expand(secret: secret, label: "a", count: 100)
        #expect(KeyDerivation.expand(secret: secret, label: "a", count: 33) == Array(long.prefix(33)))
        #expect(KeyDerivation.expand(secret: secret, label: "b", count: 100) != long)
        #expect(KeyDerivation.expand(secret: secret, label: "a", count: 0).isEmpty)
        #expect(KeyDerivation.expand(secret: secret, label: "a", count: 255 * 32).count == 255 * 32)
    }
}

@Suite struct ContentHasherTests {
    /// Computed with Python's hmac for the keys, and libxxhash's `XXH3_128bits_withSecret` called from it.
    @Test(arguments: [
        ("chunk", 0, "3027fc9beb03dd44e01fd3ceb2a5e44f", "587219fb8aaa66a427eaaa6a0328180f"),
        ("chunk", 1, "cd6ee5314d4e33343ae77e0c4571c725", "5cbe1bee335086c9dd81a3777f40f275"),
        ("chunk", 255, "1a5a2f4a0f67ed1c91713d90a2462c6a", "6109f9d7b9118e21b3ba70661089f6ea"),
        ("chunk", 256, "6a677f83511306e6c86f71e17095fa5d", "bd44ff5631b85e07cbe23a65fe8f5702"),
        ("chunk", 100_000, "2f8f2fbb9e71f80a22907316adf970ad", "1838a79b9b65658818088f6570ed1aa4"),
        ("manifest", 255, "e8c50f65afb072aa198067d8c47e08d9", "caf74d4ca88f9bbd059657a62ccefc92"),
        ("manifest", 256, "5fe812078ec81e3bb4507c3de20cc227", "c164405682d2147feb3b8ee98972b48b"),
    ])
    func knownAnswers(domain: String, count: Int, xxh3: String, sha256: String) {
        Samples.numbered(count).withUnsafeBytes { content in
            let byXXH3 = ContentHasher(.xxh3, secret: secret, domain: domain).id(of: content)
            #expect(byXXH3.description == xxh3)
            let bySHA256 = ContentHasher(.sha256, secret: secret, domain: domain).id(of: content)
            #expect(bySHA256.description == sha256)
        }
    }

    /// Short contents that differ only in their padding have different ids. Content that equals the padded form of a
    /// short content also has an id of its own.
    @Test(arguments: IDAlgorithm.allCases)
    func paddingIsInjective(algorithm: IDAlgorithm) {
        let hasher = ContentHasher(algorithm, secret: secret, domain: "chunk")
        var seen: Set<ID128> = []
        var count = 0
        for length in 0...256 {
            for filler: UInt8 in [0, 1, 255] {
                var content = [UInt8](repeating: filler, count: length)
                seen.insert(content.withUnsafeBytes { hasher.id(of: $0) })
                count += length == 0 && filler != 0 ? 0 : 1
                guard length < 256, filler == 0 else { continue }
                content += [UInt8](repeating: 0, count: 255 - length) + [UInt8(length)]
                // The padded form of empty content is 256 zeros, which the loop adds at its end.
                guard length > 0 else { continue }
                seen.insert(content.withUnsafeBytes { hasher.id(of: $0) })
                count += 1
            }
        }
        #expect(seen.count == count)
    }

    @Test(arguments: IDAlgorithm.allCases)
    func fourThreadsAgree(algorithm: IDAlgorithm) {
        let hasher = ContentHasher(algorithm, secret: secret, domain: "chunk")
        let contents = (0..<200).map { Samples.random($0 * 37, seed: UInt64($0)) }
        let expected = contents.map { $0.withUnsafeBytes { hasher.id(of: $0) } }
        let agreements = BoundedQueue<Bool>(capacity: 4)
        let threads = (0..<4).map { _ in
            Thread {
                let isSame = (0..<20).allSatisfy { _ in
                    contents.map { $0.withUnsafeBytes { hasher.id(of: $0) } } == expected
                }
                agreements.push(isSame)
            }
        }
        threads.forEach { $0.join() }
        for _ in threads { #expect(agreements.pop() == true) }
    }

    @Test func algorithmNames() {
        #expect(IDAlgorithm("xxh3") == .xxh3)
        #expect(IDAlgorithm("sha256") == .sha256)
        #expect(IDAlgorithm("md5") == nil)
        #expect(IDAlgorithm.allCases.map(\.rawValue) == [1, 3])
    }
}

@Suite struct HMACTreeTests {
    /// RFC 4231, cases 1, 2 and 4.
    @Test(arguments: [
        (
            [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            Array(UInt8(1)...25), [UInt8](repeating: 0xcd, count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
    ])
    func rfc4231(bytes: [UInt8], message: [UInt8], expected: String) throws {
        let (key, state) = (HMACKey(bytes), HMACState())
        for cut in [0, message.count / 2, message.count] {
            var tag = [UInt8](repeating: 0, count: 32)
            state.begin(key)
            message.withUnsafeBytes {
                state.update(.init(rebasing: $0[..<cut]))
                state.update(.init(rebasing: $0[cut...]))
            }
            tag.withUnsafeMutableBytes { state.finish(key, into: $0.baseAddress!) }
            #expect(Hex.encode(tag) == expected)
        }
        // The same message many times at once, if the processor supports that.
        guard let many = ck_many_open() else {
            try Test.cancel("one at a time agrees; this processor computes no hashes many at once")
        }
        defer { ck_many_close(many) }
        var state0 = ck_hmac_key()
        key.withPads { ck_many_key(many, $0, $1, &state0) }
        let copies = (0..<19).flatMap { _ in message }
        var tags = [UInt8](repeating: 0, count: 19 * 32)
        #expect(ck_many_hmac_sha256(many, &state0, copies, copies.count, message.count, &tags))
        #expect(Hex.encode(tags) == String(repeating: expected, count: 19))
    }

    /// Computed with Python's hmac. The lengths are at the bounds of leaves, of groups of leaves, and of the strings
    /// that are computed at once.
    @Test(arguments: [
        (4096, "510aa42fa2f9bd55c21c952d8adb4a61"), (4097, "53d1f7c4858777c0b09dae7046f56130"),
        (1 << 20, "ec159988d7ba88aea071f691c055e18e"),
    ])
    func knownAnswers(count: Int, expected: String) {
        let hasher = ContentHasher(.sha256, secret: secret, domain: "chunk")
        #expect(Samples.numbered(count).withUnsafeBytes { hasher.id(of: $0) }.description == expected)
    }

    /// One string at a time gives the same ids as many at once, for lengths near every bound.
    @Test func bothWaysAgree() {
        let (leafKey, rootKey) = (Array(UInt8(0)..<32), Array(UInt8(32)..<64))
        let many = HMACTree(leafKey: leafKey, rootKey: rootKey)
        let single = HMACTree(leafKey: leafKey, rootKey: rootKey, usesVectors: false)
        let content = Samples.random(300 * HMACTree.leafBytes, seed: 9)
        let leafCounts = Array(0...40) + [127, 128, 129, 133, 134, 144, 255, 256, 262, 299]
        var ids: Set<ID128> = []
        for leaves in leafCounts {
            for further in [-1, 0, 1, 63] where leaves * HMACTree.leafBytes + further >= 0 {
                content.withUnsafeBytes {
                    let piece = UnsafeRawBufferPointer(
                        rebasing: $0[1..<1 + leaves * HMACTree.leafBytes + further])
                    let id = many.id(of: piece)
                    #expect(id == single.id(of: piece), "\(piece.count) bytes")
                    ids.insert(id)
                }
            }
        }
        #expect(ids.count == leafCounts.count * 4 - 1)
    }

    /// Every changed bit changes the id.
    @Test func everyLeafCounts() {
        let tree = HMACTree(leafKey: [1], rootKey: [2])
        var content = Samples.random(40 * HMACTree.leafBytes + 5, seed: 10)
        let id = content.withUnsafeBytes { tree.id(of: $0) }
        for place in stride(from: 0, to: content.count, by: HMACTree.leafBytes - 1) {
            content[place] ^= 0x10
            #expect(content.withUnsafeBytes { tree.id(of: $0) } != id, "byte \(place)")
            content[place] ^= 0x10
        }
    }
}
