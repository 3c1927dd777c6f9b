// The two records of a backup session: `sessions/<id>`, put when it begins, and `snapshots/<id>`, its
// commit record, the only point at which a backup becomes real. Both in the common frame.

import BakCore

/// Says that a backup has begun.
public struct SessionRecord: Equatable, Sendable {
    /// The session's id.
    public var id: ID128
    /// When it began.
    public var time: Timestamp
    /// The machine it runs on.
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

    /// The whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        var body = ByteWriter()
        body.id(context.repository)
        body.timestamp(time)
        body.text(host)
        body.text(program)
        return ObjectFrame.encode(kind: .session, id: id, body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object. Throws `CorruptionError` if the object is damaged, is not the one asked
    /// for, or needs a newer program.
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

/// What a backup did, as its commit record keeps it.
public struct SnapshotCounters: Equatable, Sendable {
    /// Regular files in the snapshot.
    public var files: UInt64 = 0
    /// Folders in the snapshot.
    public var folders: UInt64 = 0
    /// Links, FIFOs, sockets and device nodes in the snapshot.
    public var others: UInt64 = 0
    /// Content of all regular files in bytes.
    public var bytes: UInt64 = 0
    /// Regular files that the parent did not have.
    public var newFiles: UInt64 = 0
    /// Regular files that the parent had otherwise.
    public var changedFiles: UInt64 = 0
    /// Regular files that were as in the parent and not read.
    public var unmodifiedFiles: UInt64 = 0
    /// Folders that the parent did not have.
    public var newFolders: UInt64 = 0
    /// Bytes of file content read.
    public var readBytes: UInt64 = 0
    /// New chunks and manifest segments stored.
    public var addedBlobs: UInt64 = 0
    /// Their bytes before compression.
    public var addedBytes: UInt64 = 0
    /// Their bytes as stored.
    public var addedStoredBytes: UInt64 = 0
    /// Items that could not be read, or only in part.
    public var failedItems: UInt64 = 0
    /// Files that changed while they were read.
    public var changingFiles: UInt64 = 0
    /// Of the regular files in an archive, those that its source has no more.
    public var goneFiles: UInt64 = 0
    /// Regular files that the parent still had and the source has no more.
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

    /// Whether anything is gone; the two counts of that are stored only then.
    var tellsOfGone: Bool { goneFiles > 0 || newlyGoneFiles > 0 }
}

/// A snapshot: what was backed up, when, by whom, and the root of its manifest.
public struct CommitRecord: Equatable, Sendable {
    /// The session's id, which is the snapshot's.
    public var id: ID128
    /// When the backup began.
    public var time: Timestamp
    /// When it was committed.
    public var endTime: Timestamp
    /// The machine that made it.
    public var host: String
    /// The phone or host that the files belong to.
    public var device: String
    /// The user who ran it.
    public var user: String
    /// The program and its version.
    public var program: String
    /// The paths that were backed up, as the manifest has them.
    public var paths: [[UInt8]]
    /// Free labels.
    public var tags: [String]
    /// The snapshot it was compared with, if any.
    public var parent: ID128?
    /// Whether everything asked for is in it; a checkpoint or an interrupted run is not complete.
    public var isComplete: Bool
    /// Whether the session stored anything, so that `index/<id>` must exist.
    public var hasIndex: Bool
    /// The id and length of the manifest's root.
    public var root: BlobReference
    /// What the backup did.
    public var counters: SnapshotCounters
    /// The snapshot that this one was first made as, when it is a copy of one.
    public var original: ID128?
    /// Whether it carries over what its parent had and the source has no more.
    public var isArchive = false
    /// The numbers of those `paths` of which most files were gone, so that the source may not have been connected;
    /// increasing.
    public var doubtfulPaths: [Int] = []
    /// The `originalID`s of earlier snapshots whose doubts this one ends, as it found the same; increasing.
    public var confirmed: [ID128] = []
    /// The `originalID`s of further archives all of whose entries this one carries over, beside its parent's;
    /// increasing.
    public var joined: [ID128] = []
    /// Of an archive: whether it lacks something that what it comes after has, so that it stands for nothing.
    public var isLacking = false

    /// The id that the snapshot and its copies have in common.
    public var originalID: ID128 { original ?? id }

    /// Whether this is the same snapshot as another, or a copy of it from which nothing is missing that the other has.
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

    /// The whole object.
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

    /// Decodes and validates the whole object. Throws `CorruptionError` if the object is damaged, is not the one asked
    /// for, or needs a newer program.
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

/// The fields that may be left out: each begins with its tag, and tags increase.
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
    /// Reads how many elements follow: at least one, each of a byte or more.
    fileprivate mutating func filledCount(_ what: String) throws(CorruptionError) -> Int {
        let start = self
        let count = try count(upTo: remaining, what)
        if count == 0 { throw start.corruption("\(what) is 0") }
        return count
    }

    /// Reads at least one id, each greater than the one before.
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
