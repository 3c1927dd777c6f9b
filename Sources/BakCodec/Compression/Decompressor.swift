// Decompressor: decodes untrusted stored bytes of a trusted length. It fills exactly that many bytes or throws. It
// never writes outside the destination, and no header makes it allocate memory.

import BakCore
import CLZ4
import CZstd
import Glibc

/// Decodes stored bytes. Each thread needs its own, because it reuses its zstd context.
public final class Decompressor {
    /// The largest window that a zstd frame may request, as a power of two. 27 is zstd's own default bound; the largest
    /// chunk needs only 24.
    static let windowLogMax = 27

    private let context: OpaquePointer
    private let scratch = ScratchBuffer()

    /// Allocates the context.
    public init() {
        guard let context = ZSTD_createDCtx() else { Memory.exhausted("decompression") }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Decodes `stored` so that it fills `content` exactly. The two must not overlap.
    ///
    /// Throws `CodecError` if `stored` is not a single well-formed code of exactly `content.count` bytes. The bytes of
    /// `content` are then undefined.
    public func decompress(
        _ stored: UnsafeRawBufferPointer, codec: Codec, into content: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        switch codec {
        case .raw:
            guard stored.count == content.count else {
                throw CodecError(.raw, "\(stored.count) bytes stored, \(content.count) expected")
            }
            content.copyMemory(from: stored)
        case .zstd:
            try checkFrame(stored, contentBytes: content.count)
            let result = ZSTD_decompressDCtx(
                context, content.baseAddress, content.count, stored.baseAddress, stored.count)
            guard ZSTD_isError(result) == 0 else { throw Self.zstdError(result) }
            guard result == content.count else {
                throw CodecError(.zstd, "\(result) bytes decoded, \(content.count) expected")
            }
        case .lz4:
            // lz4 counts in Int32. An empty block or an empty destination is refused here, without calling lz4.
            guard let storedBytes = Int32(exactly: stored.count), let room = Int32(exactly: content.count),
                storedBytes > 0, room > 0
            else { throw CodecError(.lz4, "\(stored.count) bytes cannot be a block of \(content.count)") }
            let result = LZ4_decompress_safe(stored.baseAddress, content.baseAddress, storedBytes, room)
            guard result >= 0 else { throw CodecError(.lz4, "a malformed block") }
            guard result == room else {
                throw CodecError(.lz4, "\(result) bytes decoded, \(room) expected")
            }
        }
    }

    /// True if decoding `stored` gives exactly `content`.
    public func reproduces(
        _ content: UnsafeRawBufferPointer, from stored: UnsafeRawBufferPointer, codec: Codec
    ) -> Bool {
        let decoded = scratch.bytes(content.count)
        do { try decompress(stored, codec: codec, into: decoded) } catch { return false }
        return content.isEmpty || memcmp(decoded.baseAddress!, content.baseAddress!, content.count) == 0
    }

    /// Checks a zstd frame's header (RFC 8878, section 3.1.1.1) and that nothing follows the frame.
    ///
    /// The one-shot decoder needs these checks: it accepts several frames in a row, skips skippable frames, and ignores
    /// the window bound.
    private func checkFrame(
        _ stored: UnsafeRawBufferPointer, contentBytes: Int
    ) throws(CodecError) {
        guard contentBytes > 0, stored.count >= 6,
            UInt32(littleEndian: stored.loadUnaligned(as: UInt32.self)) == ZSTD_MAGICNUMBER
        else { throw CodecError(.zstd, "no zstd frame") }
        let descriptor = stored[4]
        guard descriptor & 0b11 == 0 else { throw CodecError(.zstd, "a frame with a dictionary id") }
        let isSingleSegment = descriptor & 0b10_0000 != 0
        // Without the single-segment flag the next byte is the window descriptor: exponent and mantissa.
        if !isSingleSegment, 10 + Int(stored[5] >> 3) > Self.windowLogMax {
            throw CodecError(.zstd, "a window over 2^\(Self.windowLogMax) bytes")
        }
        // For an unknown or malformed size, zstd returns one of the two largest numbers. No content is so long, so this
        // comparison refuses such a size, too.
        guard ZSTD_getFrameContentSize(stored.baseAddress, stored.count) == UInt64(contentBytes) else {
            throw CodecError(.zstd, "the frame does not declare \(contentBytes) bytes")
        }
        let frameBytes = ZSTD_findFrameCompressedSize(stored.baseAddress, stored.count)
        guard ZSTD_isError(frameBytes) == 0 else { throw Self.zstdError(frameBytes) }
        guard frameBytes == stored.count else {
            throw CodecError(.zstd, "\(stored.count - frameBytes) bytes after the frame")
        }
    }

    private static func zstdError(_ result: Int) -> CodecError {
        CodecError(.zstd, String(cString: ZSTD_getErrorName(result)))
    }
}
