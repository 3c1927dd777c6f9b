// PruneOptions: the options, steps, events and report of a prune.

import BakCore
import BakFormat
import BakStorage

/// The options of a prune.
public struct PruneOptions: Sendable {
    /// How much may stay unused in packs that also hold living blobs.
    public enum Allowance: Sendable, Equatable {
        /// This percentage of the repository, below 100.
        case percent(Double)
        /// This many bytes.
        case bytes(UInt64)
        /// Any amount: no pack is rewritten.
        case unlimited
    }

    /// The allowance for unused bytes. The prune repacks the most wasteful packs first, until the unused bytes are
    /// within this allowance.
    public var maxUnused = Allowance.percent(5)
    /// The number of bytes that may be copied to new packs; nil for no limit.
    public var maxRepackBytes: UInt64?
    /// The time after which the prune ends early, in nanoseconds from its start; nil for no limit. It still deletes
    /// what a decision has named by then.
    public var maxDurationNanoseconds: UInt64?
    /// How long a running backup is left alone before its session is ended, in seconds. The backup then continues in a
    /// new session.
    public var graceSeconds: UInt64 = 30
    /// The number of threads that read manifests.
    public var workerCount = 1
    /// True if the prune only computes its report and changes nothing.
    public var isDryRun = false
    /// True if the user says that no other program writes. Required if the store cannot refuse a taken name.
    public var isAlone = false
    /// The snapshots that a dry run treats as forgotten.
    public var alsoForgotten: Set<ID128> = []
    /// Waits for this many nanoseconds.
    public var pause: @Sendable (_ nanoseconds: UInt64) -> Void = { _ in }

    /// Makes the default options.
    public init() {}
}

/// A step of a prune.
public enum PruneStep: String, Sendable {
    /// It reads the references of the snapshots.
    case marking
    /// It waits for running backups.
    case waiting
    /// Some blobs lie in several packs. For each of them, it reads the copy that it is going to keep.
    case verifying
    /// It copies the needed blobs of packs with much unused space.
    case copying
    /// It writes the new index.
    case indexing
    /// It deletes packs and index segments.
    case deleting
}

/// An event of a prune.
public enum PruneEvent: Sendable {
    /// A step begins.
    case step(PruneStep)
    /// The part of the step that is done: in bytes for copying, else in objects.
    case progress(done: UInt64, total: UInt64)
    /// A backup is running. Reported once for each session.
    case waiting(SessionRecord)
    /// A session was ended because it was abandoned or took too long.
    case revoked(ID128)
    /// A pack stays because a needed blob in it cannot be read.
    case damaged(CorruptionError)
    /// Some blobs of a pack cannot be read, but other copies of them are kept.
    case damagedCopy(CorruptionError)
    /// A forgotten snapshot's marker is damaged, so none of its content is deleted. Reported once for each snapshot.
    case inDoubt(ForgetDoubt)
}

/// The report of a prune, or of a dry run.
public struct PruneReport: Sendable, Equatable {
    /// The number of snapshots that are not forgotten.
    public var snapshots = 0
    /// The number of blobs to which these snapshots refer.
    public var livingBlobs = 0
    /// The number of packs before the prune.
    public var packs = 0
    /// Their bytes.
    public var packBytes: UInt64 = 0
    /// The number of deleted packs, including those that were rewritten.
    public var deletedPacks = 0
    /// Their bytes.
    public var deletedBytes: UInt64 = 0
    /// The number of packs that were rewritten.
    public var rewrittenPacks = 0
    /// The bytes that were written to new packs.
    public var copiedBytes: UInt64 = 0
    /// The unused bytes in the packs that remain.
    public var unusedBytes: UInt64 = 0
    /// The number of sessions that were ended.
    public var revokedSessions = 0
    /// The number of packs in which a needed blob, or a copy of one, could not be read.
    public var damagedPacks = 0
    /// The number of forgotten snapshots whose content stays because their markers are damaged.
    public var snapshotsInDoubt = 0
    /// True if a limit or a request to stop left work for a later prune.
    public var isPartial = false
    /// True if the user ended the prune early.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}

    /// The bytes of freed space: those of deleted packs minus those of new packs.
    public var freedBytes: UInt64 { deletedBytes > copiedBytes ? deletedBytes - copiedBytes : 0 }
}
