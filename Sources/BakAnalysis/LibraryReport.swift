// LibraryReport: what a benchmark of a library found.

import BakEngine
import BakChunking
import BakCore

/// What a benchmark tells while it runs, from any of its threads, one call at a time.
public enum LibraryEvent: Sendable {
    /// An item could not be read.
    case failed(path: [UInt8], reason: String)
    /// An item was left out on purpose.
    case excluded(path: [UInt8], reason: String)
    /// A line of an ignore file matches nothing, or hardly what was meant.
    case ignoreFile(remark: String)
}

/// How far a benchmark has come.
public struct LibraryProgress: Sendable {
    /// Regular files, by all their names, that have been dealt with or are.
    public var files: UInt64 = 0
    /// Their bytes so far.
    public var bytes: UInt64 = 0
    /// What of them is different, in bytes.
    public var differentBytes: UInt64 = 0
    /// Items that could not be read.
    public var failedItems: UInt64 = 0
    /// What is being read, or was read last.
    public var currentPath: [UInt8] = []
}

/// Files that are the same.
public struct DuplicateGroup: Sendable {
    /// The size of each in bytes.
    public var fileBytes: UInt64
    /// How many there are.
    public var files: UInt64
    /// The paths of some of them, sorted.
    public var paths: [[UInt8]]

    /// What all but one of them take.
    public var wastedBytes: UInt64 { (files - 1) &* fileBytes }
}

/// A benchmark's findings. Sizes are in bytes, times in nanoseconds of all threads together.
public struct LibraryReport: Sendable {
    /// The files of one type.
    public struct TypeRow: Sendable {
        /// The kind of content.
        public var type: ContentType
        /// How many files are of it.
        public var files: UInt64
        /// Their content together, in bytes.
        public var bytes: UInt64
        /// Files that are the same as another one.
        public var duplicateFiles: UInt64
        /// The content of those files together, in bytes.
        public var duplicateBytes: UInt64
        /// What is left of them when each chunk is stored once.
        public var differentBytes: UInt64
        /// That after compression.
        public var storedBytes: UInt64
    }

    /// What a scheme would store.
    public struct SchemeRow: Sendable {
        /// How files were cut.
        public var scheme: CutScheme
        /// How many chunks there are, and how many of them are different.
        public var chunks: UInt64
        /// How many distinct chunks there are.
        public var differentChunks: UInt64
        /// All bytes that were cut, and what is left when each chunk is stored once.
        public var bytes: UInt64
        /// The distinct chunks together, in bytes.
        public var differentBytes: UInt64
        /// That after compression.
        public var storedBytes: UInt64
        /// What headers and the index take for the different chunks.
        public var overheadBytes: UInt64
        /// Whether new chunks were really compressed; if not, what was gained on each type of file was taken.
        public var isCompressionMeasured: Bool
        /// Whether what is different was estimated from a part of the chunks.
        public var isEstimate: Bool
        /// What cutting, naming and looking up took.
        public var cutNanoseconds: UInt64

        /// What a repository would take for the content.
        public var totalBytes: UInt64 { storedBytes &+ overheadBytes }
        /// What a chunk has on average.
        public var averageChunkBytes: UInt64 { chunks > 0 ? bytes / chunks : 0 }
    }

    /// What one stage of a backup did here, and took.
    public struct Stage: Sendable {
        /// A stage.
        public enum Name: String, Sendable, CaseIterable {
            case walk, read, cut, compress
        }
        /// Which stage.
        public var name: Name
        /// Entries for the walk, else bytes.
        public var amount: UInt64
        /// How long it took on all threads together.
        public var nanoseconds: UInt64

        /// How much it does in a second on one core; nil when it did too little to say.
        public var perSecond: Double? {
            nanoseconds >= 1_000_000 ? Double(amount) * 1e9 / Double(nanoseconds) : nil
        }
    }

    /// What changed files would cost.
    public struct Changes: Sendable {
        /// Files that the snapshot has otherwise, and what they have now.
        public var changedFiles: UInt64 = 0
        /// The content of changed files, in bytes.
        public var changedBytes: UInt64 = 0
        /// Files that it does not have at their place.
        public var newFiles: UInt64 = 0
        /// The content of new files, in bytes.
        public var newBytes: UInt64 = 0
        /// Changed files whose old content could not be read; they are not in the rows.
        public var unreadableFiles: UInt64 = 0
        /// What each scheme would store of the changed files.
        public var rows: [SchemeRow] = []
    }

    /// Regular files, and their bytes with holes. A further name of a file does not count.
    public var files: UInt64 = 0
    /// Their content together, in bytes.
    public var bytes: UInt64 = 0
    /// Bytes that were read.
    public var readBytes: UInt64 = 0
    /// How many folders there are.
    public var folders: UInt64 = 0
    /// Links and special files.
    public var others: UInt64 = 0
    /// Further names of files with several.
    public var furtherNames: UInt64 = 0
    /// How many items the rules left out.
    public var excludedItems: UInt64 = 0
    /// How many items could not be read.
    public var failedItems: UInt64 = 0
    /// By bytes, the largest first.
    public var types: [TypeRow] = []
    /// Files that are the same as another one, and their bytes.
    public var duplicateFiles: UInt64 = 0
    /// The content of those files together, in bytes.
    public var duplicateBytes: UInt64 = 0
    /// Whether they were estimated from a part of the files.
    public var areDuplicatesEstimated = false
    /// The files of which most is double.
    public var duplicates: [DuplicateGroup] = []
    /// In the order of `CutScheme.all`.
    public var schemes: [SchemeRow] = []
    /// What lists of files and their attributes take.
    public var metadataBytes: UInt64 = 0
    /// What took how long.
    public var stages: [Stage] = []
    /// Since the snapshot that was asked for.
    public var changes: Changes?
    /// How long it took.
    public var nanoseconds: UInt64 = 0
    /// The user ended it before its end.
    public var wasInterrupted = false

    /// What a new repository would take.
    public var repositoryBytes: UInt64 { (schemes.first?.totalBytes ?? 0) &+ metadataBytes }

    /// Makes an empty one.
    public init() {}
}
