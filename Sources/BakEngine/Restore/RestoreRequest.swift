// The request for a restore, the events while it runs, and the report at its end.

import BakCore
import BakFormat

/// What to restore and how.
public struct RestoreRequest: Sendable {
    /// What to do with a file that exists at the target.
    public enum Overwrite: String, Sendable, CaseIterable {
        /// Replace it.
        case always
        /// Replace it if size or modification time differ.
        case ifChanged = "if-changed"
        /// Replace it if the snapshot's file was modified later.
        case ifNewer = "if-newer"
        /// Keep it.
        case never

        /// Returns why the existing item stays; nil to replace it. Times are compared as the target keeps them.
        ///
        /// - Parameter rendered: returns a time as the target would keep it.
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
    /// The wanted folder or file of the snapshot; empty for everything. A folder's content goes directly into the
    /// target. A file keeps its name.
    public var subpath: [UInt8]
    /// What to do with files that exist at the target.
    public var overwrite = Overwrite.always
    /// True if a file of which the snapshot has only a part may replace an existing item.
    public var replacesWithParts = false
    /// True if the other files of a wanted file's asset group (a Live Photo's film, a sidecar) are wanted too.
    public var takesGroups = false
    /// True if gone entries of an archive are left out.
    public var leavesOutGone = false
    /// True if set-id bits, security attributes and device files are restored too.
    public var isPrivileged = false
    /// True if the run only reports and writes nothing.
    public var isDryRun = false
    /// How many packs are read at once.
    public var workerCount = 2
    /// How many files are planned together. More files need fewer reads and more memory.
    public var filesTogether = 16 << 10

    /// Makes a request with the defaults.
    public init(snapshot: CommitRecord, subpath: [UInt8] = []) {
        self.snapshot = snapshot
        self.subpath = subpath
    }
}

/// The item that an entry replaced at the target.
public enum ReplacedEntry: Sendable, Equatable {
    /// An item that was modified later.
    case newer
    /// Any other item that differs in kind, size or time.
    case different
}

/// An event of a running restore, with paths as in the snapshot. It may come from any thread of the run.
public enum RestoreEvent: Sendable {
    /// An entry is in its place, or would be in a dry run.
    case restored(ManifestEntry)
    /// The entry of the next `restored` event replaced an item with another state. In a dry run, it would replace the
    /// item.
    case replaced(path: [UInt8], ReplacedEntry)
    /// An existing item stays, for the given reason.
    case kept(path: [UInt8], reason: String)
    /// An entry could not be restored. The exit code reports it.
    case failed(path: [UInt8], reason: String)
    /// An entry is restored, but the snapshot has only a part of it, because the rest could not be read when the
    /// snapshot was made. The exit code reports it.
    case incomplete(path: [UInt8], reason: String)
    /// An entry is restored except for a part of its metadata. The exit code reports it unless this was expected.
    case note(path: [UInt8], reason: String, isExpected: Bool)
}

/// The result of a restore.
public struct RestoreReport: Sendable {
    /// Number of regular files restored. Each further name of a file (a hard link) counts as a file.
    public var files: UInt64 = 0
    /// Number of folders made or found.
    public var folders: UInt64 = 0
    /// Number of symbolic links and special files restored.
    public var others: UInt64 = 0
    /// Content of the restored files in bytes; wraps around if a hostile manifest claims too much.
    public var bytes: UInt64 = 0
    /// Bytes of the files handled so far, including those in progress, kept or linked. It measures progress.
    public var processedBytes: UInt64 = 0
    /// Number of entries that replaced an item with another state.
    public var replaced: UInt64 = 0
    /// Number of replaced items that were newer than the snapshot's entry.
    public var replacedNewer: UInt64 = 0
    /// Number of items at the target that were kept instead of being replaced.
    public var kept: UInt64 = 0
    /// Content of the snapshot's files for which items were kept, in bytes.
    public var keptBytes: UInt64 = 0
    /// Number of further names that became copies because the target refuses links.
    public var copiedLinks: UInt64 = 0
    /// Number of regular files that the user asked for; set if the restore ended early.
    public var wantedFiles: UInt64 = 0
    /// Their content, in bytes.
    public var wantedBytes: UInt64 = 0
    /// True if everything written is known to be durable; set if the restore ended early.
    public var isDurable = false
    /// Number of entries that could not be restored.
    public var failed: UInt64 = 0
    /// Number of failed entries that failed because the repository is damaged.
    public var damaged: UInt64 = 0
    /// Number of restored entries of which the snapshot has only a part.
    public var incomplete: UInt64 = 0
    /// Number of entries with metadata that unexpectedly could not be set.
    public var notes: UInt64 = 0
    /// True if the user interrupted the restore.
    public var wasInterrupted = false
}
