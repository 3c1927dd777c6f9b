// ReferenceCache: the chunks to which each manifest segment refers, stored in a file on this machine. With it, a prune
// reads each segment from the store only once. The file has a row for each segment. A segment's id is a hash of its
// content, so a row can be damaged but never stale.
//
//   magic "bakrefs\0" 8 | version 4 | zero 4 | repository id 16
//   then for each segment: segment id 16 | number of chunks 4 | zero 4 | checksum 8 | chunk ids 16 each, sorted
//
// The checksum is the first half of the XXH3-128 of segment id, number and chunk ids. If a row does not match it, the
// segment is read from the store.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The chunks of segments, in a mapped file. For one thread.
struct ReferenceCache {
    /// The file's name in the cache.
    static let name = "references"
    /// The length of a row's part before the chunk ids.
    private static let headBytes = 32
    /// The number of segments to read together.
    private static let batchSegments = 64

    private let cache: any LocalCache
    private let repository: ID128
    private let mapped: MappedBytes?
    /// The range of each segment's row.
    private var rows: [ID128: Range<Int>] = [:]

    /// Maps the file. If it is missing or damaged, segments are read from the store.
    init(_ cache: any LocalCache, repository: ID128) {
        self.cache = cache
        self.repository = repository
        mapped = cache.map(Self.name)
        guard let bytes = mapped?.bytes, Self.header(repository).isAtStart(of: bytes) else { return }
        var offset = CacheHeader.byteCount
        while offset + Self.headBytes <= bytes.count {
            let count = Int(bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt32.self).littleEndian)
            let end = offset + Self.headBytes + count * ID128.byteCount
            let segment = ID128(loading: bytes.baseAddress! + offset)
            // A repeated segment id ends the loop. Otherwise a hole in a damaged file would read as very many rows of
            // zeros.
            guard end <= bytes.count, rows.updateValue(offset..<end, forKey: segment) == nil else { break }
            offset = end
        }
    }

    /// Passes the sorted chunks of each segment to `body`. Segments with a row come first, in the order of their first
    /// paths, because versions of one segment begin near the same path and have similar chunks. The other segments come
    /// in the order of `segments`, and `scan` reads them in batches.
    ///
    /// If rows are missing, or if most rows are of segments that are not in `segments`, replaces the file by one with
    /// exactly the rows of `segments`. If that fails, `body` may be called again for segments that it has already
    /// received.
    func forEach(
        _ segments: [ManifestSegmentReference],
        scan: (ArraySlice<ManifestSegmentReference>) throws -> [[ID128]],
        body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let byPath = segments.sorted { $0.firstPath.lexicographicallyPrecedes($1.firstPath) }
        func visitAll(keep: (ID128, UnsafeRawBufferPointer) throws -> Void = { _, _ in }) throws {
            var unknown: Set<ID128> = []
            for segment in byPath {
                guard let known = chunks(of: segment.blob.id) else {
                    unknown.insert(segment.blob.id)
                    continue
                }
                try known.withUnsafeBytes {
                    try body($0)
                    try keep(segment.blob.id, $0)
                }
            }
            var rest = segments.filter { unknown.contains($0.blob.id) }[...]
            while !rest.isEmpty {
                let batch = rest.prefix(Self.batchSegments)
                rest = rest.dropFirst(batch.count)
                for (segment, ids) in zip(batch, try scan(batch)) {
                    try Self.encode(ids).withUnsafeBytes {
                        try body($0)
                        try keep(segment.blob.id, $0)
                    }
                }
            }
        }
        let isWorthKeeping =
            rows.count > 2 * segments.count || segments.contains { rows[$0.blob.id] == nil }
        var failure: (any Error)?
        if isWorthKeeping {
            do {
                return try cache.replace(Self.name) { append in
                    try Self.header(repository).bytes.withUnsafeBytes(append)
                    do {
                        try visitAll { id, chunks in
                            try Self.row(id, chunks).withUnsafeBytes(append)
                            try append(chunks)
                        }
                    } catch {
                        failure = error
                        throw error
                    }
                }
            } catch {
                // Without the cache, the next prune only takes longer.
                if let failure, !(failure is StoreError) { throw failure }
            }
        }
        try visitAll()
    }

    /// Returns the ids of a segment's chunks as a copy, so that they cannot change after the checksum was compared.
    private func chunks(of segment: ID128) -> [UInt8]? {
        guard let row = rows[segment], let bytes = mapped?.bytes else { return nil }
        let checksum = bytes.loadUnaligned(fromByteOffset: row.lowerBound + 24, as: UInt64.self).littleEndian
        let chunks = Array(bytes[(row.lowerBound + Self.headBytes)..<row.upperBound])
        return chunks.withUnsafeBytes { Self.checksum(segment, $0) == checksum } ? chunks : nil
    }

    private static func encode(_ ids: [ID128]) -> [UInt8] {
        var writer = ByteWriter(reservingCapacity: ids.count * ID128.byteCount)
        var last: ID128?
        for id in ids.sorted() where id != last {
            writer.id(id)
            last = id
        }
        return writer.bytes
    }

    private static func checksum(_ segment: ID128, _ chunks: UnsafeRawBufferPointer) -> UInt64 {
        var stream = ChecksumStream()
        var head = ByteWriter()
        head.id(segment)
        head.integer(UInt32(chunks.count / ID128.byteCount))
        head.bytes.withUnsafeBytes { stream.update($0) }
        stream.update(chunks)
        return stream.finish().high
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x0073_6665_726b_6162 /* "bakrefs" */, version: 1, repository: repository)
    }

    private static func row(_ segment: ID128, _ chunks: UnsafeRawBufferPointer) -> [UInt8] {
        var writer = ByteWriter()
        writer.id(segment)
        writer.integer(UInt32(chunks.count / ID128.byteCount))
        writer.integer(UInt32(0))
        writer.integer(checksum(segment, chunks))
        return writer.bytes
    }
}
