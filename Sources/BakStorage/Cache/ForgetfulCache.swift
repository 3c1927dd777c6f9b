// ForgetfulCache: a cache that keeps nothing, where nothing may be kept.

/// A cache without files.
public final class ForgetfulCache: LocalCache {
    /// Makes one.
    public init() {}

    public func map(_ name: String) -> MappedBytes? { nil }
    public func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) {}
}
