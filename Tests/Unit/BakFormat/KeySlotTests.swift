// Key slots: every rule of the decoder is broken once, in a slot with a correct checksum.

import BakCodec
import BakCore
import BakFormat
import TestSupport
import Testing

@Suite struct KeySlotTests {
    /// The offset and the bytes that are written there, and the words of the refusal.
    private static let breaches: [(offset: Int, bytes: [UInt8], reason: String)] = [
        (9, [3], "sealed by method 3"),
        (80, [2], "hashes passwords by method 2"),
        (83, [1], "reserved bytes"),
        // 1 TiB; a little more than 1 GiB; less than 8 KiB for the one lane.
        (84, [0, 0, 0, 0x40], "would take 1048576 MiB"),
        (84, [1, 0, 0x10, 0], "over the limits"),
        (84, [7, 0, 0, 0], "over the limits"),
        (88, [17, 0, 0, 0], "17 passes"),
        (88, [0, 0, 0, 0], "over the limits"),
        (92, [17, 0, 0, 0], "17 threads"),
        (92, [0, 0, 0, 0], "over the limits"),
    ]

    private func refusal(_ bytes: [UInt8]) -> String? {
        var bytes = bytes
        FormatSpecimen.keySlot.repair(&bytes)
        do {
            _ = try FormatSpecimen.keySlot.recode(bytes)
            return nil
        } catch { return error.reason }
    }

    @Test func breachesAreRefused() {
        let sample = FormatSpecimen.keySlot.sample(SeededRandom(seed: 3))
        #expect(sample.count == KeySlot.objectBytes && KeySlot.objectBytes == 752)
        #expect(refusal(sample) == nil)
        for (offset, replacement, reason) in Self.breaches {
            var bytes = sample
            bytes.replaceSubrange(offset..<offset + replacement.count, with: replacement)
            #expect(refusal(bytes)?.contains(reason) == true, "\(offset): \(refusal(bytes) ?? "taken")")
        }
        var plain = sample
        plain[9] = 0
        for index in 32..<64 { plain[index] = 0 }
        #expect(refusal(plain)?.contains("a plain repository") == true)
        #expect(refusal(Array(sample.dropLast(20) + sample.suffix(16))) != nil)
        #expect(refusal(sample + [0]) != nil)
    }
}
