// HintWindow: a stretch of a file as a hint parser sees it. Every read is bounds-checked and gives nil outside, so a
// parser of hostile bytes needs no checks of its own and cannot trap: sums of what it reads stay within 64 bits,
// because offsets stay under `largestOffset` and numbers are read with at most 32 bits, or refused above it.

import CKernels
import Glibc

/// Bytes of a file, and where in the file they are. It borrows the memory.
struct HintWindow {
    /// No file is longer; what a container says beyond it is nonsense.
    static let largestOffset = UInt64(1) << 62

    let bytes: UnsafeRawBufferPointer
    /// Where `bytes` begin in the file.
    let offset: UInt64

    var count: Int { bytes.count }
    /// Where they end in the file.
    var end: UInt64 { offset + UInt64(bytes.count) }

    /// The byte at a place in the window.
    func byte(_ place: Int) -> UInt8? {
        place >= 0 && place < bytes.count ? bytes[place] : nil
    }

    /// Two bytes, most significant first unless `isLittle`.
    func u16(_ place: Int, isLittle: Bool = false) -> Int? {
        guard let value = load(place, UInt16.self) else { return nil }
        return Int(isLittle ? value.byteSwapped : value)
    }

    /// Four bytes, most significant first unless `isLittle`.
    func u32(_ place: Int, isLittle: Bool = false) -> UInt64? {
        guard let value = load(place, UInt32.self) else { return nil }
        return UInt64(isLittle ? value.byteSwapped : value)
    }

    /// Eight bytes, most significant first unless `isLittle`; nil also for what no file can hold.
    func u64(_ place: Int, isLittle: Bool = false) -> UInt64? {
        guard let raw = load(place, UInt64.self) else { return nil }
        let value = isLittle ? raw.byteSwapped : raw
        return value < Self.largestOffset ? value : nil
    }

    /// Whether `text` is at a place.
    func has(_ text: StaticString, at place: Int) -> Bool {
        guard place >= 0, place <= bytes.count - text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { text in
            for index in 0..<text.count where bytes[place + index] != text[index] { return false }
            return true
        }
    }

    /// Whether `text` is anywhere.
    func contains(_ text: StaticString) -> Bool {
        var place = 0
        while let found = first(text.utf8Start.pointee, from: place) {
            if has(text, at: found) { return true }
            place = found + 1
        }
        return false
    }

    /// The first place from `place` on that holds `byte`.
    func first(_ byte: UInt8, from place: Int) -> Int? {
        guard let base = bytes.baseAddress, place < bytes.count,
            let found = memchr(base + place, Int32(byte), bytes.count - place)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// The first place from `place` on that holds two bytes, one after the other.
    func first(_ byte: UInt8, _ next: UInt8, from place: Int) -> Int? {
        guard let base = bytes.baseAddress, place < bytes.count else { return nil }
        let start = base.assumingMemoryBound(to: UInt8.self) + place
        let found = place + ck_find_pair(start, bytes.count - place, byte, next)
        return found < bytes.count ? found : nil
    }

    /// A part of the window, cut to what is there.
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
