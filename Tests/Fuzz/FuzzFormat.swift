// Fuzzes every decoder of the format: the first byte of an input chooses what the rest is decoded as and whether its
// checksums are made right.

import TestSupport

extension FuzzTarget {
    /// Decoders; a corpus begins with a few samples of every kind.
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
