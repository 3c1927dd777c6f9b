// CachingStore: copies objects that are read often, such as index segments and manifests, to this machine's cache.
//
// Always holds: a copy is used only if `isWhole` recognises it as a whole object from its bytes; otherwise the object
// is read from the store. Only the store decides which objects exist: a reader lists them there before it reads.

import BakCore

/// Keeps copies of some objects in this machine's cache.
public final class CachingStore: StoreDecorator, @unchecked Sendable {
    private let cache: any LocalCache
    private let keeps: @Sendable (ObjectKey) -> Bool
    private let isWhole: @Sendable (ObjectKey, UnsafeRawBufferPointer) -> Bool
    private let mostBytes: Int

    /// Makes a store in front of another one.
    ///
    /// - Parameters:
    ///   - cache: holds the copies.
    ///   - keeps: returns true if the object is worth a copy.
    ///   - mostBytes: the size of the largest object that is copied.
    ///   - isWhole: returns true if the bytes match the object's own checksums.
    public init(
        _ base: any ObjectStore, in cache: any LocalCache,
        keeping keeps: @escaping @Sendable (ObjectKey) -> Bool,
        upTo mostBytes: Int = 32 << 20,
        isWhole: @escaping @Sendable (ObjectKey, UnsafeRawBufferPointer) -> Bool
    ) {
        (self.cache, self.keeps, self.mostBytes, self.isWhole) = (cache, keeps, mostBytes, isWhole)
        super.init(base)
    }

    /// The name of an object's copy in the cache. It is unique because no key contains a plus sign.
    public static func cacheName(of key: ObjectKey) -> String {
        "object+" + key.description.split(separator: "/").joined(separator: "+")
    }

    private func copy(of key: ObjectKey) -> [UInt8]? {
        guard let bytes = cache.read(Self.cacheName(of: key)), !bytes.isEmpty else { return nil }
        return bytes.withUnsafeBytes { isWhole(key, $0) } ? bytes : nil
    }

    /// Keeps a copy. A failure is ignored: the next read then goes to the store.
    private func keep(_ bytes: [UInt8], of key: ObjectKey) {
        guard bytes.count <= mostBytes, bytes.withUnsafeBytes({ isWhole(key, $0) }) else { return }
        try? cache.replace(Self.cacheName(of: key)) { append in try bytes.withUnsafeBytes(append) }
    }

    public override func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        guard keeps(key) else { return try base.readAtOnce(key, upTo: limit) }
        if let copy = copy(of: key) { return copy.count <= limit ? copy : nil }
        let bytes = try base.readAtOnce(key, upTo: limit)
        if let bytes { keep(bytes, of: key) }
        return bytes
    }

    /// Reads the whole object, because its other parts are usually read soon after. Throws as `base` does.
    public override func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        guard keeps(key), let bytes = try readAtOnce(key, upTo: mostBytes), offset >= 0,
            offset <= bytes.count, buffer.count <= bytes.count - offset
        else { return try base.read(key, at: offset, into: buffer) }
        buffer.copyBytes(from: bytes[offset..<(offset + buffer.count)])
    }

    public override func delete(_ key: ObjectKey) throws(StoreError) {
        try base.delete(key)
        forget(key)
    }
    public override func delete(_ keys: [ObjectKey]) throws(StoreError) {
        try base.delete(keys)
        keys.forEach(forget)
    }
    public override func deleteDurably(_ key: ObjectKey) throws(StoreError) {
        try base.deleteDurably(key)
        forget(key)
    }

    /// Replaces a copy with an empty file, which counts as no copy, because a cache cannot remove files.
    private func forget(_ key: ObjectKey) {
        guard keeps(key), cache.map(Self.cacheName(of: key)) != nil else { return }
        try? cache.replace(Self.cacheName(of: key)) { _ in }
    }
}
