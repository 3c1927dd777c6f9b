// ChunkStream: the chunks of a file for one reader that goes forward and shares them with no other. What is read ahead
// stays as it is stored until it is come to: it is neither copied nor decoded in vain, and what was read last is in the
// processor's cache.

import BakCore
import BakFormat

/// Reads chunks one after the other. For one thread.
final class ChunkStream {
    private let reader: BlobReader
    private let index: BlobIndex
    /// What has been read ahead: a range of a pack, in the reader's buffer.
    private var window: (pack: ID128, range: Range<Int>, bytes: UnsafeRawBufferPointer)?

    init(_ repository: Repository, _ index: BlobIndex) {
        reader = BlobReader(repository)
        self.index = index
    }

    /// Forgets what was read ahead, before the stream is used for another file.
    func reset() { window = nil }

    /// A chunk, valid until the next call and while the stream is held.
    ///
    /// Throws `MissingBlobError`, `CorruptionError` or `StoreError`, as `BlobReader.read` does.
    ///
    /// - Parameter ahead: asked for the chunk and those that follow it in the file, as far as they are to be read with
    ///   it.
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
                // Read by itself it may be whole, or have another copy.
            }
        }
        // This uses the buffer that the window is in.
        window = nil
        return try reader.read(reference, kind: .chunkPack, index: index)
    }

    private func covers(_ location: BlobLocation) -> Bool {
        guard let window, window.pack == location.pack else { return false }
        return window.range.contains(Int(location.offset)) && location.endOffset <= window.range.upperBound
    }

    /// Reads what one request has of some chunks, if that is more than the first.
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
