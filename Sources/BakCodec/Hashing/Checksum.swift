// Checksum: unkeyed XXH3, against damage and not against malice. It covers stored bytes (frames, packs,
// index segments), so that damage is found without a key. Content is named by ContentHasher instead.

import BakCore
import CKernels
import CXXHash

/// Unkeyed XXH3 checksums (https://github.com/Cyan4973/xxHash, XXH3 as frozen in xxHash 0.8.0).
public enum Checksum {
    // The names are xxHash's own.

    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// The 64-bit XXH3 of `bytes`.
    public static func xxh3_64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        ck_xxh3_64(bytes.baseAddress, bytes.count)
    }

    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// The 128-bit XXH3 of `bytes`; the id's 16 bytes are the canonical form that `xxhsum -H128` prints.
    public static func xxh3_128(_ bytes: UnsafeRawBufferPointer) -> ID128 {
        ID128(ck_xxh3_128(bytes.baseAddress, bytes.count))
    }
}

/// The 128-bit XXH3 of bytes that arrive in pieces.
public struct ChecksumStream: ~Copyable {
    private let state: OpaquePointer

    /// Starts with no bytes.
    public init() {
        guard let state = XXH3_createState() else { Memory.exhausted("a checksum") }
        self.state = state
        XXH3_128bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    /// Adds `bytes` at the end.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        XXH3_128bits_update(state, bytes.baseAddress, bytes.count)
    }

    /// What `Checksum.xxh3_128` gives for all the bytes together.
    public consuming func finish() -> ID128 { ID128(XXH3_128bits_digest(state)) }
}

extension ID128 {
    /// The hash's canonical bytes (`XXH128_canonicalFromHash`): its high half first, big-endian.
    init(_ hash: ck_hash128) { self.init(high: hash.high, low: hash.low) }

    fileprivate init(_ hash: XXH128_hash_t) { self.init(high: hash.high64, low: hash.low64) }
}
