// The two records of a backup session, both in the frame of ObjectFrame. A session puts `sessions/<id>` when it begins.
// It puts `snapshots/<id>`, its commit record, at the end; only then does the backup become real.

import BakCore

/// Says that a session has begun.
public struct SessionRecord: Equatable, Sendable {
    /// The session's id.
    public var id: ID128
    /// When the session began.
    public var time: Timestamp
    /// The machine that the session runs on.
    public var host: String
    /// The program and its version.
    public var program: String

    /// Makes a record.
    public init(id: ID128, time: Timestamp, host: String, program: String) {
        self.id = id
        self.time = time
        self.host = host
        self.program = program
    }

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        var body = ByteWriter()
        body.id(context.repository)
        body.timestamp(time)
        body.text(host)
        body.text(program)
        return ObjectFrame.encode(kind: .session, id: id, body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, id: ID128, context: FrameContext
    ) throws(CorruptionError) {
        self = try ObjectFrame.decode(
            bytes, object: object, expecting: .session, id: id, sealer: context.sealer
        ) { _, body throws(CorruptionError) in
            try body.expectRepository(context.repository)
            return try Self(body: &body, id: id)
        }
    }

    private init(body: inout ByteReader, id: ID128) throws(CorruptionError) {
        self.id = id
        time = try body.timestamp()
        host = try body.text(upTo: 1024, "the host")
        program = try body.text(upTo: 1024, "the program")
        try body.expectEnd()
    }
}

/// The counts of a backup, as its commit record stores them.
public struct SnapshotCounters: Equatable, Sendable {
    /// Regular files in the snapshot.
    public var files: UInt64 = 0
    /// Folders in the snapshot.
    public var folders: UInt64 = 0
    /// Links, FIFOs, sockets and device nodes in the snapshot.
    public var others: UInt64 = 0
    /// The content of all regular files, in bytes.
    public var bytes: UInt64 = 0
    /// Regular files that the parent did not have.
    public var newFiles: UInt64 = 0
    /// Regular files that differ from the parent's.
    public var changedFiles: UInt64 = 0
    /// Regular files that are as in the parent and were not read.
    public var unmodifiedFiles: UInt64 = 0
    /// Folders that the parent did not have.
    public var newFolders: UInt64 = 0
    /// The bytes of file content that were read.
    public var readBytes: UInt64 = 0
    /// New chunks and manifest segments that were stored.
    public var addedBlobs: UInt64 = 0
    /// The new blobs' bytes before compression.
    public var addedBytes: UInt64 = 0
    /// The new blobs' bytes as stored.
    public var addedStoredBytes: UInt64 = 0
    /// Items that could not be read, or only in part.
    public var failedItems: UInt64 = 0
    /// Files that changed while they were read.
    public var changingFiles: UInt64 = 0
    /// Regular files in an archive that the source no longer has.
    public var goneFiles: UInt64 = 0
    /// Regular files that the parent still had and the source no longer has.
    public var newlyGoneFiles: UInt64 = 0

    /// Makes counters of zero.
    public init() {}

    private static let fields: [any WritableKeyPath<SnapshotCounters, UInt64> & Sendable] = [
        \.files, \.folders, \.others, \.bytes, \.newFiles, \.changedFiles, \.unmodifiedFiles, \.newFolders,
        \.readBytes, \.addedBlobs, \.addedBytes, \.addedStoredBytes, \.failedItems, \.changingFiles,
    ]

    func encode(to writer: inout ByteWriter) {
        for field in Self.fields { writer.varint(self[keyPath: field]) }
    }

    init(_ reader: inout ByteReader) throws(CorruptionError) {
        for field in Self.fields { self[keyPath: field] = try reader.varint() }
    }

    /// True if any file is gone. The two counts of gone files are stored only then.
    var tellsOfGone: Bool { goneFiles > 0 || newlyGoneFiles > 0 }
}

/// A snapshot: what was backed up, when, by whom, and the root of its manifest.
public struct CommitRecord: Equatable, Sendable {
    /// The id of the session and of the snapshot.
    public var id: ID128
    /// When the backup began.
    public var time: Timestamp
    /// When the backup was committed.
    public var endTime: Timestamp
    /// The machine that made the backup.
    public var host: String
    /// The phone or host that the files belong to.
    public var device: String
    /// The user who ran the backup.
    public var user: String
    /// The program and its version.
    public var program: String
    /// The paths that were backed up, in the manifest's form.
    public var paths: [[UInt8]]
    /// Free labels.
    public var tags: [String]
    /// The snapshot that the backup was compared with, if any.
    public var parent: ID128?
    /// True if the snapshot has everything that the user asked for. A checkpoint or an interrupted run is not complete.
    public var isComplete: Bool
    /// True if the session stored anything, so that `index/<id>` must exist.
    public var hasIndex: Bool
    /// The id and length of the manifest's root.
    public var root: BlobReference
    /// The counts of the backup.
    public var counters: SnapshotCounters
    /// If this is a copy or a later version of a snapshot: the id under which that snapshot was first made.
    public var original: ID128?
    /// True if this is an archive: it keeps the entries that its parent had and the source no longer has.
    public var isArchive = false
    /// The positions in `paths` of the paths in doubt, increasing. Most files of such a path were gone, perhaps because
    /// its disk was not connected.
    public var doubtfulPaths: [Int] = []
    /// The `originalID`s of earlier snapshots in doubt that this snapshot confirms, because its backup found the same
    /// files missing; increasing.
    public var confirmed: [ID128] = []
    /// The `originalID`s of the archives, other than the parent, whose entries this archive carries over in full;
    /// increasing.
    public var joined: [ID128] = []
    /// True if this is an archive that does not have everything that its parent has. An archive that is not lacking
    /// stands for the older archives whose entries it carries over, so retention need not keep the older ones. A
    /// lacking archive stands for no other archive. There is one exception: an archive that a repair made stands for
    /// its parent in the repository of the repair.
    public var isLacking = false

    /// The id that the snapshot shares with its copies.
    public var originalID: ID128 { original ?? id }

    /// True if this record can take the place of `other`: both have the same original id, this one has no fewer files
    /// and no more failed items, and both or neither are complete.
    public func standsFor(_ other: CommitRecord) -> Bool {
        originalID == other.originalID && isComplete == other.isComplete
            && counters.files >= other.counters.files && counters.failedItems <= other.counters.failedItems
    }

    /// Makes a record.
    public init(
        id: ID128, time: Timestamp, endTime: Timestamp, host: String, device: String, user: String,
        program: String, paths: [[UInt8]], tags: [String], parent: ID128?, isComplete: Bool,
        hasIndex: Bool, root: BlobReference, counters: SnapshotCounters
    ) {
        self.id = id
        self.time = time
        self.endTime = endTime
        self.host = host
        self.device = device
        self.user = user
        self.program = program
        self.paths = paths
        self.tags = tags
        self.parent = parent
        self.isComplete = isComplete
        self.hasIndex = hasIndex
        self.root = root
        self.counters = counters
    }

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        var body = ByteWriter()
        body.id(context.repository)
        body.timestamp(time)
        body.timestamp(endTime)
        for text in [host, device, user, program] { body.text(text) }
        body.varint(paths.count)
        for path in paths { body.byteString(path) }
        body.varint(tags.count)
        for tag in tags { body.text(tag) }
        body.byte(parent == nil ? 0 : 1)
        if let parent { body.id(parent) }
        body.byte(isComplete ? 1 : 0)
        body.byte(hasIndex ? 1 : 0)
        body.id(root.id)
        body.varint(root.length)
        counters.encode(to: &body)
        encodeFields(to: &body)
        return ObjectFrame.encode(kind: .commitRecord, id: id, body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, id: ID128, context: FrameContext
    ) throws(CorruptionError) {
        self = try ObjectFrame.decode(
            bytes, object: object, expecting: .commitRecord, id: id, sealer: context.sealer
        ) { _, body throws(CorruptionError) in
            try body.expectRepository(context.repository)
            return try Self(body: &body, id: id)
        }
    }

    private init(body: inout ByteReader, id: ID128) throws(CorruptionError) {
        self.id = id
        time = try body.timestamp()
        endTime = try body.timestamp()
        host = try body.text(upTo: 1024, "the host")
        device = try body.text(upTo: 1024, "the device")
        user = try body.text(upTo: 1024, "the user")
        program = try body.text(upTo: 1024, "the program")
        paths = []
        for _ in 0..<(try body.count(upTo: body.remaining, "the number of paths")) {
            paths.append(try body.byteString(upTo: FormatLimits.pathBytes, "a path"))
        }
        tags = []
        for _ in 0..<(try body.count(upTo: body.remaining, "the number of tags")) {
            tags.append(try body.text(upTo: 1024, "a tag"))
        }
        parent = try body.flag("the parent's presence") ? try body.id() : nil
        isComplete = try body.flag("completeness")
        hasIndex = try body.flag("the index's presence")
        root = BlobReference(
            id: try body.id(),
            length: UInt32(try body.count(upTo: FormatLimits.blobBytes, "the root's length")))
        counters = try SnapshotCounters(&body)
        try decodeFields(&body)
        try body.expectEnd()
    }
}

/// The optional fields. Each begins with its tag, and tags increase.
extension CommitRecord {
    private enum FieldTag: UInt8 {
        case original = 1
        case archive = 2
        case gone = 3
        case doubts = 4
        case confirmed = 5
        case joined = 6
        case lacking = 7
    }

    private func encodeFields(to body: inout ByteWriter) {
        if let original {
            body.byte(FieldTag.original.rawValue)
            body.id(original)
        }
        if isArchive { body.byte(FieldTag.archive.rawValue) }
        if counters.tellsOfGone {
            body.byte(FieldTag.gone.rawValue)
            body.varint(counters.goneFiles)
            body.varint(counters.newlyGoneFiles)
        }
        if !doubtfulPaths.isEmpty {
            body.byte(FieldTag.doubts.rawValue)
            body.varint(doubtfulPaths.count)
            for number in doubtfulPaths { body.varint(number) }
        }
        if !confirmed.isEmpty {
            body.byte(FieldTag.confirmed.rawValue)
            body.varint(confirmed.count)
            for id in confirmed { body.id(id) }
        }
        if !joined.isEmpty {
            body.byte(FieldTag.joined.rawValue)
            body.varint(joined.count)
            for id in joined { body.id(id) }
        }
        if isLacking { body.byte(FieldTag.lacking.rawValue) }
    }

    private mutating func decodeFields(_ body: inout ByteReader) throws(CorruptionError) {
        var last: UInt8 = 0
        while !body.isAtEnd {
            let start = body
            let byte = try body.byte()
            guard let tag = FieldTag(rawValue: byte) else { throw start.corruption("an unknown last field") }
            guard byte > last else { throw start.corruption("fields are not sorted") }
            last = byte
            switch tag {
            case .original: original = try body.id()
            case .archive: isArchive = true
            case .gone:
                counters.goneFiles = try body.varint()
                counters.newlyGoneFiles = try body.varint()
                guard counters.tellsOfGone else { throw start.corruption("nothing is gone") }
            case .doubts:
                for _ in 0..<(try body.filledCount("the number of doubts")) {
                    let number = try body.count(upTo: max(0, paths.count - 1), "a doubtful path's number")
                    guard doubtfulPaths.last.map({ $0 < number }) ?? !paths.isEmpty else {
                        throw start.corruption("doubtful paths are not sorted")
                    }
                    doubtfulPaths.append(number)
                }
            case .confirmed: confirmed = try body.ids("confirmed snapshots")
            case .joined:
                guard isArchive else { throw start.corruption("joined archives in what is none") }
                joined = try body.ids("joined archives")
            case .lacking:
                guard isArchive else { throw start.corruption("what lacks something is no archive") }
                isLacking = true
            }
        }
    }
}

extension ByteReader {
    /// Reads a count of elements, at least one. Each element takes a byte or more, so a count above the number of
    /// remaining bytes is refused.
    fileprivate mutating func filledCount(_ what: String) throws(CorruptionError) -> Int {
        let start = self
        let count = try count(upTo: remaining, what)
        if count == 0 { throw start.corruption("\(what) is 0") }
        return count
    }

    /// Reads at least one id. Ids increase strictly.
    fileprivate mutating func ids(_ what: String) throws(CorruptionError) -> [ID128] {
        let start = self
        var ids: [ID128] = []
        for _ in 0..<(try filledCount("the number of \(what)")) {
            let id = try id()
            guard ids.last.map({ $0 < id }) ?? true else { throw start.corruption("\(what) are not sorted") }
            ids.append(id)
        }
        return ids
    }

    /// Reads a byte that is 0 or 1.
    mutating func flag(_ what: String) throws(CorruptionError) -> Bool {
        let start = self
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw start.corruption("\(what) is neither 0 nor 1")
        }
    }
}
