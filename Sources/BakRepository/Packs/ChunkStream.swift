// ChunkStream: the chunks of a file for one reader that goes forward and shares them with no other. Bytes that are read
// ahead stay in their stored form until the reader reaches them. No chunk is copied or decoded in vain, and the bytes
// read last are in the processor's cache.

import BakCore
import BakFormat

/// Reads one chunk after another. Belongs to one thread.
final class ChunkStream {
    private let reader: BlobReader
    private let index: BlobIndex
    /// The range of a pack that was read ahead, in the reader's buffer.
    private var window: (pack: ID128, range: Range<Int>, bytes: UnsafeRawBufferPointer)?

    init(_ repository: Repository, _ index: BlobIndex) {
        reader = BlobReader(repository)
        self.index = index
    }

    /// Forgets what was read ahead. Call it before using the stream for another file.
    func reset() { window = nil }

    /// Returns a chunk, which is valid until the next call, and only while the stream is held.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`, as `BlobReader.read` does.
    ///
    /// - Parameter ahead: returns the chunk and the following chunks of the file that may be read with it.
    func chunk(_ reference: BlobReference, ahead: () -> [BlobReference]) throws -> UnsafeRawBufferPointer {
        if let location = index.location(of: reference) {
            do {
                if !covers(location) { try load(ahead()) }
                if let window, covers(location) {
                    return try reader.decode(
                        reference, at: location, kind: .chunkPack, in: window.bytes,
                        rangeOffset: window.range.lowerBound)
                }
            } catch is CorruptionError {
                // The chunk may be whole when it is read by itself, or have another copy.
            }
        }
        // The read overwrites the buffer that the window is in.
        window = nil
        return try reader.read(reference, kind: .chunkPack, index: index)
    }

    private func covers(_ location: BlobLocation) -> Bool {
        guard let window, window.pack == location.pack else { return false }
        return window.range.contains(Int(location.offset)) && location.endOffset <= window.range.upperBound
    }

    /// Reads as many of the chunks as one request covers, if that is more than the first.
    private func load(_ chunks: [BlobReference]) throws {
        window = nil
        var places: [BlobLocation] = []
        for chunk in chunks {
            guard let location = index.location(of: chunk) else { break }
            places.append(location)
        }
        var rest = places[...]
        guard let request = reader.planner.next(&rest, { $0 }), request.items.count > 1 else { return }
        window = (
            request.pack, request.range, try reader.readRange(of: request.pack, request.range)
        )
    }
}
