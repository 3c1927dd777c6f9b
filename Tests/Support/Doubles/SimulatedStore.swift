// SimulatedStore: an object store in memory that can fail and crash. A crash loses everything that is not durable.
//
// Readers see the live image; the durable image survives a crash. A staged object is in neither image until it is
// published. Until then it is a temporary of its session. A crash leaves temporaries, and a sweep may remove them.
// Publishing makes all objects of a batch durable, one by one, before any of them becomes visible. So a crash in
// between leaves durable objects to which nothing refers, as on a real medium.

import BakCore
import BakStorage

/// An object store for tests. May be used from any thread.
public final class SimulatedStore: ObjectStore, @unchecked Sendable {
    /// A call in the log.
    public struct Call: Equatable, Sendable {
        /// The kinds of calls.
        public enum Operation: String, Sendable { case put, stage, publish, size, read, list, delete }
        /// The kind of the call.
        public var operation: Operation
        /// The key or folder; empty for publishing as a whole.
        public var object: String

        /// Makes an entry of the log.
        public init(_ operation: Operation, _ object: String) {
            self.operation = operation
            self.object = object
        }
        /// True if the call may change the store.
        public var isMutation: Bool { [.put, .stage, .publish, .delete].contains(operation) }
    }

    /// A fault, and the call that it strikes. The first call after the fault is set has the number 1.
    public enum Fault: Sendable {
        /// The `call`-th call fails without effect. With `forGood`, all later calls fail, too.
        case fail(call: Int, kind: StoreError.Kind, forGood: Bool)
        /// One call in eight fails without effect.
        case failSometimes(SeededRandom, kind: StoreError.Kind)
        /// The mutation with this number succeeds. Then the machine stops, and every later call fails.
        case crash(afterMutation: Int)
    }

    /// The calls that the store refuses.
    public enum Mode: Sendable {
        /// Nothing.
        case normal
        /// Every mutation.
        case readOnly
        /// Deletions, and puts under taken names. Such a put throws instead of returning an outcome.
        case addOnly
    }

    /// A fixed name for messages.
    public let location = StoreLocation.address(scheme: "test", rest: "simulated")
    private let monitor = Monitor()
    private var live: [String: [UInt8]] = [:]
    private var durable: [String: [UInt8]] = [:]
    /// The session of each temporary, by the temporary's number. A program that stops leaves its temporaries here.
    private var temporaries: [Int: ID128?] = [:]
    private var lastTemporary = 0
    /// The number of times that the machine has stopped. A batch from before a stop belongs to a program that is gone,
    /// so abandoning the batch leaves its temporaries.
    private var crashes = 0
    private var log: [Call] = []
    private var fault: Fault?
    private var mode = Mode.normal
    private var callsSinceFault = 0
    private var mutationsSinceFault = 0
    private var hasCrashed = false
    private var failedSometimes = false
    private var isGuarding = true

    /// Makes an empty store.
    public init() {}

    /// Makes a store that holds `image`.
    public init(_ image: [String: [UInt8]]) {
        live = image
        durable = image
    }

    // MARK: What tests see and do

    /// Every call so far, in order. A publication has one entry for each object, and then one for the whole.
    public var calls: [Call] { monitor.locked { log } }
    /// Forgets the calls so far.
    public func clearCalls() { monitor.locked { log = [] } }
    /// The objects that would survive a crash now.
    public var durableImage: [String: [UInt8]] { monitor.locked { durable } }
    /// Sets the fault that strikes from now on; nil for none.
    public func setFault(_ fault: Fault?) {
        monitor.locked {
            (self.fault, callsSinceFault, mutationsSinceFault, hasCrashed) = (fault, 0, 0, false)
        }
    }
    /// Sets what the store refuses from now on.
    public func setMode(_ mode: Mode) { monitor.locked { self.mode = mode } }
    /// Sets whether the store claims to let only one of several simultaneous puts under one name succeed.
    public func setGuardsNames(_ guards: Bool) { monitor.locked { isGuarding = guards } }
    /// Claims that only one of several simultaneous puts under one name succeeds, unless a test has set otherwise.
    public var nameGuard: NameGuard { monitor.locked { isGuarding ? .always : .never } }
    /// True if the fault that was set has struck.
    public var hasFaultStruck: Bool {
        monitor.locked {
            switch fault {
            case nil: false
            case .fail(let call, _, _): callsSinceFault >= call
            case .crash: hasCrashed
            case .failSometimes: failedSometimes
            }
        }
    }
    /// Returns a store with the objects that are left if the machine stops now.
    public func afterCrash() -> SimulatedStore {
        let store = SimulatedStore(durableImage)
        (store.temporaries, store.lastTemporary) = monitor.locked { (temporaries, lastTemporary) }
        return store
    }
    /// How many temporaries there are.
    public var temporaryCount: Int { monitor.locked { temporaries.count } }
    /// An object's bytes; nil if it is not visible. Bytes that a test sets are durable.
    public subscript(key: String) -> [UInt8]? {
        get { monitor.locked { live[key] } }
        set {
            monitor.locked {
                live[key] = newValue
                durable[key] = newValue
            }
        }
    }
    /// The names of all visible objects, sorted.
    public var keys: [String] { monitor.locked { live.keys.sorted() } }

    // MARK: ObjectStore

    /// Stores a copy of the bytes unless the name is taken.
    public func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        try put(key, bytes, isSynced: true)
    }

    /// Stores a copy of the bytes unless the name is taken. A crash loses it.
    public func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try put(key, bytes, isSynced: false) }

    private func put(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, isSynced: Bool
    ) throws(StoreError) -> PutOutcome {
        let copy = Array(bytes)
        return try call(.put, key.description) { () throws(StoreError) in
            if let there = live[key.description] {
                if case .addOnly = mode { throw error(.alreadyExists, .put, key.description) }
                return there == copy ? .alreadyHasThese : .takenByOthers
            }
            live[key.description] = copy
            if isSynced { durable[key.description] = copy }
            return .created
        }
    }

    /// Makes an empty batch.
    public func makeBatch(of session: ID128?) -> any StagedBatch {
        Batch(self, session, monitor.locked { crashes })
    }

    /// Staged objects of one owner, guarded by the store's monitor.
    private final class Batch: StagedBatch, @unchecked Sendable {
        let store: SimulatedStore
        let session: ID128?
        let crashes: Int
        var staged: [(number: Int, key: ObjectKey, bytes: [UInt8])] = []

        init(_ store: SimulatedStore, _ session: ID128?, _ crashes: Int) {
            (self.store, self.session, self.crashes) = (store, session, crashes)
        }

        deinit { abandon() }

        func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
            try store.stage(key, Array(bytes), in: self)
        }
        func publish() throws(StoreError) { try store.publish(self) }
        func abandon() { store.monitor.locked { store.giveUp(&staged, of: crashes) } }
    }

    private func stage(_ key: ObjectKey, _ bytes: [UInt8], in batch: Batch) throws(StoreError) {
        try call(.stage, key.description) { () throws(StoreError) in
            lastTemporary += 1
            batch.staged.append((lastTemporary, key, bytes))
            temporaries[lastTemporary] = .some(batch.session)
        }
    }

    /// Removes the temporaries of staged objects that will not be published. If the machine has stopped since they were
    /// staged, leaves them. The caller must hold the lock.
    private func giveUp(_ staged: inout [(number: Int, key: ObjectKey, bytes: [UInt8])], of crashes: Int) {
        defer { staged = [] }
        guard crashes == self.crashes else { return }
        for (number, _, _) in staged { temporaries[number] = nil }
    }

    /// Removes the temporaries of sessions that are not living. Temporaries without a session count as too young to
    /// remove.
    public func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int {
        let listed = monitor.locked { temporaries }
        if listed.isEmpty { return 0 }
        let kept = try living()
        return monitor.locked {
            listed.count { number, session in
                guard let session, !kept.contains(session) else { return false }
                return temporaries.removeValue(forKey: number) != nil
            }
        }
    }

    private func publish(_ batch: Batch) throws(StoreError) {
        do throws(StoreError) {
            try publishAll(of: batch)
        } catch {
            if case .transient = error.kind { throw error }
            batch.abandon()
            throw error
        }
    }

    private func publishAll(of batch: Batch) throws(StoreError) {
        let objects = monitor.locked { batch.staged }
        for (number, key, bytes) in objects {
            try call(.publish, key.description) { () throws(StoreError) in
                guard temporaries[number] != nil else { throw error(.notFound, .publish, key.description) }
                guard live[key.description] == nil else {
                    throw error(.alreadyExists, .publish, key.description)
                }
                durable[key.description] = bytes
            }
        }
        try call(.publish, "") { () throws(StoreError) in
            for (number, key, bytes) in objects {
                live[key.description] = bytes
                temporaries[number] = nil
            }
            batch.staged = []
        }
    }

    /// Returns the object's size in bytes.
    public func size(of key: ObjectKey) throws(StoreError) -> Int {
        try call(.size, key.description) { () throws(StoreError) in
            guard let bytes = live[key.description] else { throw error(.notFound, .size, key.description) }
            return bytes.count
        }
    }

    /// Copies bytes of the object into `buffer`.
    public func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        try call(.read, key.description) { () throws(StoreError) in
            guard let bytes = live[key.description] else { throw error(.notFound, .read, key.description) }
            guard offset >= 0, offset <= bytes.count, buffer.count <= bytes.count - offset else {
                throw error(.shortRead(size: bytes.count), .read, key.description)
            }
            buffer.copyBytes(from: bytes[offset..<(offset + buffer.count)])
        }
    }

    /// Returns the objects directly in `folder`, sorted by key.
    public func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        try call(.list, folder) { () throws(StoreError) in
            let prefix = folder.isEmpty ? "" : folder + "/"
            return live.filter { $0.key.hasPrefix(prefix) && !$0.key.dropFirst(prefix.count).contains("/") }
                .map { ObjectInfo(key: ObjectKey($0.key), size: $0.value.count) }
                .sorted { $0.key < $1.key }
        }
    }

    /// Calls `page` once with all objects beneath `folder`, sorted by key.
    public func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        let found = try call(.list, folder) { () throws(StoreError) in
            live.filter { $0.key.hasPrefix(folder + "/") }
                .map { ObjectInfo(key: ObjectKey($0.key), size: $0.value.count) }.sorted { $0.key < $1.key }
        }
        if !found.isEmpty { page(found, []) }
    }

    /// Returns a whole object; nil if it is larger than `limit`.
    public func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        try call(.read, key.description) { () throws(StoreError) in
            guard let bytes = live[key.description] else { throw error(.notFound, .read, key.description) }
            return bytes.count <= limit ? bytes : nil
        }
    }

    /// Removes an object, durably.
    public func delete(_ key: ObjectKey) throws(StoreError) {
        try call(.delete, key.description) { () throws(StoreError) in
            if case .addOnly = mode { throw error(.readOnly, .delete, key.description) }
            live[key.description] = nil
            durable[key.description] = nil
        }
    }

    // MARK: Faults

    private func error(_ kind: StoreError.Kind, _ operation: Call.Operation, _ object: String) -> StoreError {
        StoreError(kind: kind, operation: operation.rawValue, object: object, message: "\(kind)")
    }

    /// Logs a call. Runs it under the lock unless a fault strikes.
    private func call<R>(
        _ operation: Call.Operation, _ object: String, _ body: () throws(StoreError) -> R
    ) throws(StoreError) -> R {
        try monitor.locked { () throws(StoreError) in
            let call = Call(operation, object)
            log.append(call)
            callsSinceFault += 1
            if hasCrashed { throw error(.lostData, operation, object) }
            if case .readOnly = mode, call.isMutation { throw error(.readOnly, operation, object) }
            if case .fail(let number, let kind, let forGood) = fault,
                callsSinceFault == number || (forGood && callsSinceFault > number)
            {
                throw error(kind, operation, object)
            }
            if case .failSometimes(let random, let kind) = fault, random.next() % 8 == 0 {
                failedSometimes = true
                throw error(kind, operation, object)
            }
            let result = try body()
            if call.isMutation {
                mutationsSinceFault += 1
                if case .crash(let after) = fault, mutationsSinceFault == after {
                    hasCrashed = true
                    crashes += 1
                }
            }
            return result
        }
    }
}
