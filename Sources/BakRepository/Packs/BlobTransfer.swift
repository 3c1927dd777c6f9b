// BlobTransfer: brings blobs of one repository to packs of a session of another that has the same ids, as they are
// compressed. Every blob is decoded and named again on its way: what is stored is what the id says.
//
// Blobs are read in the order in which they lie, close ones in one call.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Copies blobs into a session. `copy` belongs to one thread, which starts the others.
public final class BlobTransfer {
    private let source: Repository
    private let index: BlobIndex
    private let session: BackupSession
    private let workers: [Worker]
    private let isCancelled: @Sendable () -> Bool
    private let onCopied: @Sendable (_ rawBytes: Int) -> Void

    /// So many bytes are read in one call, unless one blob is longer;
    private static let stretchBytes = 8 << 20
    /// what lies between two blobs is read along when it is no more than this.
    private static let gapBytes = 64 << 10

    /// What one thread uses.
    private final class Worker: @unchecked Sendable {
        let reader: BlobReader
        let writer: BlobWriter

        init(_ reader: BlobReader, _ writer: BlobWriter) { (self.reader, self.writer) = (reader, writer) }
    }

    private struct Item: Sendable {
        var blob: BlobReference
        var location: BlobLocation
    }

    /// What became of the threads' work.
    private final class Outcome: @unchecked Sendable {
        private let monitor = Monitor()
        private var first: (any Error)?

        var failure: (any Error)? { monitor.locked { first } }
        func fail(_ error: any Error) { monitor.locked { first = first ?? error } }
    }

    /// Prepares a transfer of chunks.
    ///
    /// - Parameters:
    ///   - index: the source's index.
    ///   - onCopied: told of each blob that was stored, from any thread.
    ///   - isCancelled: polled; when it turns true `copy` returns early.
    public init(
        from source: Repository, index: BlobIndex, to session: BackupSession, workerCount: Int,
        onCopied: @escaping @Sendable (_ rawBytes: Int) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        precondition(source.hasSameIDs(as: session.repository))
        self.source = source
        self.index = index
        self.session = session
        self.onCopied = onCopied
        self.isCancelled = isCancelled
        workers = (0..<max(1, workerCount)).map { _ in
            Worker(BlobReader(source), session.makeWriter(.chunkPack, compression: .off))
        }
    }

    /// Copies chunks that the session's repository does not have. When it returns all of them are in the session's
    /// packs, unless it was cancelled.
    ///
    /// Throws `MissingBlobError` and `CorruptionError` for a chunk that the source does not have whole, and
    /// `StoreError`. What was copied before stays in the session.
    public func copy(_ blobs: some Sequence<BlobReference>) throws {
        var items: [Item] = []
        for blob in blobs {
            guard let location = index.location(of: blob) else { throw MissingBlobError(id: blob.id) }
            items.append(Item(blob: blob, location: location))
        }
        items.sort { left, right in
            (left.location.pack, left.location.offset) < (right.location.pack, right.location.offset)
        }
        let stretches = Self.stretches(items)
        let queue = BoundedQueue<ArraySlice<Item>>(capacity: max(1, stretches.count))
        for stretch in stretches { queue.push(stretch) }
        queue.close()
        let outcome = Outcome()
        let threads = workers.map { worker in
            Thread { [onCopied, isCancelled] in
                while !isCancelled(), outcome.failure == nil, let stretch = queue.pop() {
                    do {
                        try Self.copy(stretch, worker, onCopied)
                    } catch { outcome.fail(error) }
                }
            }
        }
        for thread in threads { thread.join() }
        if let failure = outcome.failure { throw failure }
    }

    /// Items that are read together.
    private static func stretches(_ items: [Item]) -> [ArraySlice<Item>] {
        var stretches: [ArraySlice<Item>] = []
        var rest = items[...]
        while let first = rest.first {
            var end = first.location.endOffset
            let stretch = rest.prefix { item in
                let isNear =
                    item.location.pack == first.location.pack && Int(item.location.offset) <= end + gapBytes
                    && item.location.endOffset - Int(first.location.offset) <= stretchBytes
                guard item.location == first.location || isNear else { return false }
                end = max(end, item.location.endOffset)
                return true
            }
            stretches.append(stretch)
            rest = rest.dropFirst(stretch.count)
        }
        return stretches
    }

    private static func copy(
        _ stretch: ArraySlice<Item>, _ worker: Worker, _ onCopied: (Int) -> Void
    ) throws {
        guard let first = stretch.first else { return }
        let start = Int(first.location.offset)
        let end = stretch.reduce(start) { max($0, $1.location.endOffset) }
        let bytes = try worker.reader.readRange(of: first.location.pack, start..<end)
        for item in stretch {
            let form = try worker.reader.verify(
                item.blob, at: item.location, kind: .chunkPack, in: bytes, rangeOffset: start
            ).compressed
            if try worker.writer.store(item.blob, { form }) { onCopied(Int(item.blob.length)) }
        }
    }
}

extension Repository {
    /// Whether content has one id in both, so that a blob of one is a blob of the other.
    public func hasSameIDs(as other: Repository) -> Bool {
        config.secret == other.config.secret && config.idAlgorithm == other.config.idAlgorithm
    }
}
