import BakCore
import SeededNumbers
import Synchronization
import Testing

@testable import BakCodec

private func hex(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(Hex.decode(digits[$0..<$0 + 2])!) }
}

/// Random bytes for tests. Each call returns different bytes.
private final class CountingRandom: RandomSource {
    private let generator = Mutex(SplitMix64(seed: 4))

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        generator.withLock { generator in
            for index in buffer.indices { buffer[index] = UInt8.random(in: 0...255, using: &generator) }
        }
    }
}

/// A published test vector.
private struct Answer: Sendable {
    var method: SealMethod
    var key: String
    var nonce: String
    var authenticated: String
    var plaintext: String
    var sealed: String
}

/// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16, which NIST SP 800-38D refers to;
/// RFC 8439, section 2.8.2.
private let answers = [
    Answer(
        method: .aes256GCM, key: String(repeating: "00", count: 32),
        nonce: String(repeating: "00", count: 12),
        authenticated: "", plaintext: "", sealed: "530f8afbc74536b9a963b4f1c4cb738b"),
    Answer(
        method: .aes256GCM, key: String(repeating: "00", count: 32),
        nonce: String(repeating: "00", count: 12),
        authenticated: "", plaintext: String(repeating: "00", count: 16),
        sealed: "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    Answer(
        method: .aes256GCM, key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        nonce: "cafebabefacedbaddecaf888", authenticated: "",
        plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        sealed: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
            + "b094dac5d93471bdec1a502270e3cc6c"),
    Answer(
        method: .aes256GCM, key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        nonce: "cafebabefacedbaddecaf888", authenticated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        sealed: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            + "76fc6ece0f4e1768cddf8853bb2d551b"),
    Answer(
        method: .chaCha20Poly1305, key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        nonce: "070000004041424344454647", authenticated: "50515253c0c1c2c3c4c5c6c7",
        plaintext: "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20"
            + "4966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f722074686520"
            + "6675747572652c2073756e73637265656e20776f756c642062652069742e",
        sealed: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca96712"
            + "82fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58"
            + "fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116"
            + "1ae10b594f09e26a7e902ecbd0600691"),
]

@Suite struct CipherTests {
    @Test(arguments: answers)
    private func publishedAnswers(_ answer: Answer) {
        let (key, nonce, authenticated) = (hex(answer.key), hex(answer.nonce), hex(answer.authenticated))
        let (plaintext, expected) = (hex(answer.plaintext), hex(answer.sealed))
        for usesVectors in [true, false] {
            let (sealing, opening) = key.withUnsafeBytes {
                (
                    CipherContext(answer.method, key: $0, isSealing: true, usesVectors: usesVectors),
                    CipherContext(answer.method, key: $0, isSealing: false, usesVectors: usesVectors)
                )
            }
            // The contexts are used several times.
            for cut in [0, plaintext.count / 3, plaintext.count] {
                var sealed = [UInt8](repeating: 0, count: expected.count)
                begin(sealing, nonce, authenticated)
                plaintext.withUnsafeBytes { plain in
                    sealed.withUnsafeMutableBytes { sealed in
                        let start = sealed.baseAddress!
                        sealing.update(.init(rebasing: plain[..<cut]), into: start)
                        sealing.update(.init(rebasing: plain[cut...]), into: start + cut)
                        sealing.finish(tag: start + plain.count)
                    }
                }
                #expect(sealed == expected)
                var opened = [UInt8](repeating: 0, count: plaintext.count + 1)
                begin(opening, nonce, authenticated)
                let matches = sealed.withUnsafeBytes { sealed in
                    opened.withUnsafeMutableBytes {
                        opening.update(.init(rebasing: sealed[..<plaintext.count]), into: $0.baseAddress!)
                        return opening.matches(tag: sealed.baseAddress! + plaintext.count)
                    }
                }
                #expect(matches && Array(opened.dropLast()) == plaintext)
            }
        }
    }

    /// The fast and the plain implementation open each other's seals, for any cut of the text, in place or not. Neither
    /// opens changed bytes.
    @Test func bothFormsAgree() {
        var generator = SplitMix64(seed: 12)
        let key = Samples.random(32, seed: 13)
        let forms = [true, false].map { usesVectors in
            key.withUnsafeBytes { key in
                [true, false].map {
                    CipherContext(.aes256GCM, key: key, isSealing: $0, usesVectors: usesVectors)
                }
            }
        }
        for round in 0..<400 {
            let count = round < 100 ? round : Int.random(in: 0...70_000, using: &generator)
            let text = Samples.random(count, seed: UInt64(round))
            let nonce = Samples.random(12, seed: UInt64(round) + 1000)
            let authenticated = Samples.random(round % 90, seed: 3)
            let cuts = (0..<2).map { _ in Int.random(in: 0...count, using: &generator) }.sorted()
            func pass(_ context: CipherContext, _ bytes: inout [UInt8]) {
                begin(context, nonce, authenticated)
                bytes.withUnsafeMutableBytes { bytes in
                    for (from, to) in zip([0] + cuts, cuts + [count]) where from < to {
                        let piece = UnsafeMutableRawBufferPointer(rebasing: bytes[from..<to])
                        context.update(UnsafeRawBufferPointer(piece), into: piece.baseAddress!)
                    }
                }
            }
            let sealed = forms.map { form in
                var bytes = text
                var tag = [UInt8](repeating: 0, count: 16)
                pass(form[0], &bytes)
                tag.withUnsafeMutableBytes { form[0].finish(tag: $0.baseAddress!) }
                return bytes + tag
            }
            #expect(sealed[0] == sealed[1], "round \(round)")
            for form in forms {
                for flipped in [nil, Int.random(in: 0..<count + 16, using: &generator)] {
                    var bytes = sealed[0]
                    if let flipped { bytes[flipped] ^= 1 }
                    let tag = Array(bytes.suffix(16))
                    bytes.removeLast(16)
                    pass(form[1], &bytes)
                    let matches = tag.withUnsafeBytes { form[1].matches(tag: $0.baseAddress!) }
                    #expect(
                        matches == (flipped == nil) && (flipped != nil || bytes == text), "round \(round)")
                }
            }
        }
    }

    private func begin(_ context: CipherContext, _ nonce: [UInt8], _ authenticated: [UInt8]) {
        nonce.withUnsafeBytes { nonce in
            authenticated.withUnsafeBytes { context.begin(nonce: nonce, authenticating: $0) }
        }
    }

    /// RFC 9106, section 5.3.
    @Test func argon2id() throws {
        let hash = try PasswordKey.argon2id(
            password: SecretBytes(copying: [UInt8](repeating: 1, count: 32)),
            salt: [UInt8](repeating: 2, count: 16), cost: PasswordCost(memoryKiB: 32, passes: 3, lanes: 4),
            secret: [UInt8](repeating: 3, count: 8), associated: [UInt8](repeating: 4, count: 12), count: 32)
        let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        #expect(hash.withBytes { Hex.encode(Array($0)) } == expected)
    }

    /// RFC 5869, appendix A.1 and A.3.
    @Test(arguments: [
        (
            "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        ),
        ("", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ])
    func extractAndExpand(salt: String, info: String, expected: String) {
        let secret = SecretBytes(copying: [UInt8](repeating: 0x0b, count: 22))
        let derived = KeyDerivation.derive(from: secret, salt: hex(salt), info: hex(info), count: 42)
        #expect(derived.withBytes { Hex.encode(Array($0)) } == expected)
    }
}

@Suite struct SealerTests {
    private static let methods: [SealMethod] = [.aes256GCM, .chaCha20Poly1305]
    private let key = SecretBytes(copying: Array(UInt8(0)..<32))
    private let header = [UInt8](repeating: 0x68, count: 64)

    private func seal(
        _ method: SealMethod, key: SecretBytes? = nil, repository: UInt64 = 1, kind: UInt8 = 2,
        id: UInt64 = 3,
        salt: UInt8 = 4, header: [UInt8]? = nil
    ) -> ObjectSeal {
        let sealer = Sealer(
            method, key: key ?? self.key, repository: ID128(high: repository, low: 0),
            random: CountingRandom())
        return (header ?? self.header).withUnsafeBytes {
            sealer.object(
                kind: kind, id: ID128(high: id, low: 0), salt: [UInt8](repeating: salt, count: 32), header: $0
            )!
        }
    }

    private func sealed(_ seal: ObjectSeal, _ text: [UInt8], entry: UInt64) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: text.count + seal.overhead) { buffer, count in
            text.withUnsafeBytes { seal.seal($0, entry: entry, into: buffer.baseAddress!) }
            count = text.count + seal.overhead
        }
    }

    private func opened(_ seal: ObjectSeal, _ sealed: [UInt8], entry: UInt64) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: sealed.count + 1)
        do {
            try sealed.withUnsafeBytes { sealed in
                try output.withUnsafeMutableBytes {
                    try seal.open(sealed, entry: entry, into: $0.baseAddress!)
                }
            }
            return Array(output.prefix(sealed.count - seal.overhead))
        } catch { return nil }
    }

    @Test func plainRepositoriesHaveNoSeal() {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        #expect(Sealer.plain.object(kind: 1, id: .zero, salt: [], header: none) == nil)
        #expect(Sealer.plain.freshSalt().isEmpty && SealMethod.none.overhead == 0)
        #expect(SealMethod.allCases.map(\.rawValue) == [0, 1, 2])
        #expect(SealMethod.allCases.allSatisfy { SealMethod($0.description) == $0 })
        #expect(SealMethod.fastest != .none)
    }

    /// A sealed string opens only with the number of its entry, and only if no bit has changed.
    @Test(arguments: methods)
    func placesAreBound(_ method: SealMethod) {
        for text in [[], [7], Samples.random(1000, seed: 1)] {
            let one = seal(method)
            let bytes = sealed(one, text, entry: 64)
            #expect(bytes.count == text.count + 16)
            #expect(opened(seal(method), bytes, entry: 64) == text)
            #expect(opened(one, bytes, entry: 65) == nil)
            let other: SealMethod = method == .aes256GCM ? .chaCha20Poly1305 : .aes256GCM
            for strange in [
                seal(method, key: SecretBytes(copying: Array(UInt8(1)..<33))), seal(method, repository: 2),
                seal(method, kind: 3), seal(method, id: 4), seal(method, salt: 5),
                seal(method, header: [UInt8](repeating: 0x69, count: 64)), seal(other),
            ] { #expect(opened(strange, bytes, entry: 64) == nil) }
            for place in bytes.indices {
                var changed = bytes
                changed[place] ^= 1 << UInt8(place % 8)
                #expect(opened(one, changed, entry: 64) == nil, "byte \(place)")
            }
            #expect(opened(one, Array(bytes.dropLast()), entry: 64) == nil)
        }
        #expect(opened(seal(method), [1, 2, 3], entry: 64) == nil)
    }

    /// Two seals with the same key and nonce would reveal both texts.
    @Test func noEntryIsSealedTwice() async {
        await #expect(processExitsWith: .failure) {
            let seal = ObjectSeal(.aes256GCM, key: SecretBytes(copying: Array(UInt8(0)..<32)), header: [])
            var output = [UInt8](repeating: 0, count: 32)
            for _ in 0..<2 {
                [1, 2, 3].withUnsafeBytes { text in
                    output.withUnsafeMutableBytes { seal.seal(text, entry: 7, into: $0.baseAddress!) }
                }
            }
        }
    }

    @Test func freshSaltsDiffer() {
        let sealer = Sealer(.aes256GCM, key: key, repository: .zero, random: CountingRandom())
        #expect(Set((0..<100).map { _ in sealer.freshSalt() }).count == 100)
    }

    @Test func secretsCompareAndAreCopied() {
        let secret = SecretBytes(copying: [1, 2, 3])
        #expect(secret == SecretBytes(copying: [1, 2, 3]) && secret != SecretBytes(copying: [1, 2, 4]))
        #expect(secret != SecretBytes(copying: [1, 2]) && secret.prefix(2) == SecretBytes(copying: [1, 2]))
        #expect(SecretBytes(copying: []) == SecretBytes(copying: []))
        // More secrets than the secure heap holds.
        let many = (0..<3000).map { SecretBytes(copying: [UInt8](repeating: UInt8($0 % 256), count: 64)) }
        #expect(
            many.enumerated().allSatisfy { index, secret in secret.withBytes { $0[63] == UInt8(index % 256) }
            })
    }
}

@Suite struct PasswordKeyTests {
    private let cost = PasswordCost(memoryKiB: 64, passes: 1, lanes: 1)
    private let salt = [UInt8](repeating: 9, count: 32)

    @Test func aKeyOpensUnderItsPasswordOnly() throws {
        let key = SecretBytes(copying: Array(UInt8(0)..<32))
        let right = try PasswordKey(password: SecretBytes(copying: [1]), salt: salt, cost: cost)
        let again = try PasswordKey(password: SecretBytes(copying: [1]), salt: salt, cost: cost)
        let wrong = try PasswordKey(password: SecretBytes(copying: [2]), salt: salt, cost: cost)
        let wrapped = right.wrap(key, authenticating: [5, 6])
        #expect(wrapped.count == PasswordKey.wrappedBytes)
        #expect(right.commitment == again.commitment && right.commitment != wrong.commitment)
        try wrapped.withUnsafeBytes { wrapped in
            let unwrapped = try again.unwrap(wrapped, authenticating: [5, 6])
            #expect(unwrapped == key)
            #expect(throws: SealError.self) { try again.unwrap(wrapped, authenticating: [5, 7]) }
            #expect(throws: SealError.self) { try wrong.unwrap(wrapped, authenticating: [5, 6]) }
        }
    }

    @Test func limits() {
        #expect(PasswordCost.standard.isAllowed && cost.isAllowed)
        for (memory, passes, lanes): (UInt32, UInt32, UInt32) in [
            (1 << 30, 3, 4), ((1 << 20) + 1, 1, 1), (64, 0, 1), (64, 17, 1), (64, 1, 0), (1 << 20, 1, 17),
            (31, 1, 4), (.max, .max, .max),
        ] { #expect(!PasswordCost(memoryKiB: memory, passes: passes, lanes: lanes).isAllowed) }
    }

    @Test(arguments: [
        // The nanoseconds that 32 MiB and three passes take, and the cost that is chosen for them.
        (1, 256, 8), (50_000_000, 256, 4), (100_000_000, 256, 3), (300_000_000, 128, 3),
        (10_000_000_000, 64, 3), (Int.max, 64, 3),
    ])
    func calibration(nanoseconds: Int, mebibytes: UInt32, passes: UInt32) {
        let cost = PasswordCost.calibrated { _ in UInt64(nanoseconds) }
        #expect(cost == PasswordCost(memoryKiB: mebibytes << 10, passes: passes, lanes: 4))
    }
}
