// ForgetfulCache: a cache that keeps nothing, where nothing may be kept.

/// A cache without files.
public final class ForgetfulCache: LocalCache {
    /// Makes one.
    public init() {}

    /// Finds nothing.
    public func map(_ name: String) -> MappedBytes? { nil }
    /// Keeps nothing, and does not call `write`.
    public func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) {}
}
