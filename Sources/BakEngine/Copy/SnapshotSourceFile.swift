// SnapshotSourceFile: a file of a snapshot, read through its chunks. A file may have more extents than fit into memory: those
// that one segment of the manifest has are there at a time.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// A manifest segment as values. Holes that follow each other are one.
struct DecodedSegment: Sendable {
    /// Sorted by path, with the extents of further records in this segment.
    private(set) var entries: [ManifestEntry] = []
    /// Extents of a file of the segment before.
    private(set) var leadingExtents: [Extent] = []
    /// The length of all paths together.
    private(set) var pathBytes = 0
    /// How many extents all files have together.
    private(set) var extentCount = 0

    init(_ bytes: UnsafeRawBufferPointer, object: String) throws {
        let decoder = try ManifestSegmentDecoder(bytes, object: object)
        // Those of the file that the decoder is at.
        var extents: [Extent] = []
        while let kind = try decoder.advance() {
            if kind == .entry {
                close(extents)
                extents = []
                var entry = try decoder.entry()
                pathBytes += entry.path.count
                // Its own are taken below.
                if decoder.fields.hasExtents { entry.content = .extents([]) }
                entries.append(entry)
                guard decoder.fields.hasExtents else { continue }
            }
            _ = try decoder.allExtents {
                extents.append(mergingHoles: $0)
                return true
            }
        }
        close(extents)
    }

    private mutating func close(_ extents: [Extent]) {
        extentCount += extents.count
        guard let last = entries.indices.last else { return leadingExtents = extents }
        if case .extents = entries[last].content { entries[last].content = .extents(extents) }
    }

    func entry(_ path: [UInt8]) -> ManifestEntry? {
        let place = PathOrder.firstIndex(of: entries.count, notBefore: path) { entries[$0].path }
        return place < entries.count && entries[place].path == path ? entries[place] : nil
    }

    func isLast(_ path: [UInt8]) -> Bool { entries.last?.path == path }

    /// What the segment has of a file, whose entry is in it or in one before.
    func extents(of path: [UInt8]) -> [Extent] {
        guard let entry = entry(path) else { return leadingExtents }
        guard case .extents(let extents) = entry.content else { return [] }
        return extents
    }
}

extension [Extent] {
    /// Appends an extent. A hole after a hole makes that one longer.
    mutating func append(mergingHoles extent: Extent) {
        guard case .hole(let more) = extent, case .hole(var length)? = last else { return append(extent) }
        length.add(more)
        self[count - 1] = .hole(length)
    }
}

/// Where the extents of a file are.
struct ExtentPlaces: Sendable {
    /// The segments that have some, each with the place in the file where these begin.
    private(set) var parts: [(segment: Int, start: UInt64)] = []
    /// Their length together, in bytes, and how many there are.
    private(set) var bytes: UInt64 = 0
    private(set) var count = 0
    private(set) var hasHole = false

    /// Adds what a segment has.
    mutating func add(_ extents: [Extent], segment: Int) {
        guard !extents.isEmpty else { return }
        parts.append((segment, bytes))
        for extent in extents {
            bytes.add(extent.length)
            if case .hole = extent { hasHole = true }
        }
        count += extents.count
    }

    /// The segment with the extent that holds the byte at `offset`; nil at the end.
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

/// A file of a snapshot. For one thread.
final class SnapshotSourceFile: SourceFile {
    private let tree: SnapshotTree
    private let entry: ManifestEntry
    private let places: ExtentPlaces
    private let reader: UncheckedBox<BlobReader>
    /// The extents of one segment, where each begins, and where the last ends.
    private var extents: [Extent] = []
    private var starts: [UInt64] = []
    private var end: UInt64 = 0
    /// The chunk that the reader holds, by where it begins.
    private var current: (start: UInt64, bytes: UnsafeRawBufferPointer)?

    init(_ entry: ManifestEntry, _ places: ExtentPlaces, of tree: SnapshotTree) {
        (self.entry, self.places, self.tree) = (entry, places, tree)
        reader = tree.takeReader()
    }

    var earlierFindings: EarlierFindings? {
        EarlierFindings(
            changedWhileRead: entry.changedWhileRead, isUnsettled: entry.isUnsettled,
            missing: entry.missing)
    }

    func stat() throws(SourceError) -> FileStat {
        var stat = entry.stat
        stat.allocatedBytes = places.hasHole ? 0 : stat.size
        return stat
    }

    func attributes(_ stat: FileStat) -> FileAttributes { entry.attributes }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        if case .inline(let content) = entry.content {
            let rest = content.dropFirst(Int(min(offset, UInt64(content.count)))).prefix(buffer.count)
            buffer.copyBytes(from: rest)
            return rest.count
        }
        var filled = 0
        while filled < buffer.count, let place = try place(of: offset + UInt64(filled)) {
            let within = offset + UInt64(filled) - starts[place]
            let left = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            switch extents[place] {
            case .hole(let length):
                let count = Int(min(length - within, UInt64(left.count)))
                UnsafeMutableRawBufferPointer(rebasing: left[..<count]).initializeMemory(
                    as: UInt8.self, repeating: 0)
                filled += count
            case .chunk(let reference):
                let piece = try chunk(starts[place], reference)[Int(within)...].prefix(left.count)
                left.copyMemory(from: UnsafeRawBufferPointer(rebasing: piece))
                filled += piece.count
            }
        }
        return filled
    }

    private func chunk(
        _ start: UInt64, _ reference: BlobReference
    ) throws(SourceError) -> UnsafeRawBufferPointer {
        if let current, current.start == start { return current.bytes }
        current = nil
        let bytes = try tree.chunk(reference, reader.value)
        current = (start, bytes)
        return bytes
    }

    /// The extent that holds the byte at `offset`, in `extents`; nil at the end.
    private func place(of offset: UInt64) throws(SourceError) -> Int? {
        if starts.isEmpty || offset < starts[0] || offset >= end {
            guard let part = places.part(of: offset) else { return nil }
            extents = try tree.extents(of: entry.path, in: part.segment)
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

    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
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

    func close() { tree.giveBack(reader) }
}
