// HintWindow: the part of a file that a hint parser sees. A read outside the window returns nil, so a parser of hostile
// bytes needs no checks of its own and cannot trap. Sums of the numbers that a parser reads fit in 64 bits, because
// each number has at most 32 bits or is below `largestOffset`.

import CKernels
import Glibc

/// Bytes of a file and their offset in it. The window borrows the memory.
struct HintWindow {
    /// The limit of offsets. No file is longer, so a container's larger numbers are nonsense.
    static let largestOffset = UInt64(1) << 62

    let bytes: UnsafeRawBufferPointer
    /// The offset of `bytes` in the file.
    let offset: UInt64

    var count: Int { bytes.count }
    /// The end of `bytes` in the file.
    var end: UInt64 { offset + UInt64(bytes.count) }

    /// Returns the byte at a place in the window.
    func byte(_ place: Int) -> UInt8? {
        place >= 0 && place < bytes.count ? bytes[place] : nil
    }

    /// Reads two bytes, most significant first unless `isLittle`.
    func u16(_ place: Int, isLittle: Bool = false) -> Int? {
        guard let value = load(place, UInt16.self) else { return nil }
        return Int(isLittle ? value.byteSwapped : value)
    }

    /// Reads four bytes, most significant first unless `isLittle`.
    func u32(_ place: Int, isLittle: Bool = false) -> UInt64? {
        guard let value = load(place, UInt32.self) else { return nil }
        return UInt64(isLittle ? value.byteSwapped : value)
    }

    /// Reads eight bytes, most significant first unless `isLittle`. Also returns nil for a number that is too large for
    /// any file.
    func u64(_ place: Int, isLittle: Bool = false) -> UInt64? {
        guard let raw = load(place, UInt64.self) else { return nil }
        let value = isLittle ? raw.byteSwapped : raw
        return value < Self.largestOffset ? value : nil
    }

    /// True if `text` is at `place`.
    func has(_ text: StaticString, at place: Int) -> Bool {
        guard place >= 0, place <= bytes.count - text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { text in
            for index in 0..<text.count where bytes[place + index] != text[index] { return false }
            return true
        }
    }

    /// True if `text` is anywhere in the window.
    func contains(_ text: StaticString) -> Bool {
        var place = 0
        while let found = first(text.utf8Start.pointee, from: place) {
            if has(text, at: found) { return true }
            place = found + 1
        }
        return false
    }

    /// Returns the first place at or after `place` that holds `byte`.
    func first(_ byte: UInt8, from place: Int) -> Int? {
        guard let base = bytes.baseAddress, place < bytes.count,
            let found = memchr(base + place, Int32(byte), bytes.count - place)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// Returns the first place at or after `place` that holds the two bytes in a row.
    func first(_ byte: UInt8, _ next: UInt8, from place: Int) -> Int? {
        guard let base = bytes.baseAddress, place < bytes.count else { return nil }
        let start = base.assumingMemoryBound(to: UInt8.self) + place
        let found = place + ck_find_pair(start, bytes.count - place, byte, next)
        return found < bytes.count ? found : nil
    }

    /// Returns a part of the window, limited to the bytes that it has.
    func part(from place: Int, count: Int) -> HintWindow {
        let start = min(max(place, 0), bytes.count)
        let end = min(start + max(count, 0), bytes.count)
        return HintWindow(
            bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), offset: offset + UInt64(start))
    }

    private func load<T: FixedWidthInteger>(_ place: Int, _: T.Type) -> T? {
        guard place >= 0, place <= bytes.count - MemoryLayout<T>.size else { return nil }
        return T(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: T.self))
    }
}
