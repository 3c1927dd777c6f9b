// What a backup is asked to do, what it tells while it runs, and what it reports at the end.

import BakCodec
import BakCore
import BakFormat
import BakRepository

/// What to back up and how.
public struct BackupRequest: Sendable {
    /// The paths asked for, absolute without the leading slash, as manifests have them.
    public var paths: [[UInt8]]
    /// Free labels for the snapshot.
    public var tags: [String] = []
    /// The machine's name.
    public var host: String
    /// The phone or host that the files belong to; snapshots of one device and paths follow each other.
    public var device: String
    /// The user's name.
    public var user: String
    /// The program and its version.
    public var program: String
    /// The snapshot's time; nil for now.
    public var time: Timestamp?
    /// Which snapshot to compare with.
    public var parent = ParentChoice.latest
    /// Whether a changed ctime alone leaves a file unchanged.
    public var ignoresCtime = false
    /// Whether a changed inode number alone leaves a file unchanged.
    public var ignoresInode = false
    /// Whether to commit no snapshot when nothing differs from the parent.
    public var skipsIfUnchanged = false
    /// Whether to store nothing and only report.
    public var isDryRun = false
    /// How chunks are compressed; nil for the repository's default.
    public var compression: CompressionMode?
    /// How many threads compute at once; each has an open pack in memory.
    public var workerCount = 2
    /// How many files are read at once; nil for what suits the source's medium.
    public var readConcurrency: Int?
    /// Whether containers are cut where their structure says so. Only measurements go without: what is stored then has
    /// other chunks than what is stored with it.
    public var readsStructure = true
    /// A checkpoint is committed after this many new stored bytes, or after a twentieth of what the run has
    /// added if that is more.
    public var checkpointBytes = 128 << 20

    /// Whether the snapshot is an archive.
    public var archive = ArchiveChoice.asBefore
    /// Whether it is meant when a path has no files any more, or less than half of them.
    public var allowsEmpty = false

    /// The snapshot that the source is a copy of.
    var copied: SnapshotTree?
    /// The snapshot that a copy comes after, whatever it is compared with.
    public var predecessor: ID128?
    /// The archives that a copy stands for besides.
    public var joined: [ID128] = []
    /// Whether the source is known to lack something, so that the snapshot is not complete.
    public var isPartial = false

    /// Which snapshot a backup is compared with.
    public enum ParentChoice: Sendable {
        /// The latest complete one of the same device and paths, and the latest partial one after it.
        case latest
        /// This one.
        case snapshot(ID128)
        /// None: every file is read.
        case none
    }

    /// Whether a backup carries over what its source has no more.
    public enum ArchiveChoice: Sendable {
        /// If the latest complete snapshot of the same device and paths is one.
        case asBefore
        /// From now on.
        case yes
        /// Not any more.
        case no
    }

    /// Makes a request with the defaults.
    public init(paths: [[UInt8]], host: String, device: String, user: String, program: String) {
        self.paths = paths
        self.host = host
        self.device = device
        self.user = user
        self.program = program
    }
}

extension BackupRequest {
    /// The commit record of a complete run that stored nothing.
    func record(id: ID128, time: Timestamp, endTime: Timestamp, root: BlobReference) -> CommitRecord {
        CommitRecord(
            id: id, time: time, endTime: endTime, host: host, device: device, user: user, program: program,
            paths: paths, tags: tags, parent: nil, isComplete: true, hasIndex: false, root: root,
            counters: SnapshotCounters())
    }

    /// Throws unless a commit record can hold what the request says: a record that no reader takes would
    /// make the whole snapshot unreadable, and is better refused before hours of work than after.
    func expectRecordable(in context: FrameContext) throws(RepositoryError) {
        let epoch = Timestamp(seconds: 0)
        let bytes = record(
            id: .zero, time: time ?? epoch, endTime: epoch, root: BlobReference(id: .zero, length: 1)
        ).encode(context)
        // Counters, parent and doubts come on top.
        guard bytes.count + 1024 + 4 * paths.count <= FormatLimits.recordBytes else {
            throw .outsideLimits(
                what: "the commit record",
                reason: "it has \(paths.count) paths of \(bytes.count) bytes together")
        }
        do throws(CorruptionError) {
            _ = try bytes.withUnsafeBytes { bytes in
                Result { () throws(CorruptionError) in
                    try CommitRecord(decoding: bytes, object: "the record", id: .zero, context: context)
                }
            }.get()
        } catch {
            throw .outsideLimits(what: "the commit record", reason: error.reason)
        }
    }
}

/// What a backup tells while it runs, from any of its threads.
public enum BackupEvent: Sendable {
    /// How an entry compares with the parent's.
    public enum Change: Sendable {
        case new, changed, unmodified
        /// As the parent has it under another path.
        case moved
        /// Not compared with a parent, of which one has it.
        case reread
    }

    /// An item could not be read, or not as a whole; the exit code says so.
    case failed(path: [UInt8], reason: String)
    /// An item is stored, but not with all that belongs to it; the exit code says so, and so does every backup until it
    /// can be read as a whole.
    case incomplete(path: [UInt8], reason: String)
    /// A file changed while it was read.
    case changedWhileRead(path: [UInt8])
    /// A file that the parent has is not there any more.
    case gone(path: [UInt8])
    /// An item was left out on purpose.
    case excluded(path: [UInt8], reason: String)
    /// A line of an ignore file matches nothing, or hardly what was meant.
    case ignoreFile(remark: String)
    /// A parent snapshot or a part of the index could not be used, so files are read again.
    case parentUnreadable(reason: String, isDamage: Bool)
    /// A snapshot cannot be read. It may have been the one to compare with.
    case snapshotUnreadable(UnreadableSnapshot)
    /// The clock says that this run is before the snapshot that it comes after.
    case clockBehind(CommitRecord)
    /// A partial snapshot was committed, so that an interruption from here on costs little.
    case checkpoint(CommitRecord)

    /// The same of an error.
    static func parentUnreadable(_ error: any Error) -> BackupEvent {
        .parentUnreadable(
            reason: "\(error)", isDamage: error is CorruptionError || error is MissingBlobError)
    }
}

/// How far a backup has come.
public struct BackupProgress: Sendable {
    /// Regular files in the manifest so far.
    public var files: UInt64 = 0
    /// Bytes that workers have read so far, of whatever file.
    var readBytes: UInt64 = 0
    /// Bytes of the files in the manifest that were not read: unmodified ones, holes, further names.
    var unreadBytes: UInt64 = 0
    /// Bytes of files dealt with so far, of those under way too.
    public var bytes: UInt64 { readBytes &+ unreadBytes }
    /// Bytes stored so far.
    public var storedBytes: UInt64 = 0
    /// Items that could not be read.
    public var failedItems: UInt64 = 0
    /// What is being read, or was finished last.
    public var currentPath: [UInt8] = []
}

/// What a backup did.
public struct BackupReport: Sendable {
    /// The snapshot; nil when none was committed.
    public var snapshot: CommitRecord?
    /// What was found and stored; the same as the snapshot's when there is one.
    public var counters = SnapshotCounters()
    /// How many of the unmodified files a parent has under another path.
    public var movedFiles: UInt64 = 0
    /// The snapshot that this one comes after: the one that files were compared with, unless an archive goes on from
    /// another.
    public var parent: ID128?
    /// The run was interrupted; what it committed is partial.
    public var wasInterrupted = false
    /// Nothing differed from the parent, and a snapshot was not wanted then.
    public var wasUnchanged = false
    /// Packs that the snapshot needs and that are missing or not as they were stored: not all of it can be restored.
    public var damagedPacks: [CorruptionError] = []
    /// Whether the snapshot is an archive.
    public var isArchive = false
    /// Whether the latest complete snapshot of the same device and paths is one, and how many gone files it has.
    public var earlierArchive: (snapshot: CommitRecord, goneFiles: UInt64)?
    /// The archive that this one takes up again, after snapshots that were none.
    public var resumedArchive: CommitRecord?
    /// Where there is no snapshot of these paths yet, and nobody said whether it is an archive: the latest snapshots of
    /// the same device that are archives of other paths.
    public var otherArchives: [CommitRecord] = []
    /// Further archives of the same device and paths whose files this one has from here on.
    public var joinedArchives: [CommitRecord] = []
    /// What the source may lack.
    public var doubts = SourceDoubts()
    /// The paths of a first backup that are folders without files.
    public var emptyFolders: [[UInt8]] = []
    /// The same of those that hold links besides.
    public var foldersOfLinks: [[UInt8]] = []
    /// Entries left out on purpose.
    public var excludedItems: UInt64 = 0
    /// Patterns that had nothing to leave out or to take back, where everything was walked.
    public var unmatchedPatterns: [PathPattern] = []
}
