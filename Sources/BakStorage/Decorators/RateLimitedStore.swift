// RateLimitedStore: limits the bytes a second in each direction. At the limit, each transfer would take a certain time.
// The next transfer waits until that time has passed, and then runs at full speed. So the average rate stays within the
// limit, whatever the size of the objects.

import BakCore

/// Limits the bytes that are written and read in a second.
public final class RateLimitedStore: StoreDecorator, @unchecked Sendable {
    private let writing: RateLimit?
    private let reading: RateLimit?

    /// Makes a store in front of another one.
    ///
    /// - Parameters:
    ///   - writeBytesPerSecond: the limit for objects that are put or staged; nil for none.
    ///   - readBytesPerSecond: the limit for reads; nil for none.
    ///   - time: the clock.
    ///   - pause: waits for the given time.
    public init(
        _ base: any ObjectStore, writeBytesPerSecond: UInt64? = nil, readBytesPerSecond: UInt64? = nil,
        time: any TimeSource, pause: @escaping @Sendable (_ nanoseconds: UInt64) -> Void
    ) {
        writing = writeBytesPerSecond.map { RateLimit($0, time, pause) }
        reading = readBytesPerSecond.map { RateLimit($0, time, pause) }
        super.init(base)
    }

    public override func put(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        writing?.wait(for: bytes.count)
        return try base.put(key, bytes)
    }
    public override func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        writing?.wait(for: bytes.count)
        return try base.putUnsynced(key, bytes)
    }
    public override func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        writing?.wait(for: bytes.count)
        return try base.putFromReserve(key, bytes)
    }
    public override func stage(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, in batch: any StagedBatch
    ) throws(StoreError) {
        writing?.wait(for: bytes.count)
        try batch.stage(key, bytes)
    }
    public override func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        reading?.wait(for: buffer.count)
        try base.read(key, at: offset, into: buffer)
    }

    /// Counts the object's size after the read, because the size is not known before. The next read waits the longer.
    /// Throws as `base` does.
    public override func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        reading?.wait(for: 0)
        let bytes = try base.readAtOnce(key, upTo: limit)
        reading?.add(bytes?.count ?? 0)
        return bytes
    }

    public override func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws {
        reading?.wait(for: requests.reduce(0) { $0 + $1.byteCount })
        try base.read(requests, body)
    }
}

/// A schedule of the transfers in one direction.
private final class RateLimit: @unchecked Sendable {
    private let bytesPerSecond: UInt64
    private let time: any TimeSource
    private let pause: @Sendable (UInt64) -> Void
    private let monitor = Monitor()
    /// The monotonic time before which the next transfer must not begin.
    private var free: UInt64 = 0

    init(_ bytesPerSecond: UInt64, _ time: any TimeSource, _ pause: @escaping @Sendable (UInt64) -> Void) {
        precondition(bytesPerSecond > 0)
        (self.bytesPerSecond, self.time, self.pause) = (bytesPerSecond, time, pause)
    }

    /// Reserves time for `byteCount` bytes, and waits until that time begins.
    func wait(for byteCount: Int) {
        let now = time.monotonicNanoseconds()
        let start = add(byteCount, now)
        if start > now { pause(start - now) }
    }

    func add(_ byteCount: Int) { add(byteCount, time.monotonicNanoseconds()) }

    /// Reserves time for a transfer, and returns when that time begins.
    @discardableResult
    private func add(_ byteCount: Int, _ now: UInt64) -> UInt64 {
        let (high, low) = UInt64(byteCount).multipliedFullWidth(by: 1_000_000_000)
        let nanoseconds =
            high < bytesPerSecond ? bytesPerSecond.dividingFullWidth((high, low)).quotient : .max / 4
        return monitor.locked {
            let start = max(now, free)
            free = start &+ nanoseconds
            return start
        }
    }
}
