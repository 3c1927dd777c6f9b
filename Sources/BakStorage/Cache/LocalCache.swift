// LocalCache: files of this machine that can be rebuilt from the store at any time, mapped into memory.

import BakCore

/// Bytes that stay readable at one address for as long as this object lives. Where they are a file's, they are not
/// constant: whoever may write to the file can change them, and what the medium cannot read any more reads as zeros.
/// Take a copy before you verify, or ask `isIntact` after you have used them.
public final class MappedBytes: @unchecked Sendable {
    /// The bytes. Do not use them after the last reference to this object is gone.
    public let bytes: UnsafeRawBufferPointer
    private let release: @Sendable (UnsafeRawBufferPointer) -> Void
    private let looksIntact: (@Sendable () -> Bool)?

    /// Takes over `bytes`; `release` gives them back.
    ///
    /// - Parameter isIntact: false when they may have changed since; nil for what cannot change.
    public init(
        _ bytes: UnsafeRawBufferPointer, isIntact: (@Sendable () -> Bool)? = nil,
        release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.release = release
        looksIntact = isIntact
    }

    /// False when the bytes may have changed, or could not be read, since this object was made. It may ask the system.
    public var isIntact: Bool { looksIntact?() ?? true }

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
    /// Maps a cache file; nil when there is none, it cannot be read, or it is not a file that this user has written.
    func map(_ name: String) -> MappedBytes?

    /// Replaces a cache file as a whole: `write` is handed a function that appends bytes. Readers see
    /// the old file or the new one. When it throws, the old one stays.
    func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws
}

extension LocalCache {
    /// The most bytes of a file that is read whole: four million rows of any of them. Holes may make it longer.
    private var longestRead: Int { 256 << 20 }

    /// A copy of a cache file, which nobody can change while it is verified and decoded; nil as for `map`, and for one
    /// that is too long to be ours.
    public func read(_ name: String) -> [UInt8]? {
        guard let mapped = map(name), mapped.bytes.count <= longestRead else { return nil }
        return withExtendedLifetime(mapped) { Array(mapped.bytes) }
    }
}
