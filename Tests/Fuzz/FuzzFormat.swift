// Fuzzes every decoder of the format. The first byte of an input chooses the decoder for the other bytes, and whether
// their checksums are corrected first.

import TestSupport

extension FuzzTarget {
    /// The decoders. A corpus begins with a few samples for each decoder.
    static let format = FuzzTarget(
        run: { input in
            let kinds = FormatSpecimen.allCases
            let kind = kinds[Int(input[0] >> 1) % kinds.count]
            var bytes = Array(input.dropFirst())
            if input[0] & 1 == 1 { kind.repair(&bytes) }
            bytes.withUnsafeBytes { _ = kind.challenge($0) }
        },
        samples: {
            let random = TestSeed.random("fuzzer")
            return FormatSpecimen.allCases.enumerated().flatMap { number, kind in
                (0..<8).map { ("\(kind)-\($0)", [UInt8(number << 1 | 1)] + kind.sample(random)) }
            }
        })
}
