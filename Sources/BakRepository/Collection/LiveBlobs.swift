// LiveBlobs: one bit for each blob of an index. The bit says whether a snapshot refers to the blob. The memory is an
// eighth of a byte for each blob of the repository, and a few dozen bytes for each distinct manifest segment.

import BakCore
import BakFormat

/// The blobs to which snapshots refer, by their positions in a sorted index.
struct LiveBlobs {
    private var words: [UInt64]
    /// The number of blobs in the set.
    private(set) var count = 0

    /// Makes an empty set for an index with this many entries.
    init(entries: Int) { words = Array(repeating: 0, count: (entries + 63) / 64) }

    /// True if the blob at this position is in the set.
    func contains(_ position: Int) -> Bool { words[position / 64] >> UInt64(position % 64) & 1 == 1 }

    /// Adds the blob at this position.
    mutating func insert(_ position: Int) {
        let bit: UInt64 = 1 << UInt64(position % 64)
        if words[position / 64] & bit == 0 { count += 1 }
        words[position / 64] |= bit
    }

    /// Makes the set of all blobs to which the snapshots with these roots refer. Throws `MissingBlobError` if the index
    /// lacks one of these blobs, and the errors of reading manifests, because a program must not delete anything unless
    /// it knows all references.
    init(
        _ roots: [BlobReference], _ repository: Repository, _ index: BlobIndex, _ sorted: SortedIndex,
        workerCount: Int, onProgress: (_ done: Int, _ total: Int) throws -> Void
    ) throws {
        self.init(entries: sorted.count)
        let readers = (0..<repository.store.readerCount(atLeast: workerCount)).map { _ in
            SegmentReader(repository, index)
        }
        var catalog = SegmentCatalog()
        var seen: Set<BlobReference> = []
        for root in roots where seen.insert(root).inserted {
            try onProgress(0, 0)
            try mark(root.id, sorted)
            catalog.note(try readers[0].root(root), of: seen.count)
        }
        var done = 0
        var lastChunks: [ID128] = []
        try ReferenceCache(repository.cache, repository: repository.config.id).forEach(
            catalog.inReadingOrder(index),
            scan: { try SegmentReader.chunks(of: $0, readers) },
            body: { chunks in
                try mark(chunks, after: &lastChunks, sorted)
                done += 1
                try onProgress(min(done, catalog.segments.count), catalog.segments.count)
            })
        for segment in catalog.segments { try mark(segment.reference.blob.id, sorted) }
    }

    /// Adds those blobs of a forgotten snapshot that the index still has. A prune may have deleted the other blobs of
    /// the snapshot.
    mutating func insertWhatIsThere(
        of root: BlobReference, _ repository: Repository, _ index: BlobIndex, _ sorted: SortedIndex
    ) throws {
        guard let position = sorted.position(of: root.id) else { return }
        insert(position)
        let reader = SegmentReader(repository, index)
        for segment in try reader.root(root).segments {
            guard let position = sorted.position(of: segment.blob.id) else { continue }
            insert(position)
            try reader.forEachChunk(of: segment) { chunk in
                if let position = sorted.position(of: chunk.id) { insert(position) }
            }
        }
    }

    /// Adds the sorted chunks of a segment, except those that the previous segment had and that are therefore in the
    /// set. A segment is often a version of the previous one, and comparing two lists is far less work than looking up
    /// all chunks.
    private mutating func mark(
        _ chunks: UnsafeRawBufferPointer, after last: inout [ID128], _ sorted: SortedIndex
    ) throws {
        var ids: [ID128] = []
        ids.reserveCapacity(chunks.count / ID128.byteCount)
        var place = 0
        for offset in stride(from: 0, to: chunks.count, by: ID128.byteCount) {
            let id = ID128(loading: chunks.baseAddress! + offset)
            while place < last.count, last[place] < id { place += 1 }
            if place == last.count || last[place] != id { try mark(id, sorted) }
            ids.append(id)
        }
        last = ids
    }

    private mutating func mark(_ id: ID128, _ sorted: SortedIndex) throws {
        guard let position = sorted.position(of: id) else {
            try sorted.expectIntact()
            throw MissingBlobError(id: id)
        }
        insert(position)
    }
}
