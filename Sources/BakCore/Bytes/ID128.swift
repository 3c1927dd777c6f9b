// ID128: the 16-byte name of a chunk, a manifest segment, a pack, a session or a repository. Ids are ordered by their
// bytes, which is also the order of the pair (high, low): `high` holds the first eight bytes, big-endian.

/// A 128-bit identifier. Content ids are keyed hashes; object ids are random.
public struct ID128: Hashable, Comparable, Sendable {
    /// The first eight bytes, read big-endian.
    public var high: UInt64
    /// The last eight bytes, read big-endian.
    public var low: UInt64

    /// The number of bytes of an id.
    public static let byteCount = 16
    /// The id of sixteen zero bytes.
    public static let zero = ID128(high: 0, low: 0)

    /// Makes an id from its two halves.
    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads an id from its 16 bytes at `pointer`, which needs no alignment.
    @inlinable
    public init(loading pointer: UnsafeRawPointer) {
        high = UInt64(bigEndian: pointer.loadUnaligned(as: UInt64.self))
        low = UInt64(bigEndian: pointer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// Draws a random id.
    public init(from random: some RandomSource) {
        var bytes: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &bytes) { random.fill($0) }
        self.init(high: bytes.0, low: bytes.1)
    }

    /// Writes the 16 bytes to `pointer`, which needs no alignment.
    @inlinable
    public func store(to pointer: UnsafeMutableRawPointer) {
        pointer.storeBytes(of: high.bigEndian, as: UInt64.self)
        pointer.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }

    /// Orders ids by their bytes.
    @inlinable
    public static func < (left: ID128, right: ID128) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }
}

extension ID128: CustomStringConvertible {
    /// The id as 32 lower-case hexadecimal digits.
    public var description: String {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { Hex.encode($0) }
    }

    /// The first eight hexadecimal digits, which messages show and users type.
    public var short: String { String(description.prefix(8)) }

    /// Parses exactly 32 lower-case hexadecimal digits; nil for anything else.
    public init?(_ text: some StringProtocol) {
        let halves = text.utf8.withContiguousStorageIfAvailable(Self.halves) ?? Self.halves(Array(text.utf8))
        guard let (high, low) = halves else { return nil }
        self.init(high: high, low: low)
    }

    private static func halves(_ digits: some RandomAccessCollection<UInt8>) -> (UInt64, UInt64)? {
        guard digits.count == 32, let high = Hex.decode(digits.prefix(16)),
            let low = Hex.decode(digits.suffix(16))
        else { return nil }
        return (high, low)
    }
}

/// Lower-case hexadecimal text.
public enum Hex {
    /// Returns sixteen digits for a 64-bit number.
    public static func encode(_ value: UInt64) -> String {
        withUnsafeBytes(of: value.bigEndian) { encode($0) }
    }

    /// Returns two digits for each byte.
    public static func encode(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes(encode) }

    /// Returns two digits for each byte.
    public static func encode(_ bytes: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { text in
            for (place, byte) in bytes.enumerated() {
                text[2 * place] = digit(byte >> 4)
                text[2 * place + 1] = digit(byte & 15)
            }
            return bytes.count * 2
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// Decodes up to sixteen lower-case digits; nil if there are none or a byte is not such a digit.
    public static func decode(_ text: some Collection<UInt8>) -> UInt64? {
        guard !text.isEmpty, text.count <= 16 else { return nil }
        var value: UInt64 = 0
        for byte in text {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = value << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }
}
