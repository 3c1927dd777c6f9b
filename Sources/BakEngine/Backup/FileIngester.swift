// FileIngester: reads a file, detects its kind, cuts it and stores the chunks. Each worker has one. It owns its buffer
// and its writer, so file content stays on one thread and nothing is allocated per chunk.
//
// Always holds: the content is what the reads return, whatever size stat reports. A file with size 0 is read all the
// same. Bytes after the reported size are stored too, unless the file is growing. Missing bytes are reported.

import BakChunking
import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// The result of reading a file.
enum IngestResult {
    /// The parts that could be read are stored. The case is indirect because results are large and pass between
    /// threads.
    indirect case stored(ManifestEntry, readBytes: UInt64, Shortfalls)
    /// It could not be read.
    case failed(SourceError)
    /// It was dropped because the run is ending.
    case dropped
}

/// How a stored file differs from the file in the source. Errors are kept out of line: they are rare and large, and
/// every file's result passes between threads.
struct Shortfalls: Sendable {
    private final class Fault: Sendable {
        let error: SourceError
        init(_ error: SourceError) { self.error = error }
    }
    private var contentFault: Fault?
    private var attributesFault: Fault?

    /// The size that stat reported, in bytes.
    var shownBytes: UInt64 = 0
    /// The error if reading returned less than it should have.
    var content: SourceError? {
        get { contentFault?.error }
        set { contentFault = newValue.map(Fault.init) }
    }
    /// The error if not all attributes could be read.
    var attributes: SourceError? {
        get { attributesFault?.error }
        set { attributesFault = newValue.map(Fault.init) }
    }

    init(shownBytes: UInt64 = 0) { self.shownBytes = shownBytes }

    /// The parts of the file that are not stored.
    var missing: MissingParts {
        var missing: MissingParts = []
        if contentFault != nil { missing.insert(.content) }
        if attributesFault != nil { missing.insert(.attributes) }
        return missing
    }

    /// True if any part is missing.
    var isAny: Bool { contentFault != nil || attributesFault != nil }

    /// The errors that made parts missing.
    var all: [SourceError] { isAny ? [content, attributes].compactMap { $0 } : [] }
}

extension ChunkerKey {
    /// The key of a repository.
    package init(_ config: RepositoryConfig) {
        self.init(
            secret: KeyDerivation.expand(
                secret: config.secret, label: "bakstore chunker", count: Self.secretByteCount))
    }
}

extension ChunkerSet {
    /// Makes the chunkers that the repository's configuration describes; `readsStructure` is as in
    /// `init(general:media:)`.
    package convenience init(_ config: RepositoryConfig, readsStructure: Bool = true) throws {
        let key = ChunkerKey(config)
        func chunker(_ contentClass: ContentClass) throws -> Chunker? {
            guard let sizes = config.classes.first(where: { $0.number == contentClass.rawValue }) else {
                return nil
            }
            guard let parameters = ChunkerParameters(minimum: sizes.minimum, maximum: sizes.maximum) else {
                throw CorruptionError(object: "config", offset: 0, reason: "impossible chunk sizes")
            }
            return Chunker(parameters: parameters, key: key)
        }
        guard let general = try chunker(.general) else {
            throw CorruptionError(object: "config", offset: 0, reason: "no chunk sizes for general content")
        }
        self.init(
            general: general, media: try chunker(.media) ?? general, readsStructure: readsStructure)
    }
}

/// The chunk sizes that a new repository gets.
public let defaultChunkClasses: [ChunkClass] = [
    (ContentClass.general, ChunkerParameters.general), (ContentClass.media, ChunkerParameters.media),
].map { contentClass, parameters in
    ChunkClass(
        number: contentClass.rawValue, minimum: parameters.minimum, average: parameters.average,
        maximum: parameters.maximum)
}

/// Reads files and stores their chunks. For one thread.
final class FileIngester {
    private let tree: any SourceTree
    private let writer: BlobWriter
    private let chunkers: ChunkerSet
    private let inlineBytes: Int
    private let racyTimestamps: RacyTimestamps
    private let buffer: UnsafeMutableRawBufferPointer
    private let stop: StopSignal
    private let onRead: (_ count: Int) -> Void
    private let onChunk: ((_ content: UnsafeRawBufferPointer) -> Void)?

    /// The buffer holds several chunks of usual size, so that few bytes are moved when it is refilled.
    private static let usualBufferBytes = 8 << 20

    /// Makes an ingester. It asks `stop` between reads whether to drop the file. It calls `onRead` with the number of
    /// bytes of each read, and `onChunk` with the content of each chunk.
    init(
        tree: any SourceTree, writer: BlobWriter, chunkers: ChunkerSet, inlineBytes: Int,
        racyTimestamps: RacyTimestamps, stop: StopSignal,
        onRead: @escaping (_ count: Int) -> Void,
        onChunk: ((_ content: UnsafeRawBufferPointer) -> Void)? = nil
    ) {
        self.tree = tree
        self.writer = writer
        self.chunkers = chunkers
        self.inlineBytes = inlineBytes
        self.racyTimestamps = racyTimestamps
        self.stop = stop
        self.onRead = onRead
        self.onChunk = onChunk
        buffer = .allocate(
            byteCount: max(Self.usualBufferBytes, chunkers.bytesForAChunk), alignment: 4096)
    }

    deinit { buffer.deallocate() }

    private struct Stopped: Error {}

    /// Reads a regular file and stores it. Throws only errors that end the run: failures of the repository.
    func ingest(_ path: [UInt8]) throws -> IngestResult {
        let file: any SourceFile
        let before: FileStat
        let start = racyTimestamps.now()
        do {
            file = try tree.open(path)
        } catch { return .failed(error) }
        defer { file.close() }
        do {
            before = try file.stat()
        } catch { return .failed(error) }
        do {
            var content = file.hasKnownSize ? try readContent(of: file, before) : try readStream(file)
            let after = try file.stat()
            var stat = before
            var shortfalls = Shortfalls(shownBytes: before.size)
            let attributes = attributes(of: file, before, &shortfalls)
            let changed = file.hasKnownSize && !after.isUnchanged(since: before)
            if file.hasKnownSize, !changed, content.byteCount < before.size,
                !tree.evidence(path, before).hasNominalSizes
            {
                shortfalls.content = SourceError(
                    operation: "read all of it",
                    message:
                        "it gave \(content.byteCount) of the \(before.size) bytes that its size promises")
            }
            stat.size = content.byteCount
            if stat.size == 0 { content.result = .inline([]) }
            let earlier = file.earlierFindings
            let entry = ManifestEntry(
                path: path, stat: stat, attributes: attributes, content: content.result,
                changedWhileRead: changed || earlier?.changedWhileRead == true,
                // Timestamps do not tell what a stream will hold next time.
                isUnsettled: shortfalls.isAny
                    || earlier?.isUnsettled
                        ?? (!file.hasKnownSize || racyTimestamps.isUnsettled(path, before, readFrom: start)),
                missing: shortfalls.missing.union(earlier?.missing ?? []))
            return .stored(entry, readBytes: content.readBytes, shortfalls)
        } catch let error as SourceError {
            // A stream that waits for more data fails when the run is about to end. That is no failure of the source.
            return !file.hasKnownSize && stop.isRequested ? .dropped : .failed(error)
        } catch is Stopped {
            return .dropped
        }
    }

    private func attributes(
        of file: any SourceFile, _ stat: FileStat, _ shortfalls: inout Shortfalls
    ) -> FileAttributes {
        do {
            return try file.attributes(stat)
        } catch {
            shortfalls.attributes = error
            if let read = error.readAttributes { return read }
            var names = FileAttributes()
            (names.userName, names.groupName) = tree.names(uid: stat.uid, gid: stat.gid)
            return names
        }
    }

    private struct Content {
        var result = FileContent.extents([])
        var byteCount: UInt64 = 0
        var readBytes: UInt64 = 0
    }

    private func readContent(of file: any SourceFile, _ stat: FileStat) throws -> Content {
        if stat.size <= UInt64(inlineBytes) { return try readInline(file, stat) }
        var extents: [Extent] = []
        var content = Content()
        let isSparse = stat.allocatedBytes < stat.size
        var cutter = ContentCutter(chunkers)
        while content.byteCount < stat.size {
            let data =
                isSparse
                ? try file.nextStretch(from: content.byteCount, size: stat.size)
                : content.byteCount..<stat.size
            if data.lowerBound > content.byteCount {
                extents.append(.hole(data.lowerBound - content.byteCount))
                cutter.skipHole(data.lowerBound - content.byteCount)
                content.byteCount = data.lowerBound
            }
            let end = data.upperBound == stat.size ? stat : nil
            let read = try storeRange(of: file, data, endOf: end, &cutter, &extents)
            content.byteCount += read
            content.readBytes += read
            if read < UInt64(data.count) { break }  // The file has shrunk.
        }
        content.result = .extents(extents)
        return content
    }

    /// Reads a file whose size is unknown until it has been read.
    private func readStream(_ file: any SourceFile) throws -> Content {
        var extents: [Extent] = []
        var cutter = ContentCutter(chunkers)
        let count = try storeRange(of: file, 0..<UInt64.max, endOf: nil, &cutter, &extents)
        // Ctrl-C may have ended the program that writes the stream, too. The stream may then be cut short.
        if stop.isRequested { throw Stopped() }
        return Content(result: .extents(extents), byteCount: count, readBytes: count)
    }

    private func readInline(_ file: any SourceFile, _ stat: FileStat) throws -> Content {
        // Ask for one byte more than stat reported, to see whether stat was right.
        var slice = UnsafeMutableRawBufferPointer(rebasing: buffer[...Int(stat.size)])
        var count = try file.read(into: slice, at: 0)
        if count > stat.size {
            if try !file.stat().isUnchanged(since: stat) {
                count = Int(stat.size)
            } else {
                slice = UnsafeMutableRawBufferPointer(rebasing: buffer[...inlineBytes])
                count = try file.read(into: slice, at: 0)
                if count > inlineBytes { return try readStream(file) }
            }
        }
        onRead(count)
        return Content(
            result: .inline(Array(slice[..<count])), byteCount: UInt64(count), readBytes: UInt64(count))
    }

    /// Stores a range of the file as chunks; returns its length in bytes. A range that ends at the size in `stat`
    /// continues to the real end of the file, unless the file is growing.
    private func storeRange(
        of file: any SourceFile, _ range: Range<UInt64>, endOf stat: FileStat?,
        _ cutter: inout ContentCutter, _ extents: inout [Extent]
    ) throws -> UInt64 {
        var offset = range.lowerBound
        // Ask for one byte more than stat reported, to see whether stat was right.
        var end = stat.map { $0.size + 1 } ?? range.upperBound
        var filled = 0
        var atEnd = range.isEmpty
        while !atEnd || filled > 0 {
            while !atEnd, filled < buffer.count {
                if stop.isRequested { throw Stopped() }
                let wanted = Int(min(UInt64(buffer.count - filled), end - offset))
                let read = try file.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<(filled + wanted)]),
                    at: offset)
                onRead(read)
                filled += read
                offset += UInt64(read)
                if let stat, offset == stat.size + 1, end == offset {
                    if try file.stat().isUnchanged(since: stat) {
                        end = .max
                    } else {
                        filled -= 1
                        offset -= 1
                        end = offset
                    }
                }
                atEnd = read < wanted || offset == end
            }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<filled])
            var start = 0
            while start < filled,
                let found = cutter.nextChunk(
                    in: UnsafeRawBufferPointer(rebasing: bytes[start...]), isLast: atEnd)
            {
                let chunk = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + found.byteCount)])
                onChunk?(chunk)
                extents.append(.chunk(try writer.store(chunk, isCompressed: found.isCompressed)))
                start += found.byteCount
            }
            buffer.baseAddress!.copyMemory(from: buffer.baseAddress! + start, byteCount: filled - start)
            filled -= start
        }
        return offset - range.lowerBound
    }
}
