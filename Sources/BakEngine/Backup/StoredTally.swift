// StoredTally: what became of the files that a walk met. What could not be read, or not to its end, is as good as
// missing: a disk that fails shows all of its files.

import BakCore
import BakFormat
import BakRepository

/// Counts the files that were not stored whole, and notes the content of new ones. For one thread, in the order of the
/// walk.
final class StoredTally {
    private final class Earlier {
        let snapshot: CommitRecord
        /// The files that it has and that were not stored whole, beneath each root.
        var fileCounts: [UInt64]
        /// Those that it has something of and that are empty now.
        var emptiedCounts: [UInt64]
        /// Opened for the first of them; nil where its list of files cannot be read.
        lazy var cursor: ParentCursor? = open()
        private let open: () -> ParentCursor?

        init(_ snapshot: CommitRecord, rootCount: Int, open: @escaping () -> ParentCursor?) {
            (self.snapshot, self.open) = (snapshot, open)
            fileCounts = Array(repeating: 0, count: rootCount)
            emptiedCounts = fileCounts
        }

        /// The size of a file that it has; nil if it has none there.
        func size(of path: [UInt8]) -> UInt64? {
            guard let fields = cursor?.entry(at: path)?.fields, fields.stat.type == .regular,
                fields.goneSince == nil
            else { return nil }
            return fields.stat.size
        }
    }

    /// The files that were not stored whole, beneath each root.
    private(set) var unstoredFiles: [UInt64]
    /// The content of files that no parent has at their paths.
    private(set) var newContent = ContentSample()
    private let roots: SourceTally
    private let earlier: [Earlier]

    /// Counts for comparisons with `snapshots`.
    init(roots paths: [[UInt8]], _ snapshots: [CommitRecord], _ repository: Repository, _ index: BlobIndex) {
        let roots = SourceTally(roots: paths)
        let rootCount = roots.roots.count
        self.roots = roots
        unstoredFiles = Array(repeating: 0, count: rootCount)
        earlier = snapshots.map { snapshot in
            Earlier(snapshot, rootCount: rootCount) {
                try? ParentCursor(snapshot, repository: repository, index: index)
            }
        }
    }

    /// Notes a regular file that was met and is not stored, or not whole.
    func noteUnstored(_ path: [UInt8]) {
        guard !earlier.isEmpty, let root = roots.root(of: path) else { return }
        unstoredFiles[root] += 1
        for earlier in earlier where earlier.size(of: path) != nil { earlier.fileCounts[root] += 1 }
    }

    /// Notes a regular file that was read and has nothing in it.
    func noteEmpty(_ path: [UInt8]) {
        guard !earlier.isEmpty, let root = roots.root(of: path) else { return }
        for earlier in earlier where earlier.size(of: path) ?? 0 > 0 { earlier.emptiedCounts[root] += 1 }
    }

    /// Notes a regular file that is stored whole, at a path where no parent has it.
    func noteNew(_ entry: ManifestEntry) {
        guard !earlier.isEmpty, let root = roots.root(of: entry.path) else { return }
        newContent.add(entry, beneath: root)
    }

    /// The files of a snapshot that were not stored whole, beneath a root.
    func unstoredFiles(of snapshot: CommitRecord, beneath root: Int) -> UInt64 {
        earlier.first { $0.snapshot.id == snapshot.id }?.fileCounts[root] ?? 0
    }

    /// The files of a snapshot that are empty now, beneath a root.
    func emptiedFiles(of snapshot: CommitRecord, beneath root: Int) -> UInt64 {
        earlier.first { $0.snapshot.id == snapshot.id }?.emptiedCounts[root] ?? 0
    }
}
