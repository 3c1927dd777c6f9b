// ChangeTrials: estimates how much several schemes would store for files that changed since a snapshot. A scheme is a
// way of cutting files. Each scheme cuts a file's old content, which comes from the repository, and its new content.
// Only pieces that the old content lacks count.

import BakEngine
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// A snapshot to compare a library with.
public struct LibraryBaseline: Sendable {
    /// The snapshot's repository. Nothing is stored there.
    public var repository: Repository
    /// The snapshot.
    public var snapshot: CommitRecord

    /// Makes the pair.
    public init(_ snapshot: CommitRecord, in repository: Repository) {
        (self.snapshot, self.repository) = (snapshot, repository)
    }
}

/// Tries schemes on changed files.
struct ChangeTrials: Sendable {
    /// The two kinds of pieces that the tallies count separately.
    static let oldContent = 0
    static let newContent = 1

    let trials: [SchemeTrial]
    let snapshot: SnapshotTree
    let baseline: LibraryBaseline
    private let session: UncheckedBox<BackupSession>

    init(_ baseline: LibraryBaseline, slotLimit: Int) throws {
        self.baseline = baseline
        // A dry run stores nothing. Its index leaves out packs that a prune is about to remove.
        session = UncheckedBox(try BackupSession(baseline.repository, host: "", program: "", isDryRun: true))
        snapshot = try SnapshotTree(
            baseline.snapshot, repository: baseline.repository, index: session.value.index)
        trials = try CutScheme.forChanges.map {
            try SchemeTrial(
                $0, baseline.repository.config, kinds: 2, slotLimit: slotLimit, compresses: true)
        }
    }

    /// Makes a comparer that finds the differences between a walk and the snapshot. It belongs to one thread, which
    /// passes entries in the order of the walk.
    func makeComparer(of tree: any SourceTree) throws -> ParentComparer {
        try ParentComparer(
            with: baseline.snapshot, of: tree, repository: baseline.repository, index: session.value.index)
    }

    /// One row for each scheme, with what it would store.
    var rows: [LibraryReport.SchemeRow] {
        trials.map { LibraryReport.SchemeRow($0, $0.tally.estimate(kind: Self.newContent)) }
    }
}
