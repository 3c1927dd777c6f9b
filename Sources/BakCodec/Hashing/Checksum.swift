// Checksum: unkeyed XXH3, which detects damage but not tampering. It covers stored bytes (frames, packs, index
// segments), so that damage is found without a key. Content is named by the keyed hash of ContentHasher instead.

import BakCore
import CKernels
import CXXHash

/// Unkeyed XXH3 checksums (https://github.com/Cyan4973/xxHash, XXH3 as frozen in xxHash 0.8.0).
public enum Checksum {
    // The names are xxHash's own.

    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// Returns the 64-bit XXH3 of `bytes`.
    public static func xxh3_64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        ck_xxh3_64(bytes.baseAddress, bytes.count)
    }

    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// Returns the 128-bit XXH3 of `bytes`. The id's 16 bytes are in the canonical form that `xxhsum -H128` prints.
    public static func xxh3_128(_ bytes: UnsafeRawBufferPointer) -> ID128 {
        ID128(ck_xxh3_128(bytes.baseAddress, bytes.count))
    }
}

/// Computes the 128-bit XXH3 of bytes that arrive in pieces.
public struct ChecksumStream: ~Copyable {
    private let state: OpaquePointer

    /// Starts with no bytes.
    public init() {
        guard let state = XXH3_createState() else { Memory.exhausted("a checksum") }
        self.state = state
        XXH3_128bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    /// Appends `bytes`.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        XXH3_128bits_update(state, bytes.baseAddress, bytes.count)
    }

    /// Returns the same as `Checksum.xxh3_128` for all the bytes together.
    public consuming func finish() -> ID128 { ID128(XXH3_128bits_digest(state)) }
}

extension ID128 {
    /// Makes the id from the hash's canonical bytes (`XXH128_canonicalFromHash`): the high half first, big-endian.
    init(_ hash: ck_hash128) { self.init(high: hash.high, low: hash.low) }

    fileprivate init(_ hash: XXH128_hash_t) { self.init(high: hash.high64, low: hash.low64) }
}
