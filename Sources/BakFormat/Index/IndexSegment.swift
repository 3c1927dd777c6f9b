// An index segment says where blobs lie. `index/<session id>` is for the blobs of one session's packs. The collection
// of a round writes `index/<round>-<id>` to replace older segments. Both have the frame of ObjectFrame.
//
//   body
//    16  repository id
//     4  number of packs
//     4  number of entries
//   32 each  pack:   id 16 | size in bytes 8 | kind 1 | zero 7
//   32 each  entry:  id 16 | pack number 4 | offset 4 | raw length 4 | stored length 4
//
// Packs are sorted by id, and so are entries; no id occurs twice. A segment is trusted only if its session committed or
// the newest decision of a collection names it. The base is all segments that the newest decision names.

import BakCore

/// A pack in an index.
public struct IndexedPack: Equatable, Sendable {
    /// The pack's id, which is also its name.
    public var id: ID128
    /// The pack's size in bytes.
    public var size: UInt64
    /// The pack's kind: it holds chunks, or manifest segments and roots.
    public var kind: ObjectKind

    /// Makes a row.
    public init(id: ID128, size: UInt64, kind: ObjectKind) {
        self.id = id
        self.size = size
        self.kind = kind
    }

    /// True if a pack can have this kind and size.
    public var isPossible: Bool {
        (kind == .chunkPack || kind == .manifestPack) && size >= PackLayout.minimumBytes
            && size <= FormatLimits.packBytes
    }
}

/// A blob in an index.
public struct IndexEntry: Equatable, Sendable {
    /// The blob's id.
    public var id: ID128
    /// The position of the blob's pack in the segment's list of packs.
    public var pack: UInt32
    /// The offset of the blob's header in the pack.
    public var offset: UInt32
    /// The length before compression, in bytes.
    public var rawLength: UInt32
    /// The length in the pack without the header, in bytes.
    public var storedLength: UInt32

    /// The length of a stored entry in bytes.
    public static let byteCount = 32

    /// Makes a row.
    public init(id: ID128, pack: UInt32, offset: UInt32, rawLength: UInt32, storedLength: UInt32) {
        self.id = id
        self.pack = pack
        self.offset = offset
        self.rawLength = rawLength
        self.storedLength = storedLength
    }

    /// Returns the fault of an entry in the given pack; nil if the entry is possible.
    public func fault(in pack: IndexedPack) -> String? {
        let end = UInt64(offset) + UInt64(PackLayout.blobHeaderBytes) + UInt64(storedLength)
        if rawLength == 0 || rawLength > FormatLimits.blobBytes { return "a blob of \(rawLength) bytes" }
        if storedLength > rawLength { return "a blob of \(rawLength) bytes stored as \(storedLength)" }
        if offset < ObjectHeader.byteCount || end + UInt64(PackLayout.tailBytes) > pack.size {
            return "a blob at bytes \(offset) to \(end) of a pack of \(pack.size)"
        }
        return nil
    }
}

/// One index segment.
public struct IndexSegment: Equatable, Sendable {
    /// The session that wrote the segment, or a random id for a part of a base.
    public var session: ID128
    /// The packs to which the entries refer, sorted by id.
    public var packs: [IndexedPack]
    /// The blobs, sorted by id.
    public var entries: [IndexEntry]

    /// Makes a segment from packs and their blobs, in any order. A blob that occurs twice gets one entry.
    public init(session: ID128, contents: [(pack: IndexedPack, blobs: [BlobRecord])]) {
        self.session = session
        let sorted = contents.sorted { $0.pack.id < $1.pack.id }
        packs = sorted.map(\.pack)
        var all: [IndexEntry] = []
        all.reserveCapacity(sorted.reduce(0) { $0 + $1.blobs.count })
        for (number, content) in sorted.enumerated() {
            for blob in content.blobs {
                all.append(
                    IndexEntry(
                        id: blob.id, pack: UInt32(number), offset: blob.offset, rawLength: blob.rawLength,
                        storedLength: blob.storedLength))
            }
        }
        all.sort { $0.id < $1.id }
        entries = []
        entries.reserveCapacity(all.count)
        for entry in all where entries.last?.id != entry.id { entries.append(entry) }
    }

    /// Makes a segment from lists that are already sorted.
    public init(session: ID128, packs: [IndexedPack], entries: [IndexEntry]) {
        (self.session, self.packs, self.entries) = (session, packs, entries)
    }

    private static let headBytes = 24
    private static let packBytes = 32

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        var body = ByteWriter(
            reservingCapacity: Self.headBytes + packs.count * Self.packBytes + entries.count
                * IndexEntry.byteCount)
        body.id(context.repository)
        body.integer(UInt32(packs.count))
        body.integer(UInt32(entries.count))
        for pack in packs {
            body.id(pack.id)
            body.integer(pack.size)
            body.byte(pack.kind.rawValue)
            body.zeros(7)
        }
        for entry in entries {
            body.id(entry.id)
            body.integer(entry.pack)
            body.integer(entry.offset)
            body.integer(entry.rawLength)
            body.integer(entry.storedLength)
        }
        return ObjectFrame.encode(kind: .indexSegment, id: session, body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, session: ID128, context: FrameContext
    ) throws(CorruptionError) {
        self = try ObjectFrame.decode(
            bytes, object: object, expecting: .indexSegment, id: session, sealer: context.sealer
        ) { _, body throws(CorruptionError) in
            try body.expectRepository(context.repository)
            return try Self(body: &body, session: session)
        }
    }

    private init(body: inout ByteReader, session: ID128) throws(CorruptionError) {
        let packCount = Int(try body.integer(UInt32.self))
        let entryCount = Int(try body.integer(UInt32.self))
        guard body.remaining == packCount * Self.packBytes + entryCount * IndexEntry.byteCount else {
            throw body.corruption(
                "\(packCount) packs and \(entryCount) entries do not fill \(body.remaining) bytes")
        }
        self.session = session
        packs = []
        packs.reserveCapacity(packCount)
        for _ in 0..<packCount {
            let row = body
            let id = try body.id()
            let size = try body.integer(UInt64.self)
            let kind = ObjectKind(rawValue: try body.byte())
            let pack = IndexedPack(id: id, size: size, kind: kind ?? .config)
            guard pack.isPossible, try body.take(7).allSatisfy({ $0 == 0 }) else {
                throw row.corruption("a pack of an unknown kind or impossible size")
            }
            guard packs.last.map({ $0.id < id }) ?? true else { throw row.corruption("packs are not sorted") }
            packs.append(pack)
        }
        entries = []
        entries.reserveCapacity(entryCount)
        for _ in 0..<entryCount {
            let row = body
            let entry = IndexEntry(
                id: try body.id(), pack: try body.integer(UInt32.self), offset: try body.integer(UInt32.self),
                rawLength: try body.integer(UInt32.self), storedLength: try body.integer(UInt32.self))
            guard entry.pack < packCount else {
                throw row.corruption("an entry in pack number \(entry.pack)")
            }
            if let fault = entry.fault(in: packs[Int(entry.pack)]) { throw row.corruption(fault) }
            guard entries.last.map({ $0.id < entry.id }) ?? true else {
                throw row.corruption("entries are not sorted")
            }
            entries.append(entry)
        }
        try body.expectEnd()
    }
}

extension ByteReader {
    /// Reads a repository id. Throws unless it is `repository`.
    mutating func expectRepository(_ repository: ID128) throws(CorruptionError) {
        let start = self
        let found = try id()
        guard found == repository else { throw start.corruption("it belongs to repository \(found.short)") }
    }
}
