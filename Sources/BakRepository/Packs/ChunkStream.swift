// ChunkStream: reads the chunks of a file in order, for one thread that shares them with no other. The stream reads
// ahead, but it decodes a chunk only when the caller asks for it. So it decodes no chunk in vain, and the decoded bytes
// are still in the processor's cache when the caller uses them.

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

    /// Drops the bytes that were read ahead. Call it before using the stream for another file.
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
                // The damage may be in another part of the window, or the chunk may have another copy. So read it by
                // itself.
            }
        }
        // The next read overwrites the buffer that holds the window.
        window = nil
        return try reader.read(reference, kind: .chunkPack, index: index)
    }

    private func covers(_ location: BlobLocation) -> Bool {
        guard let window, window.pack == location.pack else { return false }
        return window.range.contains(Int(location.offset)) && location.endOffset <= window.range.upperBound
    }

    /// Reads as many of the chunks as one request covers into the window. Reads nothing if the request covers only the
    /// first chunk, because `chunk` reads a single chunk itself.
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
