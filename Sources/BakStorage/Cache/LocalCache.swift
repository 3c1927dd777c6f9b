// LocalCache: files on this machine that can be rebuilt from the store at any time. Readers map them into memory.

import BakCore

/// Bytes that stay readable at one address for as long as this object lives. Bytes of a mapped file are not constant:
/// any program that may write to the file can change them, and a part that the medium can no longer read becomes zeros.
/// Copy the bytes before you verify them, or check `isIntact` after you have used them.
public final class MappedBytes: @unchecked Sendable {
    /// The bytes. Do not use them after the last reference to this object is gone.
    public let bytes: UnsafeRawBufferPointer
    private let release: @Sendable (UnsafeRawBufferPointer) -> Void
    private let looksIntact: (@Sendable () -> Bool)?

    /// Takes ownership of `bytes`. `deinit` calls `release` to free them.
    ///
    /// - Parameter isIntact: returns false if the bytes may have changed since; nil if they cannot change.
    public init(
        _ bytes: UnsafeRawBufferPointer, isIntact: (@Sendable () -> Bool)? = nil,
        release: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.release = release
        looksIntact = isIntact
    }

    /// False if the bytes may have changed, or could not be read, since this object was made. It may make a system
    /// call.
    public var isIntact: Bool { looksIntact?() ?? true }

    /// Copies `bytes` to the heap.
    public convenience init(copying bytes: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 16)
        copy.copyBytes(from: bytes)
        self.init(UnsafeRawBufferPointer(rebasing: copy[..<bytes.count])) { $0.deallocate() }
    }

    deinit { release(bytes) }
}

/// Named files, in a cache folder or beside a store, that can be replaced and mapped. Every call may come from any
/// thread. Readers never trust a cache file over the store.
public protocol LocalCache: AnyObject, Sendable {
    /// Maps a cache file. Returns nil if it does not exist, cannot be read, or was not written by this user.
    func map(_ name: String) -> MappedBytes?

    /// Replaces a whole cache file. `write` receives a function that appends bytes. Readers see either the old file or
    /// the new one. If this throws, the old file stays.
    func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws
}

extension LocalCache {
    /// The longest file that is read whole, in bytes: room for four million rows of any kind. A longer file may be
    /// sparse, and reading it would fill memory with zeros.
    private var longestRead: Int { 256 << 20 }

    /// Returns a copy of a cache file, which no other program can change while it is verified and decoded. Returns nil
    /// in the same cases as `map`, and if the file is longer than this program writes.
    public func read(_ name: String) -> [UInt8]? {
        guard let mapped = map(name), mapped.bytes.count <= longestRead else { return nil }
        return withExtendedLifetime(mapped) { Array(mapped.bytes) }
    }
}
