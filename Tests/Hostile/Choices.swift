// Choices: decisions taken from the bytes of an input. A fuzzer that changes bytes thereby changes the thing that the
// decisions make. After the end of the input, every decision is the usual one.

import BakCore

/// Takes decisions from the bytes of an input. For one thread.
public struct Choices {
    private var rest: ArraySlice<UInt8>

    /// Takes decisions from `input`.
    public init(_ input: some Sequence<UInt8>) { rest = Array(input)[...] }

    /// Returns the next byte; 0 after the end of the input.
    public mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// Returns a number from 0 to `most`, which must be below 2^32.
    public mutating func number(_ most: Int) -> Int {
        guard most > 0 else { return 0 }
        var number = Int(byte())
        if most > 0xff { number = number << 8 | Int(byte()) }
        if most > 0xffff { number = number << 16 | Int(byte()) << 8 | Int(byte()) }
        return number % (most + 1)
    }

    /// Returns true about once in `period` times; false after the end of the input.
    public mutating func oneIn(_ period: Int) -> Bool { number(period) == period }

    /// Returns one of the elements: the first after the end of the input, nil if there are none.
    public mutating func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[number(elements.count - 1)]
    }

    /// Returns a number near a limit of an integer type or of an encoding.
    public mutating func edge() -> UInt64 {
        let edges: [UInt64] = [
            0, 1, 2, 63, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 1 << 24, 1 << 31 - 1, 1 << 31,
            1 << 32 - 1, 1 << 32, 1 << 53, 1 << 62, 1 << 63 - 1, 1 << 63, .max - 1, .max,
        ]
        return pick(edges)!
    }

    /// Returns `usual` most of the time, and an edge sometimes.
    public mutating func number(usually usual: UInt64) -> UInt64 { oneIn(12) ? edge() : usual }

    /// Returns a time, sometimes one near the limits of the format.
    public mutating func time() -> Timestamp {
        let usual = 1_767_225_600 + Int64(number(9)) * 86_400
        let seconds = oneIn(6) ? Int64(bitPattern: edge()) &* (oneIn(2) ? -1 : 1) : usual
        return Timestamp(seconds: seconds, nanoseconds: oneIn(4) ? 999_999_999 : 0)
    }
}
