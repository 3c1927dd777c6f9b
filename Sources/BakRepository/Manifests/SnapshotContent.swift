// SnapshotContent: the bytes of one file of a snapshot, from any offset on. A file may have more extents than fit into
// memory, so only the extents of one manifest segment are held at a time.
//
// Always holds: every returned byte is verified and is at the offset at which the list of extents puts it. If the
// extents do not add up to the file's size, a read throws as soon as it notices that. The list is read only as far as
// the requested bytes need it.

import BakCore
import BakFormat

/// The places of the extents found so far.
private struct ExtentPlaces {
    /// The segments that hold some of the extents, each with the offset in the file at which its extents begin.
    private(set) var parts: [(segment: Int, start: UInt64)] = []
    /// The total length of the extents in bytes, and their number.
    private(set) var bytes: UInt64 = 0
    private(set) var count = 0
    private(set) var hasHole = false

    /// Adds the extents of a segment.
    mutating func add(_ extents: [Extent], segment: Int) {
        guard !extents.isEmpty else { return }
        parts.append((segment, bytes))
        for extent in extents {
            bytes.add(extent.length)
            if case .hole = extent { hasHole = true }
        }
        count += extents.count
    }

    /// Returns the segment with the extent that holds the byte at `offset`; nil at the end.
    func part(of offset: UInt64) -> (segment: Int, start: UInt64)? {
        guard offset < bytes else { return nil }
        var (low, high) = (0, parts.count)
        while low < high {
            let middle = (low + high) / 2
            if parts[middle].start <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? parts[low - 1] : nil
    }
}

/// A file's content. Belongs to one thread.
public final class SnapshotContent {
    /// The file's entry in the snapshot, with the extents that are in the entry's own segment.
    public let entry: ManifestEntry
    private let view: SnapshotView
    private var places = ExtentPlaces()
    /// The last segment whose extents have been found, and whether the list ends there.
    private var lastSegment: Int
    private var isComplete: Bool
    /// The extents of one segment, the offset of each in the file, and the end of the last.
    private var extents: [Extent] = []
    private var starts: [UInt64] = []
    private var end: UInt64 = 0
    /// The chunk that was read last, with its offset in the file. If the chunk came from the cache, `blob` keeps the
    /// bytes alive.
    private var current: (start: UInt64, bytes: UnsafeRawBufferPointer, blob: DecodedBlob?)?
    /// Reads chunks if the view has no cache.
    private var stream: ChunkStream?
    private var readAhead = ReadAhead()

    /// Prepares the content of the file whose entry is in segment number `segment` of the snapshot's manifest.
    init(_ entry: ManifestEntry, in segment: Int, of view: SnapshotView) {
        (self.entry, self.view, lastSegment) = (entry, view, segment)
        guard case .extents(let first) = entry.content else {
            isComplete = true
            return
        }
        isComplete = false
        places.add(first, segment: segment)
    }

    deinit { if let stream { view.giveBack(stream) } }

    // MARK: The list of extents

    /// The total length of the extents found so far, in bytes; 0 for inline content.
    public var foundBytes: UInt64 { places.bytes }
    /// The number of extents found so far.
    public var foundExtents: Int { places.count }
    /// True if one of them is a hole.
    public var hasHole: Bool { places.hasHole }

    /// Finds all extents. Stops early if there are more than the file's size or the format allows.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError` if the list cannot be read to its end.
    public func findAll() throws {
        while foundBytes <= entry.stat.size, foundExtents <= FormatLimits.extentsPerFile, try findMore() {}
    }

    /// Finds the extents in the next segment. Returns false if there are no more.
    private func findMore() throws -> Bool {
        guard !isComplete else { return false }
        let last = try view.segment(lastSegment)
        guard last.mayContinue(entry.path) else {
            isComplete = true
            return false
        }
        // The damaged part of the segment may hold extents of this file, so the list would have a gap.
        if let fault = last.fault { throw fault }
        let next = lastSegment + 1
        guard next < view.root.segments.count, view.root.segments[next].firstPath == entry.path else {
            isComplete = true
            return false
        }
        let segment = try view.segment(next)
        if let fault = segment.fault, segment.leadingExtents.isEmpty { throw fault }
        places.add(segment.leadingExtents, segment: next)
        lastSegment = next
        return true
    }

    private func expectPossible() throws(CorruptionError) {
        guard foundExtents <= FormatLimits.extentsPerFile else {
            throw CorruptionError(
                object: SegmentReader.name(view.root.segments[lastSegment].blob), offset: 0,
                reason: "a file of over \(FormatLimits.extentsPerFile) extents")
        }
    }

    private var wrongLength: CorruptionError {
        CorruptionError(
            object: "snapshots/\(view.snapshot.id)", offset: 0,
            reason: "the chunks of /\(String(decoding: entry.path, as: UTF8.self)) do not add up to its size")
    }

    /// Returns the position in `extents` of the extent that holds the byte at `offset`; nil at the end.
    private func place(of offset: UInt64) throws -> Int? {
        while offset >= places.bytes, places.bytes <= entry.stat.size, try findMore() { try expectPossible() }
        if starts.isEmpty || offset < starts[0] || offset >= end {
            guard let part = places.part(of: offset) else { return nil }
            extents = try view.segment(part.segment).extents(of: entry.path)
            starts.removeAll(keepingCapacity: true)
            end = part.start
            for extent in extents {
                starts.append(end)
                end.add(extent.length)
            }
        }
        var (low, high) = (0, starts.count)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 && offset < end ? low - 1 : nil
    }

    // MARK: Reading

    /// Fills `buffer` with the file's bytes from `offset` on; a hole reads as zeros. Returns the number of bytes. This
    /// number is smaller than the buffer at the end of the file, and before a part that cannot be read. In the second
    /// case, the next call throws the error.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError`.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
        if case .inline(let content) = entry.content {
            let rest = content.dropFirst(Int(min(offset, UInt64(content.count)))).prefix(buffer.count)
            buffer.copyBytes(from: rest)
            return rest.count
        }
        var filled = 0
        while filled < buffer.count, offset <= entry.stat.size {
            let left = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            do {
                let count = try readPart(into: left, at: offset + UInt64(filled))
                if count == 0 { break }
                filled += count
            } catch {
                if filled == 0 { throw error }
                break
            }
        }
        return filled
    }

    /// Reads from one extent.
    private func readPart(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
        guard let place = try place(of: offset) else {
            if places.bytes != entry.stat.size { throw wrongLength }
            return 0
        }
        let start = starts[place]
        let (sum, overflow) = start.addingReportingOverflow(extents[place].length)
        guard !overflow, sum <= entry.stat.size else { throw wrongLength }
        let within = offset - start
        switch extents[place] {
        case .hole(let length):
            let count = Int(min(length - within, UInt64(buffer.count)))
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]).initializeMemory(
                as: UInt8.self, repeating: 0)
            return count
        case .chunk(let reference):
            let piece = try chunk(reference, at: place)[Int(within)...].prefix(buffer.count)
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: piece))
            return piece.count
        }
    }

    /// Returns the bytes of a chunk, valid until the next call. If the file is read from beginning to end, the same
    /// request also reads the following chunks.
    private func chunk(_ reference: BlobReference, at place: Int) throws -> UnsafeRawBufferPointer {
        let start = starts[place]
        if let current, current.start == start { return current.bytes }
        current = nil
        let wanted = readAhead.bytes(reading: start..<(start + UInt64(reference.length)))
        func ahead() -> [BlobReference] {
            var chunks: [BlobReference] = []
            for next in place..<extents.count where starts[next] - start < wanted {
                if case .chunk(let chunk) = extents[next] { chunks.append(chunk) }
                if chunks.count == Self.mostAhead { break }
            }
            return chunks
        }
        guard let cache = view.cache else {
            let stream = stream ?? view.takeStream()
            self.stream = stream
            let bytes = try stream.chunk(reference, ahead: ahead)
            current = (start, bytes, nil)
            return bytes
        }
        if wanted > UInt64(reference.length), !cache.has(reference, kind: .chunkPack) {
            // If one of these chunks cannot be read, the error is thrown when that chunk is needed.
            _ = try? cache.load(ahead(), kind: .chunkPack)
        }
        let blob = try cache.blob(reference, kind: .chunkPack)
        current = (start, blob.bytes, blob)
        return blob.bytes
    }

    /// The most chunks to read ahead.
    private static let mostAhead = 4096

    /// Returns the next range of the file that holds chunks; nil if there are only holes from `offset` on.
    ///
    /// - Throws: the same errors as `read`.
    public func nextData(from offset: UInt64, size: UInt64) throws -> Range<UInt64>? {
        var (data, next): (UInt64?, UInt64) = (nil, offset)
        while let first = try place(of: next) {
            for place in first..<extents.count {
                if case .chunk = extents[place] {
                    data = data ?? max(offset, starts[place])
                } else if let data {
                    return data..<min(starts[place], size)
                }
            }
            next = end
        }
        return data.map { $0..<min(next, size) }
    }
}
