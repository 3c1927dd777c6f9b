// BlobCache: decoded blobs that several readers of a repository share.
//
// Always holds:
// - The content of each blob in the cache was verified when it was read.
// - The blobs in the cache and the blobs being read take at most `mostBytes` together. Only a single blob may take
//   more.
// - If several threads wait for the same blob, only one of them reads it.
// - If a read of a single blob fails, all threads that wait for the blob get the error. If a read of several blobs ends
//   without a blob, a thread that waits for this blob reads it again. Errors are not cached.

import BakCore
import BakFormat

/// The verified content of a blob.
public final class DecodedBlob: @unchecked Sendable {
    // The memory is written before any other thread has the object, and never again.
    private let memory: UnsafeMutableRawBufferPointer

    init(copying content: UnsafeRawBufferPointer) {
        memory = Memory.block(content.count)
        memory.copyMemory(from: content)
    }

    deinit { Memory.release(memory) }

    /// The content, which lives as long as the object.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

    /// Runs `body` with the content, which is valid until `body` returns.
    ///
    /// - Throws: what `body` throws.
    public func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        defer { withExtendedLifetime(self) {} }
        return try body(bytes)
    }
}

/// Decoded blobs of one repository. May be used from any thread.
public final class BlobCache: @unchecked Sendable {
    private struct Key: Hashable {
        var reference: BlobReference
        var kind: ObjectKind
    }

    /// A read in progress.
    private final class Load {
        /// The result; nil if a read of several blobs ended without this blob. One of the threads that wait for the
        /// blob then reads it.
        var result: Result<DecodedBlob, any Error>?
        var isDone = false
    }

    private enum Slot {
        case loading(Load)
        /// A blob in the cache with the time of its last use.
        case ready(DecodedBlob, usedAt: UInt64)
    }

    private let repository: Repository
    private let index: BlobIndex
    private let mostBytes: Int
    private let monitor = Monitor()
    private var slots: [Key: Slot] = [:]
    /// The uses of blobs in order of time. A use is skipped if its blob was used again later.
    private var uses: [(key: Key, time: UInt64)] = []
    private var firstUse = 0
    private var clock: UInt64 = 0
    private var readyBytes = 0
    private var loadingBytes = 0
    private var readers: [BlobReader] = []
    /// The memory that a blob takes beside its content.
    private static let overheadBytes = 256

    /// Makes an empty cache.
    ///
    /// - Parameter mostBytes: the limit for the blobs in the cache and those being read. Callers may still hold blobs
    ///   that the cache has dropped.
    public init(_ repository: Repository, _ index: BlobIndex, mostBytes: Int = 64 << 20) {
        (self.repository, self.index, self.mostBytes) = (repository, index, mostBytes)
    }

    /// The bytes of the blobs in the cache, with their overhead.
    var heldBytes: Int { monitor.locked { readyBytes } }

    /// True if a blob is in the cache or being read.
    public func has(_ reference: BlobReference, kind: ObjectKind) -> Bool {
        monitor.locked { slots[Key(reference: reference, kind: kind)] != nil }
    }

    /// Returns a blob from the cache, from a read in progress, or from a new read.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError`, as `BlobReader.read` does.
    public func blob(_ reference: BlobReference, kind: ObjectKind) throws -> DecodedBlob {
        let key = Key(reference: reference, kind: kind)
        monitor.lock()
        while let slot = slots[key] {
            switch slot {
            case .ready(let blob, _):
                note(key, blob)
                monitor.unlock()
                return blob
            case .loading(let load):
                while !load.isDone { monitor.wait() }
                guard let result = load.result else { continue }
                monitor.unlock()
                return try result.get()
            }
        }
        let load = Load()
        slots[key] = .loading(load)
        // Waiting here cannot deadlock: this thread has begun no other read that another thread could wait for.
        while loadingBytes > 0, loadingBytes + Self.cost(reference) > mostBytes { monitor.wait() }
        loadingBytes += Self.cost(reference)
        makeRoom()
        let reader = takeReader()
        monitor.unlock()
        let result = Result {
            try withExtendedLifetime(reader) {
                DecodedBlob(copying: try reader.read(reference, kind: kind, index: index))
            }
        }
        monitor.locked {
            readers.append(reader)
            end(load, key, result)
        }
        return try result.get()
    }

    /// Reads the blobs that are not in the cache. Blobs that lie close together are read in one request. If a blob
    /// would exceed the limit together with the reads in progress, the call reads neither this blob nor the following
    /// ones. If a blob cannot be read, a later call of `blob` throws the error.
    ///
    /// - Throws: `StoreError`.
    public func load(
        _ references: some Sequence<BlobReference>, kind: ObjectKind, planner: RangePlanner? = nil
    ) throws {
        var loads: [BlobReference: Load] = [:]
        let reader = monitor.locked {
            for reference in references {
                let key = Key(reference: reference, kind: kind)
                guard slots[key] == nil else { continue }
                let cost = Self.cost(reference)
                guard loadingBytes + cost <= mostBytes else { break }
                loadingBytes += cost
                let load = Load()
                (slots[key], loads[reference]) = (.loading(load), load)
            }
            makeRoom()
            return takeReader()
        }
        // If the store fails, some blobs are left unread. A thread that waits for such a blob then reads it.
        defer {
            monitor.locked {
                readers.append(reader)
                for (reference, load) in loads { end(load, Key(reference: reference, kind: kind), nil) }
            }
        }
        try reader.read(loads.keys, kind: kind, index: index, planner: planner) { reference, result in
            guard let load = loads.removeValue(forKey: reference) else { return }
            let decoded = try? result.map { DecodedBlob(copying: $0) }.get()
            monitor.locked { end(load, Key(reference: reference, kind: kind), decoded.map { .success($0) }) }
        }
    }

    private static func cost(_ reference: BlobReference) -> Int { Int(reference.length) + overheadBytes }

    // MARK: With the lock held

    private func end(_ load: Load, _ key: Key, _ result: Result<DecodedBlob, any Error>?) {
        loadingBytes -= Self.cost(key.reference)
        slots[key] = nil
        if case .success(let blob)? = result {
            readyBytes += Self.cost(key.reference)
            note(key, blob)
            makeRoom()
        }
        (load.result, load.isDone) = (result, true)
        monitor.signalAll()
    }

    private func takeReader() -> BlobReader { readers.popLast() ?? BlobReader(repository) }

    private func note(_ key: Key, _ blob: DecodedBlob) {
        clock += 1
        slots[key] = .ready(blob, usedAt: clock)
        uses.append((key, clock))
        // Outdated uses are removed when there are more of them than blobs.
        if uses.count > 64 + 2 * slots.count {
            uses = uses[firstUse...].filter { isLast($0) }
            firstUse = 0
        }
    }

    /// True if the blob is in the cache and this was its last use.
    private func isLast(_ use: (key: Key, time: UInt64)) -> Bool {
        if case .ready(_, usedAt: use.time)? = slots[use.key] { true } else { false }
    }

    /// Drops the blobs with the oldest last use.
    private func makeRoom() {
        while readyBytes + loadingBytes > mostBytes, firstUse < uses.count {
            let use = uses[firstUse]
            firstUse += 1
            guard isLast(use) else { continue }
            slots[use.key] = nil
            readyBytes -= Self.cost(use.key.reference)
        }
        if firstUse > 64, firstUse * 2 > uses.count {
            uses.removeFirst(firstUse)
            firstUse = 0
        }
    }
}
