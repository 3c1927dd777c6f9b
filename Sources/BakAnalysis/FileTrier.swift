// FileTrier: reads a file once and cuts it by several schemes at the same time.
//
// All schemes share one buffer, and each has its own position in it. When the buffer has no room for another read, the
// trier discards the bytes that all schemes have passed. If a scheme measures compression, the trier compresses the
// scheme's new pieces as soon as they are cut, while their bytes are in the buffer.

import BakEngine
import BakChunking
import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A scheme under trial, with its results from all threads.
final class SchemeTrial: Sendable {
    let scheme: CutScheme
    let cutter: SchemeCutter
    let tally: DistinctTally
    /// True if new pieces are compressed for the measurement.
    let compresses: Bool

    init(
        _ scheme: CutScheme, _ config: RepositoryConfig, kinds: Int, slotLimit: Int, compresses: Bool
    ) throws {
        self.scheme = scheme
        self.compresses = compresses
        cutter = try SchemeCutter(scheme, config)
        tally = DistinctTally(kinds: kinds, slotLimit: slotLimit)
    }
}

/// The findings about a file.
struct TriedFile {
    var type = ContentType.other
    /// The content as a manifest would record it, cut by the first scheme.
    var content = FileContent.extents([])
    /// The file's length when it was read. It is less than the length in the file's stat if the file has shrunk.
    var byteCount: UInt64 = 0
    /// The number of bytes read, without holes.
    var readBytes: UInt64 = 0
    /// A name for the whole content.
    var digest = ID128.zero
}

/// Reads files. For one thread.
final class FileTrier {
    private let trials: [SchemeTrial]
    private let hasher: ContentHasher
    private let compressor: Compressor
    private let inlineBytes: Int
    private let time: any TimeSource
    private let stop: StopSignal
    private let onRead: (_ count: Int) -> Void
    private let buffer: UnsafeMutableRawBufferPointer
    private var pieces: [NamedPiece] = []
    private var ids: [ID128] = []
    private var fresh: [Int] = []
    /// The time spent in reading.
    private(set) var readNanoseconds: UInt64 = 0

    /// Thrown if the run must end.
    struct Stopped: Error {}

    /// The number of bytes read at a time. They fit in the processor's cache, so all schemes cut them there.
    private static let stepBytes = 1 << 20
    /// The number of steps that the buffer holds besides the largest chunk. Thanks to several steps, the trier rarely
    /// has to move bytes to the start of the buffer.
    private static let stepsHeld = 8

    /// Makes a trier. The first trial's chunks become the content in `TriedFile`.
    init(
        _ trials: [SchemeTrial], _ config: RepositoryConfig, hasher: ContentHasher,
        compression: CompressionMode,
        time: any TimeSource, stop: StopSignal, onRead: @escaping (_ count: Int) -> Void
    ) {
        self.trials = trials
        self.hasher = hasher
        self.time = time
        self.stop = stop
        self.onRead = onRead
        inlineBytes = config.inlineBytes
        compressor = Compressor(compression)
        let largest = trials.map(\.cutter.bytesForAChunk).max() ?? 0
        buffer = .allocate(byteCount: largest + Self.stepsHeld * Self.stepBytes, alignment: 4096)
    }

    deinit { buffer.deallocate() }

    /// Reads a regular file and counts its pieces for `kind`, or for the file's type if `kind` is nil. Reads as many
    /// bytes as `stat` says. If `stat` says that the file can be inline but it has grown, reads it to its end. Throws
    /// `SourceError` and `Stopped`.
    func read(_ file: any SourceFile, _ stat: FileStat, kind: Int? = nil) throws -> TriedFile {
        if stat.size <= UInt64(inlineBytes) {
            if let tried = try readInline(file, stat) { return tried }
            var whole = stat
            // No file is as large as this. The loop stops at the end of the file, where a read returns less than it
            // asked for.
            whole.size = UInt64(Int64.max)
            whole.allocatedBytes = whole.size
            return try read(file, whole, kind: kind)
        }
        var tried = TriedFile()
        var extents: [Extent] = []
        var cursors = trials.map { SchemeCursor($0.cutter) }
        let isSparse = stat.allocatedBytes < stat.size
        while tried.byteCount < stat.size {
            let data =
                isSparse
                ? try file.nextStretch(from: tried.byteCount, size: stat.size)
                : tried.byteCount..<stat.size
            let hole = data.lowerBound - tried.byteCount
            if hole > 0 {
                extents.append(.hole(hole))
                for index in cursors.indices { cursors[index].skipHole(hole) }
                tried.digest = Self.chained(tried.digest, .zero, hole)
                tried.byteCount = data.lowerBound
            }
            let read = try cut(file, data, kind, &cursors, &tried, &extents)
            tried.byteCount += read
            tried.readBytes += read
            if read < UInt64(data.count) { break }  // The file has shrunk.
        }
        tried.content = .extents(extents)
        return tried
    }

    /// Reads content that a manifest would hold inline, which no scheme counts. Returns nil if the file has grown
    /// too long for that.
    private func readInline(_ file: any SourceFile, _ stat: FileStat) throws -> TriedFile? {
        var room = UnsafeMutableRawBufferPointer(rebasing: buffer[...Int(stat.size)])
        var count = try read(file, into: room, at: 0)
        if count > stat.size {
            room = UnsafeMutableRawBufferPointer(rebasing: buffer[...inlineBytes])
            count = try read(file, into: room, at: 0)
            if count > inlineBytes { return nil }
        }
        let bytes = UnsafeRawBufferPointer(rebasing: room[..<count])
        return TriedFile(
            type: ContentType(firstBytes: bytes), content: .inline(Array(bytes)), byteCount: UInt64(count),
            readBytes: UInt64(count), digest: hasher.id(of: bytes))
    }

    private func read(
        _ file: any SourceFile, into room: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws -> Int {
        let start = time.monotonicNanoseconds()
        defer { readNanoseconds += time.monotonicNanoseconds() - start }
        let count = try file.read(into: room, at: offset)
        onRead(count)
        return count
    }

    /// Cuts a range of the file by all schemes. Returns the number of bytes read.
    private func cut(
        _ file: any SourceFile, _ range: Range<UInt64>, _ kind: Int?, _ cursors: inout [SchemeCursor],
        _ tried: inout TriedFile, _ extents: inout [Extent]
    ) throws -> UInt64 {
        for index in cursors.indices { cursors[index].start = 0 }
        var (offset, filled) = (range.lowerBound, 0)
        while offset < range.upperBound {
            if stop.isRequested { throw Stopped() }
            filled = makeRoom(filled, &cursors)
            let wanted = Int(min(UInt64(Self.stepBytes), range.upperBound - offset))
            let read = try read(
                file, into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + wanted]),
                at: offset)
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<(filled + read)])
            if offset == 0 { tried.type = ContentType(firstBytes: bytes) }
            (offset, filled) = (offset + UInt64(read), bytes.count)
            let isLast = read < wanted || offset == range.upperBound
            for (number, trial) in trials.enumerated() {
                advance(trial, &cursors[number], bytes, isLast, kind ?? Int(tried.type.rawValue))
                if number == 0 { note(in: &tried, &extents) }
            }
            if isLast { break }
        }
        return offset - range.lowerBound
    }

    /// Discards the bytes that all schemes have passed, if there is no room for another step. Returns the number of
    /// bytes left.
    private func makeRoom(_ filled: Int, _ cursors: inout [SchemeCursor]) -> Int {
        guard buffer.count - filled < Self.stepBytes else { return filled }
        let passed = cursors.map(\.start).min() ?? filled
        buffer.baseAddress!.copyMemory(from: buffer.baseAddress! + passed, byteCount: filled - passed)
        for index in cursors.indices { cursors[index].start -= passed }
        return filled - passed
    }

    /// Cuts the bytes read so far by one scheme, up to the last cut point that is certain.
    private func advance(
        _ trial: SchemeTrial, _ cursor: inout SchemeCursor, _ bytes: UnsafeRawBufferPointer, _ isLast: Bool,
        _ kind: Int
    ) {
        let first = cursor.start
        let begin = time.monotonicNanoseconds()
        pieces.removeAll(keepingCapacity: true)
        ids.removeAll(keepingCapacity: true)
        fresh.removeAll(keepingCapacity: true)
        while cursor.start < bytes.count, let chunk = cursor.next(in: bytes, isLast: isLast) {
            let content = bytes[cursor.start..<cursor.start + chunk.byteCount]
            let id = hasher.id(of: UnsafeRawBufferPointer(rebasing: content))
            ids.append(id)
            pieces.append(NamedPiece(id, byteCount: chunk.byteCount, isCompressed: chunk.isCompressed))
            cursor.start += chunk.byteCount
        }
        let nanoseconds = time.monotonicNanoseconds() - begin
        trial.tally.insert(pieces, kind: kind, nanoseconds: nanoseconds) { fresh.append($0) }
        guard trial.compresses, !fresh.isEmpty else { return }
        var (start, next) = (first, 0)
        for place in fresh {
            while next < place {
                start += pieces[next].byteCount
                next += 1
            }
            let piece = pieces[place]
            let content = UnsafeRawBufferPointer(rebasing: bytes[start..<start + piece.byteCount])
            let begin = time.monotonicNanoseconds()
            let stored = compressor.compress(content, isCompressedContent: piece.isCompressed).stored.count
            trial.tally.noteStored(
                piece, kind: kind, storedBytes: stored, nanoseconds: time.monotonicNanoseconds() - begin)
        }
    }

    /// Adds the pieces of the first scheme to the findings about the file.
    private func note(in tried: inout TriedFile, _ extents: inout [Extent]) {
        for (id, piece) in zip(ids, pieces) {
            extents.append(.chunk(BlobReference(id: id, length: UInt32(piece.byteCount))))
            tried.digest = Self.chained(tried.digest, id, UInt64(piece.byteCount))
        }
    }

    /// Returns the digest of a content and one more piece. `digest` is the digest of the content before the piece.
    private static func chained(_ digest: ID128, _ id: ID128, _ length: UInt64) -> ID128 {
        withUnsafeTemporaryAllocation(byteCount: 40, alignment: 8) { bytes in
            digest.store(to: bytes.baseAddress!)
            id.store(to: bytes.baseAddress! + 16)
            bytes.storeBytes(of: length.littleEndian, toByteOffset: 32, as: UInt64.self)
            return Checksum.xxh3_128(UnsafeRawBufferPointer(bytes))
        }
    }
}
