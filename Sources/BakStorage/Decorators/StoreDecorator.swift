// StoreDecorator: a store in front of another one. It forwards every call; a subclass overrides the calls that it
// changes.

import BakCore

/// Forwards every call to `base`.
open class StoreDecorator: ObjectStore, @unchecked Sendable {
    /// The decorated store.
    public let base: any ObjectStore

    /// Makes a store in front of another one.
    public init(_ base: any ObjectStore) { self.base = base }

    /// Forwards to `base`.
    public var location: StoreLocation { base.location }
    open var traits: StoreTraits { base.traits }
    /// Forwards to `base`.
    public var nameGuard: NameGuard { base.nameGuard }
    /// Forwards to `base`.
    public var groupName: String { base.groupName }
    /// Forwards to `base`.
    public var place: String { base.place }
    /// Forwards to `base`.
    public var paths: Set<String> { base.paths }

    open func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        try base.put(key, bytes)
    }
    open func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try base.putUnsynced(key, bytes) }
    open func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try base.putFromReserve(key, bytes) }

    /// Makes a batch of `base`. Its calls go through this decorator's `stage` and `publish`.
    public func makeBatch(of session: ID128?) -> any StagedBatch {
        DecoratedBatch(self, base.makeBatch(of: session))
    }
    /// Stages an object in a batch of `base`. Throws what the batch reports.
    open func stage(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, in batch: any StagedBatch
    ) throws(StoreError) { try batch.stage(key, bytes) }
    /// Publishes a batch of `base`. Throws what the batch reports.
    open func publish(_ batch: any StagedBatch) throws(StoreError) { try batch.publish() }

    open func size(of key: ObjectKey) throws(StoreError) -> Int { try base.size(of: key) }
    open func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) { try base.read(key, at: offset, into: buffer) }
    open func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        try base.readAtOnce(key, upTo: limit)
    }
    open func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws { try base.read(requests, body) }
    open func list(_ folder: String) throws(StoreError) -> [ObjectInfo] { try base.list(folder) }
    open func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) {
        try base.listWithObstructions(folder)
    }
    open func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) { try base.listAll(beneath: folder, page) }
    open func delete(_ key: ObjectKey) throws(StoreError) { try base.delete(key) }
    open func delete(_ keys: [ObjectKey]) throws(StoreError) { try base.delete(keys) }
    open func deleteDurably(_ key: ObjectKey) throws(StoreError) { try base.deleteDurably(key) }
    /// Forwards to `base`.
    public func renewReserve() { base.renewReserve() }
    /// Forwards to `base`.
    public func begin(_ session: ID128) { base.begin(session) }
    open func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int {
        try base.removeLeavings(living: living)
    }
    /// Forwards to `base`. Throws as `base` does.
    public func expectFolders(_ folders: [String]) throws(StoreError) { try base.expectFolders(folders) }
    /// Forwards to `base`.
    public func breakLocks() { base.breakLocks() }
}

/// A batch of a decorator's base. It sends its calls through the decorator.
private final class DecoratedBatch: StagedBatch {
    private let store: StoreDecorator
    private let base: any StagedBatch

    init(_ store: StoreDecorator, _ base: any StagedBatch) { (self.store, self.base) = (store, base) }

    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try store.stage(key, bytes, in: base)
    }
    func publish() throws(StoreError) { try store.publish(base) }
    func abandon() { base.abandon() }
}
