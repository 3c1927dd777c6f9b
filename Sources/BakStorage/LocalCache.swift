// LocalCache: files of this machine that can be rebuilt from the store at any time, mapped into memory.

import BakCore

/// Bytes that stay readable at one address for as long as this object lives.
public final class MappedBytes: @unchecked Sendable {
    /// The bytes. Do not use them after the last reference to this object is gone.
    public let bytes: UnsafeRawBufferPointer
    private let release: @Sendable (UnsafeRawBufferPointer) -> Void

    /// Takes over `bytes`; `release` gives them back.
    public init(
        _ bytes: UnsafeRawBufferPointer, release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.release = release
    }

    /// A copy of `bytes` on the heap.
    public convenience init(copying bytes: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 16)
        copy.copyBytes(from: bytes)
        self.init(UnsafeRawBufferPointer(rebasing: copy[..<bytes.count])) { $0.deallocate() }
    }

    deinit { release(bytes) }
}

/// Named, replaceable, mappable files beside a store or in a cache folder. Every call may come from any
/// thread. What is in them is never trusted over the store.
public protocol LocalCache: AnyObject, Sendable {
    /// Maps a cache file; nil when there is none or it cannot be read.
    func map(_ name: String) -> MappedBytes?

    /// Replaces a cache file as a whole: `write` is handed a function that appends bytes. Readers see
    /// the old file or the new one. When it throws, the old one stays.
    func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws
}
