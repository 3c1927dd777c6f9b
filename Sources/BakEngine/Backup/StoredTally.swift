// StoredTally: counts which files of a walk were stored. A file that could not be read completely counts as missing,
// because a failing disk still lists all of its files.

import BakCore
import BakFormat
import BakRepository

/// Counts the files that were not stored completely, and samples the content of new files. For one thread, in the order
/// of the walk.
final class StoredTally {
    private final class Earlier {
        let snapshot: CommitRecord
        /// Number of its files that were not stored completely, by root.
        var fileCounts: [UInt64]
        /// Number of its files that had content and are empty now, by root.
        var emptiedCounts: [UInt64]
        /// A cursor over the snapshot, opened for the first file that is looked up; nil if the manifest cannot be read.
        lazy var cursor: ParentCursor? = open()
        private let open: () -> ParentCursor?

        init(_ snapshot: CommitRecord, rootCount: Int, open: @escaping () -> ParentCursor?) {
            (self.snapshot, self.open) = (snapshot, open)
            fileCounts = Array(repeating: 0, count: rootCount)
            emptiedCounts = fileCounts
        }

        /// Returns the size of a file in the snapshot; nil if the snapshot has no file at that path.
        func size(of path: [UInt8]) -> UInt64? {
            guard let fields = cursor?.entry(at: path)?.fields, fields.stat.type == .regular,
                fields.goneSince == nil
            else { return nil }
            return fields.stat.size
        }
    }

    /// Number of files that were not stored completely, by root.
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

    /// Notes a regular file of the walk that is not stored, or not completely.
    func noteUnstored(_ path: [UInt8]) {
        guard !earlier.isEmpty, let root = roots.root(of: path) else { return }
        unstoredFiles[root] += 1
        for earlier in earlier where earlier.size(of: path) != nil { earlier.fileCounts[root] += 1 }
    }

    /// Notes a regular file that was read and is empty.
    func noteEmpty(_ path: [UInt8]) {
        guard !earlier.isEmpty, let root = roots.root(of: path) else { return }
        for earlier in earlier where earlier.size(of: path) ?? 0 > 0 { earlier.emptiedCounts[root] += 1 }
    }

    /// Notes a regular file that is stored completely, and that no parent has at its path.
    func noteNew(_ entry: ManifestEntry) {
        guard !earlier.isEmpty, let root = roots.root(of: entry.path) else { return }
        newContent.add(entry, beneath: root)
    }

    /// Returns how many files of a snapshot beneath a root were not stored completely.
    func unstoredFiles(of snapshot: CommitRecord, beneath root: Int) -> UInt64 {
        earlier.first { $0.snapshot.id == snapshot.id }?.fileCounts[root] ?? 0
    }

    /// Returns how many files of a snapshot beneath a root are empty now.
    func emptiedFiles(of snapshot: CommitRecord, beneath root: Int) -> UInt64 {
        earlier.first { $0.snapshot.id == snapshot.id }?.emptiedCounts[root] ?? 0
    }
}
