// ForwardingStore: a store that forwards every call to another one. A test makes a subclass and overrides some calls.

import BakCore
import BakStorage

/// Forwards to `base`.
open class ForwardingStore: ObjectStore, @unchecked Sendable {
    /// The store that gets the calls.
    public let base: SimulatedStore
    /// The location of `base`.
    public var location: StoreLocation { base.location }
    /// The name guard of `base`.
    public var nameGuard: NameGuard { base.nameGuard }
    open var traits: StoreTraits { base.traits }
    open var place: String { base.place }
    open var paths: Set<String> { base.paths }

    /// Makes a store in front of `base`.
    public init(_ base: SimulatedStore) { self.base = base }

    open func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        try base.put(key, bytes)
    }
    /// Makes a batch in `base` whose calls pass through this store.
    public func makeBatch(of session: ID128?) -> any StagedBatch {
        ForwardingBatch(self, base.makeBatch(of: session))
    }
    /// Stages an object in a batch of `base`.
    open func stage(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, in batch: any StagedBatch
    ) throws(StoreError) { try batch.stage(key, bytes) }
    /// Publishes a batch of `base`.
    open func publish(_ batch: any StagedBatch) throws(StoreError) { try batch.publish() }
    open func size(of key: ObjectKey) throws(StoreError) -> Int { try base.size(of: key) }
    open func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) { try base.read(key, at: offset, into: buffer) }
    open func list(_ folder: String) throws(StoreError) -> [ObjectInfo] { try base.list(folder) }
    open func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) {
        // The objects come from `list`, so that a subclass that overrides `list` changes this listing, too.
        (try list(folder), try base.listWithObstructions(folder).obstructions)
    }
    open func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) { try base.listAll(beneath: folder, page) }
    open func delete(_ key: ObjectKey) throws(StoreError) { try base.delete(key) }
    open func delete(_ keys: [ObjectKey]) throws(StoreError) {
        for key in keys { try delete(key) }
    }
    open func begin(_ session: ID128) { base.begin(session) }
    open func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int {
        try base.removeLeavings(living: living)
    }
}

/// A batch that passes its calls to the `stage` and `publish` of its store, so that a subclass may change them.
private final class ForwardingBatch: StagedBatch {
    private let store: ForwardingStore
    private let base: any StagedBatch

    init(_ store: ForwardingStore, _ base: any StagedBatch) { (self.store, self.base) = (store, base) }

    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try store.stage(key, bytes, in: base)
    }
    func publish() throws(StoreError) { try store.publish(base) }
    func abandon() { base.abandon() }
}
