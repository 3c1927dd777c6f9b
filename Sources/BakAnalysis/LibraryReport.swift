// LibraryReport: the findings of a benchmark of a library.

import BakEngine
import BakChunking
import BakCore

/// An event of a running benchmark. Events come from any of its threads, one call at a time.
public enum LibraryEvent: Sendable {
    /// An item could not be read.
    case failed(path: [UInt8], reason: String)
    /// An item was left out on purpose.
    case excluded(path: [UInt8], reason: String)
    /// A line of an ignore file that matches nothing, or probably not what its author intended.
    case ignoreFile(remark: String)
}

/// The progress of a benchmark.
public struct LibraryProgress: Sendable {
    /// The number of regular files that are finished or in progress. Each name of a file counts.
    public var files: UInt64 = 0
    /// The number of bytes of these files that are done.
    public var bytes: UInt64 = 0
    /// The size of their distinct chunks in bytes.
    public var differentBytes: UInt64 = 0
    /// The number of items that could not be read.
    public var failedItems: UInt64 = 0
    /// The path that is being read, or that was read last.
    public var currentPath: [UInt8] = []
}

/// Files with the same content.
public struct DuplicateGroup: Sendable {
    /// The size of one of these files in bytes.
    public var fileBytes: UInt64
    /// The number of files.
    public var files: UInt64
    /// The paths of some of them, sorted.
    public var paths: [[UInt8]]

    /// The size of all these files but one.
    public var wastedBytes: UInt64 { (files - 1) &* fileBytes }
}

/// The findings of a benchmark. Sizes are in bytes. Times are in nanoseconds, summed over all threads.
public struct LibraryReport: Sendable {
    /// The files of one type.
    public struct TypeRow: Sendable {
        /// The type of content.
        public var type: ContentType
        /// The number of files of this type.
        public var files: UInt64
        /// The size of their content in bytes.
        public var bytes: UInt64
        /// The number of files that are copies of another one.
        public var duplicateFiles: UInt64
        /// The size of those files in bytes.
        public var duplicateBytes: UInt64
        /// The size of the files' distinct chunks in bytes.
        public var differentBytes: UInt64
        /// The size of the distinct chunks after compression.
        public var storedBytes: UInt64
    }

    /// The amount that a scheme would store.
    public struct SchemeRow: Sendable {
        /// The scheme that cut the files.
        public var scheme: CutScheme
        /// The number of chunks.
        public var chunks: UInt64
        /// How many distinct chunks there are.
        public var differentChunks: UInt64
        /// The size of all chunks in bytes.
        public var bytes: UInt64
        /// The size of the distinct chunks in bytes.
        public var differentBytes: UInt64
        /// The size of the distinct chunks after compression.
        public var storedBytes: UInt64
        /// The size of headers and index rows for the distinct chunks.
        public var overheadBytes: UInt64
        /// True if new chunks were really compressed. If false, `storedBytes` assumes the savings that the first scheme
        /// measured for each type of file.
        public var isCompressionMeasured: Bool
        /// True if the numbers of distinct chunks are estimates from a part of the chunks.
        public var isEstimate: Bool
        /// The time for cutting files and computing the names of chunks.
        public var cutNanoseconds: UInt64

        /// The space that a repository would take for the content.
        public var totalBytes: UInt64 { storedBytes &+ overheadBytes }
        /// The average size of a chunk.
        public var averageChunkBytes: UInt64 { chunks > 0 ? bytes / chunks : 0 }
    }

    /// The work and time of one stage of a backup in this benchmark.
    public struct Stage: Sendable {
        /// A stage.
        public enum Name: String, Sendable, CaseIterable {
            case walk, read, cut, compress
        }
        /// The stage.
        public var name: Name
        /// The number of entries that the walk found, or of bytes that another stage processed.
        public var amount: UInt64
        /// The time, summed over all threads.
        public var nanoseconds: UInt64

        /// The amount that one core does in a second; nil if the stage was too short to tell.
        public var perSecond: Double? {
            nanoseconds >= 1_000_000 ? Double(amount) * 1e9 / Double(nanoseconds) : nil
        }
    }

    /// The cost of storing the files that have changed since the baseline, the snapshot with which the library is
    /// compared.
    public struct Changes: Sendable {
        /// The number of files whose content differs from that in the baseline.
        public var changedFiles: UInt64 = 0
        /// The size of changed files in bytes.
        public var changedBytes: UInt64 = 0
        /// The number of files that the baseline does not have at their path.
        public var newFiles: UInt64 = 0
        /// The size of new files in bytes.
        public var newBytes: UInt64 = 0
        /// The number of changed files whose old content could not be read. These files do not count in `rows`.
        public var unreadableFiles: UInt64 = 0
        /// For each scheme, the amount that it would store for the changed files.
        public var rows: [SchemeRow] = []
    }

    /// The number of regular files. Further names of a file do not count.
    public var files: UInt64 = 0
    /// The size of their content in bytes, including holes.
    public var bytes: UInt64 = 0
    /// The number of bytes that were read.
    public var readBytes: UInt64 = 0
    /// The number of folders.
    public var folders: UInt64 = 0
    /// The number of links and special files.
    public var others: UInt64 = 0
    /// The number of further names of files that have several names.
    public var furtherNames: UInt64 = 0
    /// The number of items that the rules left out.
    public var excludedItems: UInt64 = 0
    /// The number of items that could not be read.
    public var failedItems: UInt64 = 0
    /// One row for each type, by size, the largest first.
    public var types: [TypeRow] = []
    /// The number of files that are copies of another one.
    public var duplicateFiles: UInt64 = 0
    /// The size of those files in bytes.
    public var duplicateBytes: UInt64 = 0
    /// True if `duplicateFiles` and `duplicateBytes` are estimates from a part of the files.
    public var areDuplicatesEstimated = false
    /// The groups of equal files that waste the most space.
    public var duplicates: [DuplicateGroup] = []
    /// One row for each scheme, in the order of `CutScheme.all`.
    public var schemes: [SchemeRow] = []
    /// The size of the manifests.
    public var metadataBytes: UInt64 = 0
    /// The stages and their times.
    public var stages: [Stage] = []
    /// The changes since the baseline; nil without one.
    public var changes: Changes?
    /// The duration of the benchmark.
    public var nanoseconds: UInt64 = 0
    /// True if the user ended the benchmark early.
    public var wasInterrupted = false

    /// The space that a new repository would take.
    public var repositoryBytes: UInt64 { (schemes.first?.totalBytes ?? 0) &+ metadataBytes }

    /// Makes an empty report.
    public init() {}
}
