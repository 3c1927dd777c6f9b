// Compressor: what it returns has been decoded again and compared with the input, so that a codec's bug
// cannot reach the store, and is smaller than the input by 3 % or is the input itself.

import BakCore
import CLZ4
import CZstd

/// Content as it will be stored.
public struct Compressed {
    /// How `stored` is coded.
    public var codec: Codec
    /// The bytes to store: the compressor's own memory, or the input when `codec` is raw.
    public var stored: UnsafeRawBufferPointer

    /// Content that is coded already.
    public init(codec: Codec, stored: UnsafeRawBufferPointer) { (self.codec, self.stored) = (codec, stored) }
}

/// Encodes content; one per thread, because it reuses its zstd context and its buffers.
public final class Compressor {
    /// What the user asked for.
    public let mode: CompressionMode

    private let context: OpaquePointer
    private let output = ScratchBuffer()
    private let probe = CompressibilityProbe()
    private let decompressor = Decompressor()

    /// Allocates the context.
    public init(_ mode: CompressionMode) {
        guard let context = ZSTD_createCCtx() else { Memory.exhausted("compression") }
        self.context = context
        self.mode = mode
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Encodes `content`. The result is valid until the next call, and while `content` is.
    ///
    /// `isCompressedContent` says that the content's container is known to be compressed (JPEG, MP4): the
    /// modes that probe then store it raw without a look.
    public func compress(_ content: UnsafeRawBufferPointer, isCompressedContent: Bool) -> Compressed {
        let raw = Compressed(codec: .raw, stored: content)
        if mode.probes, isCompressedContent || !probe.isWorthCompressing(content) { return raw }
        let attempt: Compressed?
        switch mode {
        case .off: attempt = nil
        case .lz4: attempt = lz4(content)
        case .fast: attempt = zstd(content, level: 1)
        case .auto: attempt = zstd(content, level: 3)
        case .max: attempt = zstd(content, level: 19)
        case .zstd(let level): attempt = zstd(content, level: level)
        }
        guard let attempt, decompressor.reproduces(content, from: attempt.stored, codec: attempt.codec)
        else { return raw }
        return attempt
    }

    /// The most bytes a code of `count` bytes may take and still gain 3 %.
    private static func limit(for count: Int) -> Int { count - (count * 3 + 99) / 100 }

    /// Room for the output, no larger than a worthwhile code: a codec that runs out of it stops early.
    private func room(for content: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer? {
        let limit = Self.limit(for: content.count)
        return limit > 0 ? output.bytes(limit) : nil
    }

    private func zstd(_ content: UnsafeRawBufferPointer, level: Int) -> Compressed? {
        guard let room = room(for: content) else { return nil }
        let result = ZSTD_compressCCtx(
            context, room.baseAddress, room.count, content.baseAddress, content.count, Int32(level))
        guard ZSTD_isError(result) == 0 else { return nil }
        return Compressed(codec: .zstd, stored: UnsafeRawBufferPointer(rebasing: room[..<result]))
    }

    private func lz4(_ content: UnsafeRawBufferPointer) -> Compressed? {
        guard let room = room(for: content), content.count <= LZ4_MAX_INPUT_SIZE else { return nil }
        let result = LZ4_compress_default(
            content.baseAddress, room.baseAddress, Int32(content.count), Int32(room.count))
        guard result > 0 else { return nil }
        return Compressed(codec: .lz4, stored: UnsafeRawBufferPointer(rebasing: room[..<Int(result)]))
    }
}
