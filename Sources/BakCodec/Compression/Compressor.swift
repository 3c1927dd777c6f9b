// Compressor: encodes content and checks the result. It decodes every result and compares it with the input, so a
// codec's bug cannot reach the store. A result is at least 3 % smaller than the input, or it is the input itself.

import BakCore
import CLZ4
import CZstd

/// Content in the form in which it is stored.
public struct Compressed {
    /// The coding of `stored`.
    public var codec: Codec
    /// The bytes to store: the compressor's own memory, or the input if `codec` is raw.
    public var stored: UnsafeRawBufferPointer

    /// Makes a value for content that is coded already.
    public init(codec: Codec, stored: UnsafeRawBufferPointer) { (self.codec, self.stored) = (codec, stored) }
}

/// Encodes content. Each thread needs its own, because it reuses its zstd context and its buffers.
public final class Compressor {
    /// The user's choice.
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

    /// Encodes `content`. The result is valid until the next call, but no longer than `content`.
    ///
    /// `isCompressedContent` says that the content's container is known to be compressed (JPEG, MP4). Modes with a
    /// probe then store it raw without probing.
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

    /// Returns the largest size of a result that still saves 3 % of `count` bytes.
    private static func limit(for count: Int) -> Int { count - (count * 3 + 99) / 100 }

    /// Returns memory for the output, no larger than a result that is worth storing. If a codec fills this memory, it
    /// stops early.
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
