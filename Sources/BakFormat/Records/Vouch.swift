// A vouch is the object `vouched/<id>`, in the frame of ObjectFrame. It lists content that `safe-to-delete` called safe
// to delete because one snapshot has it. So a program that is about to remove this snapshot can say which files would
// be lost.
//
//   body    repository id 16 | origin: time, host, program | snapshot id 16 | number of files (varint) | file*
//   file    fingerprint of its content 16 | its path, with a varint length before it
//
// Fingerprints increase strictly, so a vouch names only one of several files with the same content. A fingerprint is
// the XXH3-128 of a byte string. For inline content, the string is a byte 0 and the content. For extents, it is a byte
// 1, and then, for each chunk, its length * 2 as a varint and its id, and for each hole, its length * 2 + 1 as a
// varint.

import BakCodec
import BakCore

/// The content that was called safe to delete because one snapshot has it.
public struct Vouch: Equatable, Sendable {
    /// Content that was called safe, with one of the paths where it was found.
    public struct File: Equatable, Sendable {
        /// The fingerprint of the content (`FileContent.fingerprint`).
        public var content: ID128
        /// An absolute path without its leading slash.
        public var path: [UInt8]

        /// Makes a file.
        public init(content: ID128, path: [UInt8]) {
            (self.content, self.path) = (content, path)
        }
    }

    /// The vouch's own id.
    public var id: ID128
    /// The program that put the vouch, and when.
    public var origin: RecordOrigin
    /// The snapshot that has the content.
    public var snapshot: ID128
    /// The files, sorted by increasing fingerprint.
    public var files: [File]

    /// The most bytes of files that fit into one vouch.
    private static let fileBytes = FormatLimits.recordBytes - (64 << 10)

    /// Makes a vouch. `files` must be sorted and name each content once.
    public init(id: ID128, origin: RecordOrigin, snapshot: ID128, files: [File]) {
        (self.id, self.origin, self.snapshot, self.files) = (id, origin, snapshot, files)
    }

    /// Divides files into parts that each fit into one vouch. The result is sorted and names each content once.
    public static func parts(_ files: [File]) -> [[File]] {
        var parts: [[File]] = []
        var bytes = Self.fileBytes
        var last: ID128?
        for file in files.sorted(by: { $0.content < $1.content }) where file.content != last {
            last = file.content
            let size = ID128.byteCount + 10 + file.path.count
            if bytes + size > Self.fileBytes {
                parts.append([])
                bytes = 0
            }
            parts[parts.count - 1].append(file)
            bytes += size
        }
        return parts
    }

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        var body = ByteWriter()
        body.id(context.repository)
        origin.encode(to: &body)
        body.id(snapshot)
        body.varint(files.count)
        for file in files {
            body.id(file.content)
            body.byteString(file.path)
        }
        return ObjectFrame.encode(kind: .vouch, id: id, body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, id: ID128, context: FrameContext
    ) throws(CorruptionError) {
        self = try ObjectFrame.decode(
            bytes, object: object, expecting: .vouch, id: id, sealer: context.sealer
        ) { _, body throws(CorruptionError) in
            try body.expectRepository(context.repository)
            return try Self(body: &body, id: id)
        }
    }

    private init(body: inout ByteReader, id: ID128) throws(CorruptionError) {
        self.id = id
        origin = try RecordOrigin(&body)
        snapshot = try body.id()
        files = []
        for _ in 0..<(try body.count(upTo: body.remaining / ID128.byteCount, "the number of files")) {
            let start = body
            let content = try body.id()
            guard files.last.map({ $0.content < content }) ?? true else {
                throw start.corruption("its files are not sorted")
            }
            let path = try body.byteString(upTo: FormatLimits.pathBytes, "a path")
            if let fault = ManifestEntry.fault(ofPath: path[...]) { throw start.corruption(fault) }
            files.append(File(content: content, path: path))
        }
        try body.expectEnd()
    }
}

extension FileContent {
    /// A hash of 16 bytes that tells different contents of one repository apart.
    public var fingerprint: ID128 { ContentFingerprint(self).value() }
}

/// Computes the `FileContent.fingerprint` of content whose extents come record by record, so that they need not be in
/// memory together. Belongs to one thread.
public final class ContentFingerprint {
    private var bytes = ByteWriter()
    /// The hash of everything before `bytes`; nil while the content is short.
    private var stream: ChecksumStream?

    private static let pieceBytes = 64 << 10

    /// Starts with the content of an entry.
    public init(_ content: FileContent) {
        switch content {
        case .inline(let content):
            bytes.byte(0)
            bytes.raw(content)
        case .extents(let extents):
            bytes.byte(1)
            add(extents)
        }
    }

    /// Adds further extents of the file.
    public func add(_ extents: [Extent]) {
        for extent in extents {
            switch extent {
            case .hole(let length): bytes.varint(length << 1 | 1)
            case .chunk(let reference):
                bytes.varint(UInt64(reference.length) << 1)
                bytes.id(reference.id)
            }
            if bytes.count >= Self.pieceBytes { flush() }
        }
    }

    private func flush() {
        var all = stream.take() ?? ChecksumStream()
        bytes.bytes.withUnsafeBytes { all.update($0) }
        bytes.bytes.removeAll(keepingCapacity: true)
        stream = consume all
    }

    /// Returns the fingerprint of everything added. Nothing may be added afterwards.
    public func value() -> ID128 {
        guard stream != nil else { return bytes.bytes.withUnsafeBytes(Checksum.xxh3_128) }
        flush()
        return stream.take()!.finish()
    }
}
