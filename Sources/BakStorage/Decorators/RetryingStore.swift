// RetryingStore: repeats calls that failed with a `.transient` error. The longest pause doubles with each attempt, up
// to a bound. Each pause is partly random, so that many clients do not retry at the same moment. Every other failure is
// passed on at once.
//
// Repeating is safe. If a put succeeded but its reply was lost, the second put finds the same bytes and reports that.
// Objects never change. A second delete finds no object and succeeds.

import BakCore

/// How often a call is repeated, and how long the pauses are.
public struct RetryPolicy: Equatable, Sendable {
    /// The number of attempts in all, the first one included.
    public var attempts = 8
    /// The longest that the first pause may last, in milliseconds. This limit doubles with each further pause.
    public var firstPauseMs: UInt64 = 250
    /// The longest pause of all, in milliseconds, unless the store asks for a longer one.
    public var longestPauseMs: UInt64 = 30_000

    /// Makes the usual policy.
    public init() {}
}

/// Repeats calls that fail with a `.transient` error.
public final class RetryingStore: StoreDecorator, @unchecked Sendable {
    private let policy: RetryPolicy
    private let random: any RandomSource
    private let pause: @Sendable (_ milliseconds: UInt64) -> Bool

    /// Makes a store in front of another one.
    ///
    /// - Parameters:
    ///   - random: varies the pauses.
    ///   - pause: waits for the given time. It returns false if the program was told to stop meanwhile. The call then
    ///     throws `.cancelled`.
    public init(
        _ base: any ObjectStore, policy: RetryPolicy = RetryPolicy(), random: any RandomSource,
        pause: @escaping @Sendable (_ milliseconds: UInt64) -> Bool
    ) {
        (self.policy, self.random, self.pause) = (policy, random, pause)
        super.init(base)
    }

    private func repeating<R>(_ call: () throws(StoreError) -> R) throws(StoreError) -> R {
        var attempt = 1
        while true {
            do throws(StoreError) {
                return try call()
            } catch {
                guard case .transient(let asked) = error.kind, attempt < policy.attempts else { throw error }
                guard pause(max(asked ?? 0, pauseMs(after: attempt))) else {
                    throw StoreError(
                        kind: .cancelled, operation: error.operation, object: error.object,
                        message: error.message)
                }
                attempt += 1
            }
        }
    }

    /// Returns a random pause. It lasts at least half of the longest pause that is allowed after `attempt` attempts.
    private func pauseMs(after attempt: Int) -> UInt64 {
        var longest = policy.firstPauseMs
        for _ in 1..<attempt where longest < policy.longestPauseMs { longest *= 2 }
        longest = min(longest, policy.longestPauseMs)
        var chance: UInt32 = 0
        withUnsafeMutableBytes(of: &chance) { random.fill($0) }
        let half = longest / 2
        return longest - UInt64((Double(half) * Double(chance) / Double(UInt32.max)).rounded())
    }

    public override func put(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        try repeating { () throws(StoreError) in try base.put(key, bytes) }
    }
    public override func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        try repeating { () throws(StoreError) in try base.putUnsynced(key, bytes) }
    }
    public override func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        try repeating { () throws(StoreError) in try base.putFromReserve(key, bytes) }
    }
    public override func stage(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, in batch: any StagedBatch
    ) throws(StoreError) {
        try repeating { () throws(StoreError) in try batch.stage(key, bytes) }
    }
    public override func publish(_ batch: any StagedBatch) throws(StoreError) {
        try repeating { () throws(StoreError) in try batch.publish() }
    }
    public override func size(of key: ObjectKey) throws(StoreError) -> Int {
        try repeating { () throws(StoreError) in try base.size(of: key) }
    }
    public override func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        try repeating { () throws(StoreError) in try base.read(key, at: offset, into: buffer) }
    }
    public override func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        try repeating { () throws(StoreError) in try base.readAtOnce(key, upTo: limit) }
    }

    /// Reads all ranges, then reads those again that failed with a `.transient` error. Throws what `body` throws.
    public override func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws {
        var failed: [Int] = []
        try base.read(requests) { place, result in
            if case .failure(let error) = result, case .transient = error.kind {
                failed.append(place)
            } else {
                try body(place, result)
            }
        }
        for place in failed {
            let request = requests[place]
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(request.byteCount, 1), alignment: 16)
            defer { buffer.deallocate() }
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<request.byteCount])
            do throws(StoreError) {
                try read(request.key, at: request.offset, into: part)
            } catch {
                try body(place, .failure(error))
                continue
            }
            try body(place, .success(UnsafeRawBufferPointer(part)))
        }
    }

    public override func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        try repeating { () throws(StoreError) in try base.list(folder) }
    }
    public override func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) {
        try repeating { () throws(StoreError) in try base.listWithObstructions(folder) }
    }

    /// Starts the listing again if it breaks off, and leaves out the items that `page` has received already. Throws
    /// what `base` reports after the last attempt.
    public override func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        var (object, obstruction): (ObjectKey?, ObjectKey?)
        try repeating { () throws(StoreError) in
            try base.listAll(beneath: folder) { objects, obstructions in
                let new = objects.filter { info in object.map { $0 < info.key } ?? true }
                let others = obstructions.filter { found in obstruction.map { $0 < found.key } ?? true }
                object = new.last?.key ?? object
                obstruction = others.last?.key ?? obstruction
                if !new.isEmpty || !others.isEmpty { page(new, others) }
            }
        }
    }

    public override func delete(_ key: ObjectKey) throws(StoreError) {
        try repeating { () throws(StoreError) in try base.delete(key) }
    }
    public override func delete(_ keys: [ObjectKey]) throws(StoreError) {
        try repeating { () throws(StoreError) in try base.delete(keys) }
    }
    public override func deleteDurably(_ key: ObjectKey) throws(StoreError) {
        try repeating { () throws(StoreError) in try base.deleteDurably(key) }
    }
}
