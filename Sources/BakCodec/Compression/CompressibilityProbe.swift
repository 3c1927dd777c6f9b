// CompressibilityProbe: a cheap guess whether compression would save anything. A wrong "yes" costs the time of an
// attempt, a wrong "no" costs space for ever, so the probe says yes when in doubt.
//
// It makes two tests, because neither is enough alone. The first finds skewed byte values: it measures the order-0
// entropy of samples. The second finds repeats that leave all byte values equally frequent, such as the same picture
// twice: it looks for eight-byte strings that occur in a sampled run and again elsewhere.
// docs/decisions/0003-auto-compression-probe.md has figures.

import Glibc

/// Guesses from samples. Each thread needs its own, because it reuses its tables.
final class CompressibilityProbe {
    /// Content with fewer bytes is always worth an attempt.
    private static let minimumBytes = 16 << 10

    /// The histogram counts the bytes of `slices` evenly spread samples of `sliceBytes` bytes each.
    private static let slices = 64
    private static let sliceBytes = 64
    private static let samples = slices * sliceBytes
    /// Byte values count as skewed below this many bits per byte. Entropy coding alone saves 3 % at 7.76 bits; samples
    /// of random bytes have 7.94 to 7.97.
    private static let skewedBits: Float = 7.82

    /// The probe remembers every string that starts in the first `runBytes` of each `runSpacing` bytes. Every
    /// `runBytes` bytes, it looks up the string that starts there. So it finds any repeat of `runSpacing + runBytes`
    /// bytes.
    private static let runBytes = 64
    private static let runSpacing = 2048
    private static let stringBytes = 8
    private static let tableBits = 15

    private var counts = [UInt16](repeating: 0, count: 256)
    /// n · log2 n for every count that a histogram can hold.
    private let weights: [Float] = (0...samples).map { $0 == 0 ? 0 : Float($0) * log2f(Float($0)) }
    /// The last remembered offset of a string, by the string's hash. Entries from earlier content do no harm, because a
    /// repeat counts only if the strings themselves are equal.
    private var offsets = [UInt32](repeating: 0, count: 1 << tableBits)

    /// True if compressing `content` is likely to save 3 %.
    func isWorthCompressing(_ content: UnsafeRawBufferPointer) -> Bool {
        content.count < Self.minimumBytes || sampledEntropy(content) < Self.skewedBits || hasRepeats(content)
    }

    /// Returns the order-0 entropy of the samples, in bits per byte (Shannon 1948).
    private func sampledEntropy(_ content: UnsafeRawBufferPointer) -> Float {
        let last = content.count - Self.sliceBytes
        return counts.withUnsafeMutableBufferPointer { counts in
            counts.update(repeating: 0)
            for slice in 0..<Self.slices {
                let start = last * slice / (Self.slices - 1)
                for byte in content[start..<start + Self.sliceBytes] { counts[Int(byte)] += 1 }
            }
            let total = Float(Self.samples)
            return log2f(total) - counts.reduce(0) { $0 + weights[Int($1)] } / total
        }
    }

    /// True if a long string occurs twice, at any distance.
    private func hasRepeats(_ content: UnsafeRawBufferPointer) -> Bool {
        let end = content.count - Self.stringBytes
        return offsets.withUnsafeMutableBufferPointer { offsets in
            for run in stride(from: 0, to: end - Self.runBytes, by: Self.runSpacing) {
                for offset in run..<run + Self.runBytes {
                    offsets[Self.slot(Self.string(content, offset))] = UInt32(truncatingIfNeeded: offset)
                }
            }
            for offset in stride(from: 0, to: end, by: Self.runBytes) {
                let string = Self.string(content, offset)
                let other = Int(offsets[Self.slot(string)])
                if other != offset && other < end && Self.string(content, other) == string { return true }
            }
            return false
        }
    }

    private static func string(_ content: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        content.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// Returns a table index by multiplicative hashing (Knuth, volume 3, 6.4), with 2^64 over the golden ratio.
    private static func slot(_ string: UInt64) -> Int {
        Int(truncatingIfNeeded: (string &* 0x9e37_79b9_7f4a_7c15) >> UInt64(64 - tableBits))
    }
}
