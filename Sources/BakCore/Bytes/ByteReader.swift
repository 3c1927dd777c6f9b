// ByteReader: decodes all untrusted bytes. Every read is bounds-checked, and every failure names the object and the
// offset. Integers are little-endian, varints are LEB128.

/// A cursor over untrusted bytes. It borrows the memory: use it inside `withUnsafeBytes`.
public struct ByteReader {
    /// The bytes being read.
    public let bytes: UnsafeRawBufferPointer
    /// The position of the next byte to read, in `bytes`.
    @inlinable
    public var position: Int { cursor }
    @usableFromInline var cursor = 0
    /// The object that the bytes come from, for error messages.
    public let object: String
    /// The offset of `bytes` in the object, for error messages.
    public let baseOffset: Int

    /// Starts at the first of `bytes`, which lie at `baseOffset` in `object`.
    public init(_ bytes: UnsafeRawBufferPointer, object: String, baseOffset: Int = 0) {
        self.bytes = bytes
        self.object = object
        self.baseOffset = baseOffset
    }

    /// The number of bytes left.
    @inlinable
    public var remaining: Int { bytes.count - position }
    /// True if every byte has been read.
    @inlinable
    public var isAtEnd: Bool { position == bytes.count }

    /// Makes an error that names the current position.
    public func corruption(_ reason: String) -> CorruptionError {
        CorruptionError(object: object, offset: baseOffset + position, reason: reason)
    }

    /// Takes the next `count` bytes, without copying them. Throws `CorruptionError` if fewer are left.
    @inlinable
    public mutating func take(_ count: Int) throws(CorruptionError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw shortage(count) }
        defer { cursor += count }
        return UnsafeRawBufferPointer(rebasing: bytes[cursor..<cursor + count])
    }

    @usableFromInline
    func shortage(_ count: Int) -> CorruptionError {
        corruption("\(count) bytes expected, \(remaining) left")
    }

    /// Reads a fixed-width little-endian integer. Throws `CorruptionError` if too few bytes are left.
    @inlinable
    public mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(CorruptionError) -> T {
        T(littleEndian: try take(MemoryLayout<T>.size).loadUnaligned(as: T.self))
    }

    /// Reads one byte. Throws `CorruptionError` if none is left.
    @inlinable
    public mutating func byte() throws(CorruptionError) -> UInt8 { try integer(UInt8.self) }

    /// Reads an unsigned LEB128 of at most ten bytes. Only the shortest form is valid. Throws `CorruptionError` if it
    /// has another form or is incomplete.
    @inlinable
    public mutating func varint() throws(CorruptionError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte()
            let bits = UInt64(byte & 0x7f)
            guard shift < 63 || (shift == 63 && bits <= 1) else { throw corruption("a varint over 64 bits") }
            value |= bits << shift
            if byte & 0x80 == 0 {
                guard byte != 0 || shift == 0 else { throw corruption("a varint with a useless last byte") }
                return value
            }
            shift += 7
        }
    }

    /// Reads a varint that may not exceed `limit`. In an error, `what` names the number. Throws `CorruptionError` if it
    /// exceeds `limit` or is not a varint.
    public mutating func count(upTo limit: Int, _ what: String) throws(CorruptionError) -> Int {
        let value = try varint()
        guard value <= UInt64(limit) else {
            throw corruption("\(what) is \(value), over the limit of \(limit)")
        }
        return Int(value)
    }

    /// Reads a zigzag-coded signed varint. Throws `CorruptionError` as `varint` does.
    public mutating func signedVarint() throws(CorruptionError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// Reads a 16-byte id. Throws `CorruptionError` if too few bytes are left.
    @inlinable
    public mutating func id() throws(CorruptionError) -> ID128 {
        ID128(loading: try take(ID128.byteCount).baseAddress!)
    }

    /// Reads a byte string with a varint length of at most `limit`, without copying it. Throws `CorruptionError` if the
    /// string is longer or incomplete.
    public mutating func slice(
        upTo limit: Int, _ what: String
    ) throws(CorruptionError) -> UnsafeRawBufferPointer {
        try take(try count(upTo: min(limit, remaining), what))
    }

    /// Reads a byte string with a varint length of at most `limit`. Throws `CorruptionError` if the string is longer or
    /// incomplete.
    public mutating func byteString(upTo limit: Int, _ what: String) throws(CorruptionError) -> [UInt8] {
        Array(try slice(upTo: limit, what))
    }

    /// Reads a byte string that must be UTF-8. Throws `CorruptionError` if it is not UTF-8, is longer than `limit`, or
    /// is incomplete.
    public mutating func text(upTo limit: Int, _ what: String) throws(CorruptionError) -> String {
        let start = self
        guard let text = String(validating: try byteString(upTo: limit, what), as: UTF8.self) else {
            throw start.corruption("\(what) is not UTF-8")
        }
        return text
    }

    /// Reads a timestamp: zigzag seconds, then nanoseconds below 10^9. Throws `CorruptionError` if it is malformed or
    /// incomplete.
    public mutating func timestamp() throws(CorruptionError) -> Timestamp {
        let seconds = try signedVarint()
        return Timestamp(seconds: seconds, nanoseconds: UInt32(try count(upTo: 999_999_999, "nanoseconds")))
    }

    /// Throws `CorruptionError` unless every byte has been read.
    public func expectEnd() throws(CorruptionError) {
        guard isAtEnd else { throw corruption("\(remaining) bytes left over") }
    }
}
