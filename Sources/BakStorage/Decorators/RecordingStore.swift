// RecordingStore: logs the calls on a store and how they ended. Tests use it to assert counts, and a command can log
// what it does to a store.

import BakCore

/// Logs the calls on a store.
public final class RecordingStore: StoreDecorator, @unchecked Sendable {
    /// A call that has ended.
    public struct Call: Equatable, Sendable {
        /// The kind of call.
        public enum Operation: String, Sendable {
            case put, stage, publish, size, read, list, delete
        }
        /// The kind of call.
        public var operation: Operation
        /// The key or folder; the first key of several; empty for `publish`.
        public var object: String
        /// The number of objects or ranges in the call.
        public var count: Int
        /// The number of bytes to write or read; 0 if that is not known before the call.
        public var byteCount: Int
        /// The kind of failure; nil if the call succeeded.
        public var failure: StoreError.Kind?

        /// Makes an entry of the log.
        public init(operation: Operation, object: String, count: Int = 1, byteCount: Int = 0) {
            (self.operation, self.object, self.count, self.byteCount) = (operation, object, count, byteCount)
        }

        /// True if the call may change the store.
        public var isMutation: Bool { [.put, .stage, .publish, .delete].contains(operation) }
    }

    private let monitor = Monitor()
    private var log: [Call] = []

    /// All calls that have ended, in the order in which they ended.
    public var calls: [Call] { monitor.locked { log } }
    /// Forgets the calls so far.
    public func clear() { monitor.locked { log = [] } }

    private func note<R>(_ call: Call, _ body: () throws(StoreError) -> R) throws(StoreError) -> R {
        var call = call
        defer { monitor.locked { log.append(call) } }
        do throws(StoreError) {
            return try body()
        } catch {
            call.failure = error.kind
            throw error
        }
    }

    private func putting(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, _ body: () throws(StoreError) -> PutOutcome
    ) throws(StoreError) -> PutOutcome {
        try note(Call(operation: .put, object: key.description, byteCount: bytes.count), body)
    }

    public override func put(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        try putting(key, bytes) { () throws(StoreError) in try base.put(key, bytes) }
    }
    public override func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        try putting(key, bytes) { () throws(StoreError) in try base.putUnsynced(key, bytes) }
    }
    public override func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        try putting(key, bytes) { () throws(StoreError) in try base.putFromReserve(key, bytes) }
    }
    public override func stage(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, in batch: any StagedBatch
    ) throws(StoreError) {
        let call = Call(operation: .stage, object: key.description, byteCount: bytes.count)
        try note(call) { () throws(StoreError) in try batch.stage(key, bytes) }
    }
    public override func publish(_ batch: any StagedBatch) throws(StoreError) {
        try note(Call(operation: .publish, object: "")) { () throws(StoreError) in try batch.publish() }
    }
    public override func size(of key: ObjectKey) throws(StoreError) -> Int {
        try note(Call(operation: .size, object: key.description)) { () throws(StoreError) in
            try base.size(of: key)
        }
    }
    public override func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        let call = Call(operation: .read, object: key.description, byteCount: buffer.count)
        try note(call) { () throws(StoreError) in try base.read(key, at: offset, into: buffer) }
    }
    public override func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        try note(Call(operation: .read, object: key.description)) { () throws(StoreError) in
            try base.readAtOnce(key, upTo: limit)
        }
    }
    public override func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws {
        let byteCount = requests.reduce(0) { $0 + $1.byteCount }
        let first = requests.first?.key.description ?? ""
        defer {
            monitor.locked {
                log.append(
                    Call(operation: .read, object: first, count: requests.count, byteCount: byteCount))
            }
        }
        try base.read(requests, body)
    }
    public override func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        try note(Call(operation: .list, object: folder)) { () throws(StoreError) in try base.list(folder) }
    }
    public override func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) {
        try note(Call(operation: .list, object: folder)) { () throws(StoreError) in
            try base.listWithObstructions(folder)
        }
    }
    public override func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        try note(Call(operation: .list, object: folder)) { () throws(StoreError) in
            try base.listAll(beneath: folder, page)
        }
    }
    public override func delete(_ key: ObjectKey) throws(StoreError) {
        try note(Call(operation: .delete, object: key.description)) { () throws(StoreError) in
            try base.delete(key)
        }
    }
    public override func delete(_ keys: [ObjectKey]) throws(StoreError) {
        let call = Call(operation: .delete, object: keys.first?.description ?? "", count: keys.count)
        try note(call) { () throws(StoreError) in try base.delete(keys) }
    }
    public override func deleteDurably(_ key: ObjectKey) throws(StoreError) {
        try note(Call(operation: .delete, object: key.description)) { () throws(StoreError) in
            try base.deleteDurably(key)
        }
    }
}
