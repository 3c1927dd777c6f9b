// ByteWriter: the counterpart of ByteReader. Integers are little-endian, varints are LEB128.

/// Builds a byte string.
public struct ByteWriter: Sendable {
    /// The bytes written so far.
    public var bytes: [UInt8] = []

    /// Starts empty.
    public init(reservingCapacity capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// The number of bytes written.
    public var count: Int { bytes.count }

    /// Appends a fixed-width little-endian integer.
    public mutating func integer<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends one byte.
    public mutating func byte(_ value: UInt8) { bytes.append(value) }

    /// Appends an unsigned LEB128 in its shortest form.
    public mutating func varint(_ value: some BinaryInteger) {
        var rest = UInt64(value)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Appends a zigzag-coded signed varint.
    public mutating func signedVarint(_ value: Int64) {
        varint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    /// Appends a 16-byte id.
    public mutating func id(_ id: ID128) {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { bytes.append(contentsOf: $0) }
    }

    /// Appends bytes as they are.
    public mutating func raw(_ source: some Sequence<UInt8>) { bytes.append(contentsOf: source) }

    /// Appends `count` zero bytes.
    public mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    /// Appends a byte string after its length as a varint.
    public mutating func byteString(_ source: some Collection<UInt8>) {
        varint(source.count)
        bytes.append(contentsOf: source)
    }

    /// Appends text as a UTF-8 byte string.
    public mutating func text(_ text: String) { byteString(text.utf8) }

    /// Appends a timestamp: zigzag seconds, then nanoseconds.
    public mutating func timestamp(_ time: Timestamp) {
        signedVarint(time.seconds)
        varint(time.nanoseconds)
    }
}
