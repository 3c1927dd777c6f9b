// ReferenceChunker: the definition of the cuts, as simple as possible so that it is obviously right.

import CXXHash

@testable import BakChunking

struct ReferenceChunker {
    let minimum: Int
    let maximum: Int
    let densityExponent: Int
    let secret: [UInt8]

    init(parameters: ChunkerParameters, secret: [UInt8]) {
        minimum = parameters.minimum
        maximum = parameters.maximum
        densityExponent = parameters.densityExponent
        self.secret = secret
    }

    /// Returns the cuts of a whole input, as offsets from its start.
    func cuts(of input: [UInt8]) -> [Int] {
        var cuts: [Int] = []
        var start = 0
        while start < input.count {
            start = cut(of: input, from: start)
            cuts.append(start)
        }
        return cuts
    }

    private func cut(of input: [UInt8], from start: Int) -> Int {
        let isFull = input.count - start >= maximum
        let first = start + minimum
        let last = isFull ? start + maximum : input.count - minimum / 2
        let end = isFull ? start + maximum : input.count
        guard first <= last else { return end }
        let candidates = (first...last).filter { isCandidate(input, $0) }
        let ranked = candidates.map { (priority: priority(input, $0), cut: $0) }
        return ranked.min { $0 < $1 }?.cut ?? end
    }

    private func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
    }

    private func isCandidate(_ input: [UInt8], _ cut: Int) -> Bool {
        let hash = word(input, cut - 4) &* (word(secret, 192) | 1) &+ word(secret, 196)
        return UInt64(hash) < UInt64(1) << (32 - UInt64(densityExponent))
    }

    private func priority(_ input: [UInt8], _ cut: Int) -> UInt64 {
        XXH3_64bits_withSecret(Array(input[cut - 64..<cut]), 64, secret, 192)
    }
}
