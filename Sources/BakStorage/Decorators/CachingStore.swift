// CachingStore: keeps objects that are read again and again, such as index segments and manifests, on this machine.
//
// Always holds: a copy is never believed. `isWhole` must recognise a whole object from its bytes; what it does not
// recognise is read from the store. Only the store says which objects there are: a reader has listed what it reads.

import BakCore

/// Keeps a copy of some objects in a cache of this machine.
public final class CachingStore: StoreDecorator, @unchecked Sendable {
    private let cache: any LocalCache
    private let keeps: @Sendable (ObjectKey) -> Bool
    private let isWhole: @Sendable (ObjectKey, UnsafeRawBufferPointer) -> Bool
    private let mostBytes: Int

    /// Makes a store in front of another one.
    ///
    /// - Parameters:
    ///   - cache: where the copies are.
    ///   - keeps: whether an object is worth a copy.
    ///   - mostBytes: no larger object is kept.
    ///   - isWhole: whether these are the bytes of an object, as its checksums say.
    public init(
        _ base: any ObjectStore, in cache: any LocalCache,
        keeping keeps: @escaping @Sendable (ObjectKey) -> Bool,
        upTo mostBytes: Int = 32 << 20,
        isWhole: @escaping @Sendable (ObjectKey, UnsafeRawBufferPointer) -> Bool
    ) {
        (self.cache, self.keeps, self.mostBytes, self.isWhole) = (cache, keeps, mostBytes, isWhole)
        super.init(base)
    }

    /// The name that an object's copy has in the cache. No key has a plus sign.
    public static func cacheName(of key: ObjectKey) -> String {
        "object+" + key.description.split(separator: "/").joined(separator: "+")
    }

    private func copy(of key: ObjectKey) -> [UInt8]? {
        guard let bytes = cache.read(Self.cacheName(of: key)), !bytes.isEmpty else { return nil }
        return bytes.withUnsafeBytes { isWhole(key, $0) } ? bytes : nil
    }

    /// Keeps a copy; one that cannot be kept only costs what it would have spared.
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

    /// The whole object is read for a part of it, since others of its parts are read soon. Throws as `base` does.
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

    /// Leaves nothing of a copy.
    private func forget(_ key: ObjectKey) {
        guard keeps(key), cache.map(Self.cacheName(of: key)) != nil else { return }
        try? cache.replace(Self.cacheName(of: key)) { _ in }
    }
}
