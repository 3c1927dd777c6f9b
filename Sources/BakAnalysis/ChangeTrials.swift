// ChangeTrials: what files that changed since a snapshot would cost under several schemes. The old content comes from
// the repository, is cut and named as the new one is, and only what the new one has beyond it counts.

import BakEngine
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// A snapshot that a library is compared with.
public struct LibraryBaseline: Sendable {
    /// Where it is. Nothing is stored there.
    public var repository: Repository
    /// The snapshot.
    public var snapshot: CommitRecord

    /// Makes the pair.
    public init(_ snapshot: CommitRecord, in repository: Repository) {
        (self.snapshot, self.repository) = (snapshot, repository)
    }
}

/// The schemes that changed files are tried with.
struct ChangeTrials: Sendable {
    /// What a tally's kinds are here.
    static let oldContent = 0
    static let newContent = 1

    let trials: [SchemeTrial]
    let snapshot: SnapshotTree
    let baseline: LibraryBaseline
    private let session: UncheckedBox<BackupSession>

    init(_ baseline: LibraryBaseline, slotLimit: Int) throws {
        self.baseline = baseline
        // Nothing of a dry run reaches the store; its index leaves out what a prune is about to remove.
        session = UncheckedBox(try BackupSession(baseline.repository, host: "", program: "", isDryRun: true))
        snapshot = try SnapshotTree(
            baseline.snapshot, repository: baseline.repository, index: session.value.index)
        trials = try CutScheme.forChanges.map {
            try SchemeTrial(
                $0, baseline.repository.config, kinds: 2, slotLimit: slotLimit, compresses: true)
        }
    }

    /// Compares a walk with the snapshot. For one thread, in the order of the walk.
    func makeComparer(of tree: any SourceTree) throws -> ParentComparer {
        try ParentComparer(
            with: baseline.snapshot, of: tree, repository: baseline.repository, index: session.value.index)
    }

    /// What each scheme would store.
    var rows: [LibraryReport.SchemeRow] {
        trials.map { LibraryReport.SchemeRow($0, $0.tally.estimate(kind: Self.newContent)) }
    }
}
