// MemoryCache: a cache in memory. A test can look at its files and change them.

import BakCore
import BakStorage

/// A cache in memory. May be used from any thread.
public final class MemoryCache: LocalCache, @unchecked Sendable {
    private let monitor = Monitor()
    private var files: [String: [UInt8]] = [:]
    private let isWritable: Bool

    /// Makes an empty cache.
    public init(isWritable: Bool = true) { self.isWritable = isWritable }

    /// A file's bytes; nil if there is no such file.
    public subscript(name: String) -> [UInt8]? {
        get { monitor.locked { files[name] } }
        set { monitor.locked { files[name] = newValue } }
    }

    /// All files.
    public var contents: [String: [UInt8]] {
        get { monitor.locked { files } }
        set { monitor.locked { files = newValue } }
    }

    /// Returns a copy of a file's bytes; nil if there is no such file.
    public func map(_ name: String) -> MappedBytes? { self[name].map { MappedBytes(copying: $0) } }

    /// Replaces a file by the bytes that `write` appends. Throws if the cache is read-only.
    public func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws {
        guard isWritable else {
            throw StoreError(kind: .readOnly, operation: "write", object: name, message: "read-only cache")
        }
        var bytes: [UInt8] = []
        try write { (chunk: UnsafeRawBufferPointer) throws(StoreError) in bytes.append(contentsOf: chunk) }
        self[name] = bytes
    }
}
