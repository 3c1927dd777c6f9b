// The request for a backup, the events while it runs, and the report at its end.

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
    /// The phone or host that the files belong to. Snapshots of the same device and paths form a series.
    public var device: String
    /// The user's name.
    public var user: String
    /// The program and its version.
    public var program: String
    /// The snapshot's time; nil for now.
    public var time: Timestamp?
    /// Which snapshot to compare with.
    public var parent = ParentChoice.latest
    /// True if a file of which only the ctime has changed counts as unchanged.
    public var ignoresCtime = false
    /// True if a file of which only the inode number has changed counts as unchanged.
    public var ignoresInode = false
    /// True if no snapshot is committed when nothing differs from the parent.
    public var skipsIfUnchanged = false
    /// True if the run only reports and stores nothing.
    public var isDryRun = false
    /// How chunks are compressed; nil for the repository's default.
    public var compression: CompressionMode?
    /// How many threads compute at once; each has an open pack in memory.
    public var workerCount = 2
    /// How many files are read at once; nil for the number that suits the source's medium.
    public var readConcurrency: Int?
    /// True if containers are cut where their structure says so. Only measurements turn this off: the chunks then
    /// differ from those that other backups store.
    public var readsStructure = true
    /// A checkpoint is committed after this many new stored bytes, or after a twentieth of what the run has
    /// added if that is more.
    public var checkpointBytes = 128 << 20
    /// A checkpoint is also committed after this many new blobs.
    public var checkpointBlobs = BackupSession.mostUncommittedBlobs

    /// Whether the snapshot is an archive.
    public var archive = ArchiveChoice.asBefore
    /// True if the user says that a path with no files, or less than half of its former files, is intended.
    public var allowsEmpty = false

    /// The snapshot to copy, from which the backup also reads; nil if the backup makes no copy.
    var copied: SnapshotTree?
    /// The parent that a copy's record names. Files may be compared with another snapshot.
    public var predecessor: ID128?
    /// The archives, besides `predecessor`, all of whose entries a copy has.
    public var joined: [ID128] = []
    /// True if the original of a copy is partial, so that the copy is partial, too.
    public var isPartial = false

    /// Which snapshot a backup is compared with.
    public enum ParentChoice: Sendable {
        /// The latest complete snapshot of the same device and paths, and the latest partial one after it.
        case latest
        /// The snapshot with this id.
        case snapshot(ID128)
        /// None: every file is read.
        case none
    }

    /// Whether a backup carries over entries that its source no longer has.
    public enum ArchiveChoice: Sendable {
        /// The backup is an archive if the latest complete snapshot of the same device and paths is one. It is also one
        /// if that snapshot is a copy that is not an archive, there are earlier archives, and the copy comes after none
        /// of them: such a copy did not end those archives.
        case asBefore
        /// The backup is an archive.
        case yes
        /// The backup is not an archive.
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

    /// Throws unless a commit record can hold the request. A record that readers refuse would make the whole snapshot
    /// unreadable, so it is better refused before hours of work.
    func expectRecordable(in context: FrameContext) throws(RepositoryError) {
        let epoch = Timestamp(seconds: 0)
        let bytes = record(
            id: .zero, time: time ?? epoch, endTime: epoch, root: BlobReference(id: .zero, length: 1)
        ).encode(context)
        // Counters, parent and doubts add to the size.
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

/// An event of a running backup. It may come from any thread of the run.
public enum BackupEvent: Sendable {
    /// How an entry compares with the parent's.
    public enum Change: Sendable {
        case new, changed, unmodified
        /// The same as a parent's entry under another path.
        case moved
        /// Read although a parent has the file, because the backup compares with no parent.
        case reread
    }

    /// An item could not be read, or not completely. The exit code reports it.
    case failed(path: [UInt8], reason: String)
    /// An item is stored, but a part of it could not be read. The exit code reports it, and so does every backup until
    /// the item can be read completely.
    case incomplete(path: [UInt8], reason: String)
    /// A file changed while it was read.
    case changedWhileRead(path: [UInt8])
    /// A file that the parent has is no longer there.
    case gone(path: [UInt8])
    /// An item was left out on purpose.
    case excluded(path: [UInt8], reason: String)
    /// A line of an ignore file matches nothing, or probably not what its author meant.
    case ignoreFile(remark: String)
    /// A parent snapshot or a part of the index could not be used, so files are read again.
    case parentUnreadable(reason: String, isDamage: Bool)
    /// A snapshot cannot be read. The backup might have compared with it.
    case snapshotUnreadable(UnreadableSnapshot)
    /// The clock is behind the date of the parent.
    case clockBehind(CommitRecord)
    /// A partial snapshot was committed, so that an interruption from now on costs little.
    case checkpoint(CommitRecord)

    /// Makes the event for an error.
    static func parentUnreadable(_ error: any Error) -> BackupEvent {
        .parentUnreadable(
            reason: "\(error)", isDamage: error is CorruptionError || error is MissingBlobError)
    }
}

/// How far a backup has come.
public struct BackupProgress: Sendable {
    /// Regular files in the manifest so far.
    public var files: UInt64 = 0
    /// Bytes that workers have read so far, from any file.
    var readBytes: UInt64 = 0
    /// Bytes of the manifest's files that were not read: unmodified files, holes, and files that were already read
    /// under another name.
    var unreadBytes: UInt64 = 0
    /// Bytes of the files handled so far, including those in progress.
    public var bytes: UInt64 { readBytes &+ unreadBytes }
    /// Bytes stored so far.
    public var storedBytes: UInt64 = 0
    /// Items that could not be read.
    public var failedItems: UInt64 = 0
    /// The path that is being read, or was finished last.
    public var currentPath: [UInt8] = []
}

/// The result of a backup.
public struct BackupReport: Sendable {
    /// The snapshot; nil when none was committed.
    public var snapshot: CommitRecord?
    /// Counts of what was found and stored; equal to the snapshot's counters if there is a snapshot.
    public var counters = SnapshotCounters()
    /// Number of unmodified files that a parent has under another path.
    public var movedFiles: UInt64 = 0
    /// The parent that the snapshot's record names. An archive may have compared its files with another snapshot.
    public var parent: ID128?
    /// True if the run was interrupted. Any snapshot that it committed is partial.
    public var wasInterrupted = false
    /// True if nothing differed from the parent and the request asked for no snapshot in that case.
    public var wasUnchanged = false
    /// Packs that the snapshot needs but that are missing or altered. Files in them cannot be restored completely.
    public var damagedPacks: [CorruptionError] = []
    /// True if the snapshot is an archive.
    public var isArchive = false
    /// The latest complete snapshot of the same device and paths, if it is an archive, and its number of gone files.
    public var earlierArchive: (snapshot: CommitRecord, goneFiles: UInt64)?
    /// The newest earlier archive, if this snapshot is an archive and the latest complete snapshot before it is not.
    public var resumedArchive: CommitRecord?
    /// Archives that the user may have meant to continue. Each is the latest complete snapshot of other paths of the
    /// same device, or of another device of the same host. The list is filled only if these paths have no snapshot yet
    /// and the user did not say whether this snapshot is an archive.
    public var otherArchives: [CommitRecord] = []
    /// Further archives of the same device and paths whose entries this archive has carried over.
    public var joinedArchives: [CommitRecord] = []
    /// The doubts whether the source is complete.
    public var doubts = SourceDoubts()
    /// The paths of a first backup that are folders without files.
    public var emptyFolders: [[UInt8]] = []
    /// The paths of a first backup that are folders with links but without files.
    public var foldersOfLinks: [[UInt8]] = []
    /// Number of entries left out on purpose.
    public var excludedItems: UInt64 = 0
    /// Patterns that matched nothing to exclude or include again. It is filled only if the whole source was walked.
    public var unmatchedPatterns: [PathPattern] = []
}
