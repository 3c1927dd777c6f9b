// NullCache: a cache that keeps nothing, for repositories of which this machine may keep no files.

/// A cache without files.
public final class NullCache: LocalCache {
    /// Makes an empty cache.
    public init() {}

    /// Returns nil: the cache is always empty.
    public func map(_ name: String) -> MappedBytes? { nil }
    /// Returns without calling `write`.
    public func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) {}
}
