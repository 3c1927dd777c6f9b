// FaultyStore: an object store that records its calls, and fails the calls that a test chooses.

import BakCore
import BakStorage
import Synchronization

/// Wraps a store. May be used from any thread.
public final class FaultyStore: ObjectStore {
    /// A recorded call.
    public struct Call: Sendable {
        /// The name of the call, such as "put".
        public var operation: String
        /// The key or folder; empty for publishing.
        public var object: String
        /// The part of the object that a read asks for; nil for any other call.
        public var range: Range<Int>?
        /// True if the call may change the store.
        public var isMutating: Bool { ["put", "stage", "publish", "delete"].contains(operation) }
    }

    /// A fixed name for messages.
    public let location = StoreLocation.address(scheme: "test", rest: "faulty")
    private let base: any ObjectStore
    private let recorded = Mutex<(calls: [Call], mutating: Int)>(([], 0))
    private let fault: @Sendable (_ number: Int, _ mutatingNumber: Int, Call) -> StoreError.Kind?

    /// Wraps `base`. Before each call, `fault` gets the call's number, its number among the mutating calls, and the
    /// call. It returns the kind of failure, or nil to let the call through.
    public init(
        _ base: any ObjectStore,
        fault: @escaping @Sendable (Int, Int, Call) -> StoreError.Kind? = { _, _, _ in nil }
    ) {
        self.base = base
        self.fault = fault
    }

    /// The calls so far.
    public var calls: [Call] { recorded.withLock { $0.calls } }

    private func note(
        _ operation: String, _ object: String, range: Range<Int>? = nil
    ) throws(StoreError) {
        let call = Call(operation: operation, object: object, range: range)
        let (number, mutating) = recorded.withLock { recorded in
            recorded.calls.append(call)
            if call.isMutating { recorded.mutating += 1 }
            return (recorded.calls.count, recorded.mutating)
        }
        guard let kind = fault(number, mutating, call) else { return }
        throw StoreError(kind: kind, operation: operation, object: object, message: "injected")
    }

    /// Records a put, and forwards it unless it is to fail.
    public func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        try note("put", key.description)
        return try base.put(key, bytes)
    }

    /// Makes a batch in the wrapped store. Its calls are recorded, too.
    public func makeBatch(of session: ID128?) -> any StagedBatch { Batch(self, base.makeBatch(of: session)) }

    private final class Batch: StagedBatch {
        private let store: FaultyStore
        private let base: any StagedBatch

        init(_ store: FaultyStore, _ base: any StagedBatch) { (self.store, self.base) = (store, base) }

        func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
            try store.note("stage", key.description)
            try base.stage(key, bytes)
        }

        func publish() throws(StoreError) {
            try store.note("publish", "")
            try base.publish()
        }

        func abandon() { base.abandon() }
    }

    /// Records a call for a size, and forwards it unless it is to fail.
    public func size(of key: ObjectKey) throws(StoreError) -> Int {
        try note("size", key.description)
        return try base.size(of: key)
    }

    /// Records a read, and forwards it unless it is to fail.
    public func read(_ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer)
        throws(StoreError)
    {
        try note("read", key.description, range: offset..<offset + buffer.count)
        try base.read(key, at: offset, into: buffer)
    }

    /// Records a listing, and forwards it unless it is to fail.
    public func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        try note("list", folder)
        return try base.list(folder)
    }

    /// Records a listing with each of its pages, and forwards it unless one of them is to fail.
    public func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        try note("list", folder)
        var failure: StoreError?
        try base.listAll(beneath: folder) { objects, others in
            guard failure == nil else { return }
            page(objects, others)
            // A real listing may fail between two pages, so each page counts as a call.
            do throws(StoreError) { try note("list", folder) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Records a deletion, and forwards it unless it is to fail.
    public func delete(_ key: ObjectKey) throws(StoreError) {
        try note("delete", key.description)
        try base.delete(key)
    }
}
