// Choices: the bytes of an input as decisions, so that a fuzzer which changes bytes changes what is made of them. An
// input that has ended decides for what is usual.

import BakCore

/// Decides by the bytes of an input. For one thread.
public struct Choices {
    private var rest: ArraySlice<UInt8>

    /// Decides by `input`.
    public init(_ input: some Sequence<UInt8>) { rest = Array(input)[...] }

    /// The next byte; 0 at the end.
    public mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// A number up to `most`, which is below 2^32.
    public mutating func number(_ most: Int) -> Int {
        guard most > 0 else { return 0 }
        var number = Int(byte())
        if most > 0xff { number = number << 8 | Int(byte()) }
        if most > 0xffff { number = number << 16 | Int(byte()) << 8 | Int(byte()) }
        return number % (most + 1)
    }

    /// True about once in `period` times; false at the end.
    public mutating func oneIn(_ period: Int) -> Bool { number(period) == period }

    /// One of several; the first at the end.
    public mutating func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[number(elements.count - 1)]
    }

    /// A number at the edges of what can be stored.
    public mutating func edge() -> UInt64 {
        let edges: [UInt64] = [
            0, 1, 2, 63, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 1 << 24, 1 << 31 - 1, 1 << 31,
            1 << 32 - 1, 1 << 32, 1 << 53, 1 << 62, 1 << 63 - 1, 1 << 63, .max - 1, .max,
        ]
        return pick(edges)!
    }

    /// Mostly `usual`, now and then an edge.
    public mutating func number(usually usual: UInt64) -> UInt64 { oneIn(12) ? edge() : usual }

    /// A time, now and then one at the ends of what can be stored.
    public mutating func time() -> Timestamp {
        let usual = 1_767_225_600 + Int64(number(9)) * 86_400
        let seconds = oneIn(6) ? Int64(bitPattern: edge()) &* (oneIn(2) ? -1 : 1) : usual
        return Timestamp(seconds: seconds, nanoseconds: oneIn(4) ? 999_999_999 : 0)
    }
}
