// What a restore is asked to do, what it tells while it runs, and what it reports at the end.

import BakCore
import BakFormat

/// What to restore and how.
public struct RestoreRequest: Sendable {
    /// What to do with a file that is at the target already.
    public enum Overwrite: String, Sendable, CaseIterable {
        /// Replace it.
        case always
        /// Replace it when size or modification time differ.
        case ifChanged = "if-changed"
        /// Replace it when the snapshot's file was modified later.
        case ifNewer = "if-newer"
        /// Keep it.
        case never

        /// Why what is there stays; nil to replace it. Times are compared as the target keeps them.
        ///
        /// - Parameter rendered: what the target makes of a time.
        func reasonToKeep(
            _ found: FileStat, against stat: FileStat, rendered: (Timestamp) -> Timestamp
        ) -> String? {
            switch self {
            case .always: nil
            case .never: "it exists"
            case .ifNewer:
                stat.mtime > found.mtime && rendered(stat.mtime) > found.mtime ? nil : "it is not older"
            case .ifChanged:
                found.type == stat.type && found.size == stat.size
                    && (found.mtime == stat.mtime || rendered(stat.mtime) == found.mtime)
                    ? "it is unchanged" : nil
            }
        }
    }

    /// The snapshot.
    public var snapshot: CommitRecord
    /// The folder or file of the snapshot that is wanted; empty for everything. A folder's content goes
    /// right into the target, a file under its own name.
    public var subpath: [UInt8]
    /// What to do with files that are there already.
    public var overwrite = Overwrite.always
    /// Whether what is at the target may be replaced by a file of which the snapshot has only a part.
    public var replacesWithParts = false
    /// Whether what belongs together with a wanted file (a Live Photo's film, a sidecar) is wanted as well.
    public var takesGroups = false
    /// Whether what the source of an archive has no more is left out.
    public var leavesOutGone = false
    /// Whether set-id bits, security attributes and device files come back as well.
    public var isPrivileged = false
    /// Whether to write nothing and only tell.
    public var isDryRun = false
    /// How many packs are read at once.
    public var workerCount = 2
    /// How many files are planned together: more make fewer reads, and take more memory.
    public var filesTogether = 16 << 10

    /// Makes a request with the defaults.
    public init(snapshot: CommitRecord, subpath: [UInt8] = []) {
        self.snapshot = snapshot
        self.subpath = subpath
    }
}

/// What stood at the target in place of an entry.
public enum ReplacedEntry: Sendable, Equatable {
    /// Something that was modified later.
    case newer
    /// Something else that differs in kind, size or time.
    case different
}

/// What a restore tells while it runs, from any of its threads.
public enum RestoreEvent: Sendable {
    /// An entry is in its place (or would be).
    case restored(ManifestEntry)
    /// The entry that is restored next took the place of another state of it, or would.
    case replaced(path: [UInt8], ReplacedEntry)
    /// What is at the target stays, and why.
    case kept(path: [UInt8], reason: String)
    /// An entry could not be restored; the exit code says so. Every path is the snapshot's.
    case failed(path: [UInt8], reason: String)
    /// An entry is restored as far as the snapshot has it: the rest could not be read when that was made. The exit code
    /// says so.
    case incomplete(path: [UInt8], reason: String)
    /// An entry is restored except for a part of its metadata; the exit code says so unless that was to be expected.
    case note(path: [UInt8], reason: String, isExpected: Bool)
}

/// What a restore did.
public struct RestoreReport: Sendable {
    /// Regular files restored, links included.
    public var files: UInt64 = 0
    /// Folders made or found.
    public var folders: UInt64 = 0
    /// Symbolic links and special files restored.
    public var others: UInt64 = 0
    /// Content of the restored files in bytes; wraps around where a hostile manifest claims too much.
    public var bytes: UInt64 = 0
    /// Bytes of files dealt with so far, also of those under way, kept or linked: what progress is measured by.
    public var processedBytes: UInt64 = 0
    /// Entries that took the place of another state of them, and how many of those were newer at the target.
    public var replaced: UInt64 = 0
    /// How many of those were newer at the target.
    public var replacedNewer: UInt64 = 0
    /// Entries that stayed as they were at the target.
    public var kept: UInt64 = 0
    /// Content of the regular files among them.
    public var keptBytes: UInt64 = 0
    /// Further names of files that came back as files of their own, as the target refuses links.
    public var copiedLinks: UInt64 = 0
    /// Regular files that the restore was asked for, and their content: known once a restore has ended early.
    public var wantedFiles: UInt64 = 0
    /// Their content together, in bytes.
    public var wantedBytes: UInt64 = 0
    /// Whether what was written is known to be durable: once a restore has ended early.
    public var isDurable = false
    /// Entries that could not be restored.
    public var failed: UInt64 = 0
    /// How many of them because the repository is damaged.
    public var damaged: UInt64 = 0
    /// Entries that are restored as far as the snapshot has them.
    public var incomplete: UInt64 = 0
    /// Entries with metadata that could not be set, other than what was to be expected.
    public var notes: UInt64 = 0
    /// Whether the user ended it before its end.
    public var wasInterrupted = false
}
