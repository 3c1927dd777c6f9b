// BlobTransfer: copies blobs from a repository into the packs of a session, which may write to another repository. Both
// repositories must give equal content the same id. The transfer decodes each blob to verify its id, but stores the
// compressed bytes as they were.
//
// The transfer reads blobs in the order of their locations. It reads blobs that lie close together in one request.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Copies blobs into a session. Only one thread may call `copy`, which starts threads of its own.
public final class BlobTransfer {
    private let source: Repository
    private let index: BlobIndex
    private let session: BackupSession
    private let workers: [Worker]
    private let stop: StopSignal
    private let onCopied: @Sendable (_ rawBytes: Int) -> Void

    /// The reader and writer of one thread.
    private final class Worker: @unchecked Sendable {
        let reader: BlobReader
        let writer: BlobWriter

        init(_ reader: BlobReader, _ writer: BlobWriter) { (self.reader, self.writer) = (reader, writer) }
    }

    private struct Item: Sendable {
        var blob: BlobReference
        var location: BlobLocation
    }

    /// The first failure of the threads.
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
    ///   - onCopied: called for each blob that was stored, from any thread.
    ///   - stop: makes `copy` return early when it is requested.
    public init(
        from source: Repository, index: BlobIndex, to session: BackupSession, workerCount: Int,
        onCopied: @escaping @Sendable (_ rawBytes: Int) -> Void = { _ in },
        stop: StopSignal = .never
    ) {
        precondition(source.hasSameIDs(as: session.repository))
        self.source = source
        self.index = index
        self.session = session
        self.onCopied = onCopied
        self.stop = stop
        workers = (0..<source.store.readerCount(atLeast: workerCount)).map { _ in
            Worker(BlobReader(source), session.makeWriter(.chunkPack, compression: .off))
        }
    }

    /// Copies the chunks among `blobs` that the session's repository does not have. When the call returns, all of these
    /// chunks are in the session's packs, unless `stop` ended the call early. If it throws, the chunks that were copied
    /// before stay in the session.
    ///
    /// - Throws: `MissingBlobError` or `CorruptionError` if a chunk is missing or damaged in the source, and
    ///   `StoreError`.
    public func copy(_ blobs: some Sequence<BlobReference>) throws {
        var items: [Item] = []
        for blob in blobs {
            guard let location = index.location(of: blob) else { throw MissingBlobError(id: blob.id) }
            items.append(Item(blob: blob, location: location))
        }
        items.sort { left, right in
            (left.location.pack, left.location.offset) < (right.location.pack, right.location.offset)
        }
        let requests = RangePlanner(for: source.store).requests(for: items, \.location)
        let queue = BoundedQueue<PackRequest<Item>>(capacity: max(1, requests.count))
        for request in requests { queue.push(request) }
        queue.close()
        let outcome = Outcome()
        let threads = workers.map { worker in
            Thread { [onCopied, stop] in
                while !stop.isRequested, outcome.failure == nil, let request = queue.pop() {
                    do {
                        try Self.copy(request, worker, onCopied)
                    } catch { outcome.fail(error) }
                }
            }
        }
        for thread in threads { thread.join() }
        if let failure = outcome.failure { throw failure }
    }

    private static func copy(
        _ request: PackRequest<Item>, _ worker: Worker, _ onCopied: (Int) -> Void
    ) throws {
        let bytes = try worker.reader.readRange(of: request.pack, request.range)
        for item in request.items {
            let form = try worker.reader.verify(
                item.blob, at: item.location, kind: .chunkPack, in: bytes,
                rangeOffset: request.range.lowerBound
            ).compressed
            if try worker.writer.store(item.blob, { form }) { onCopied(Int(item.blob.length)) }
        }
    }
}

extension Repository {
    /// True if equal content has the same id in both repositories, so that a blob can be copied from one to the other
    /// under the same id.
    public func hasSameIDs(as other: Repository) -> Bool {
        config.secret == other.config.secret && config.idAlgorithm == other.config.idAlgorithm
    }
}
