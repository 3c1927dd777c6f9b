// What a prune may do, what it tells while it works, and what it did.

import BakCore
import BakFormat
import BakStorage

/// What a prune may do.
public struct PruneOptions: Sendable {
    /// How much of a repository may lie unused in packs that hold something living too.
    public enum Allowance: Sendable, Equatable {
        /// So many hundredths of the repository, below 100.
        case percent(Double)
        /// So many bytes.
        case bytes(UInt64)
        /// Any amount: no pack is rewritten.
        case unlimited
    }

    /// Packs are rewritten, the most wasteful first, until no more than this is unused.
    public var maxUnused = Allowance.percent(5)
    /// How many bytes may be copied to new packs; nil for any number.
    public var maxRepackBytes: UInt64?
    /// When copying and waiting end, in nanoseconds from the start; nil for no limit.
    public var maxDurationNanoseconds: UInt64?
    /// How long a running backup is left alone before its session is ended, in seconds. It then goes on under a
    /// new one.
    public var graceSeconds: UInt64 = 30
    /// How many threads read manifests.
    public var workerCount = 1
    /// Whether to work everything out and change nothing.
    public var isDryRun = false
    /// Whether the user says that no other program writes. A store that does not guard names needs that.
    public var isAlone = false
    /// Snapshots that a dry run takes for forgotten.
    public var alsoForgotten: Set<ID128> = []
    /// Lets so many nanoseconds pass.
    public var pause: @Sendable (_ nanoseconds: UInt64) -> Void = { _ in }

    /// The defaults.
    public init() {}
}

/// What a prune is doing.
public enum PruneStep: String, Sendable {
    /// Reads what the snapshots refer to.
    case marking
    /// Waits for running backups.
    case waiting
    /// Reads the copy to keep of blobs that lie in several packs.
    case verifying
    /// Copies what is needed of wasteful packs.
    case copying
    /// Writes the index anew.
    case indexing
    /// Deletes.
    case deleting
}

/// Something that happens while a prune works.
public enum PruneEvent: Sendable {
    /// A step begins.
    case step(PruneStep)
    /// So much of the step is done: bytes when copying, else objects.
    case progress(done: UInt64, total: UInt64)
    /// A backup is running; told once for each session.
    case waiting(SessionRecord)
    /// A session was ended, because it was given up or took too long.
    case revoked(ID128)
    /// A pack that should be rewritten stays, because it cannot be read.
    case damaged(CorruptionError)
    /// Blobs of a pack cannot be read; other copies of them are kept.
    case damagedCopy(CorruptionError)
    /// A forgotten snapshot's marker is damaged: nothing of it is deleted. Told once for each.
    case inDoubt(ForgetDoubt)
}

/// What a prune did, or would do.
public struct PruneReport: Sendable, Equatable {
    /// Snapshots that stay.
    public var snapshots = 0
    /// Blobs that they refer to.
    public var livingBlobs = 0
    /// Packs before.
    public var packs = 0
    /// Their bytes.
    public var packBytes: UInt64 = 0
    /// Packs deleted, those that were rewritten among them.
    public var deletedPacks = 0
    /// Their bytes.
    public var deletedBytes: UInt64 = 0
    /// Packs rewritten.
    public var rewrittenPacks = 0
    /// Bytes written to new packs for them.
    public var copiedBytes: UInt64 = 0
    /// Bytes in packs that stay which nothing refers to.
    public var unusedBytes: UInt64 = 0
    /// Sessions that were ended.
    public var revokedSessions = 0
    /// Packs in which something that is needed, or a copy of it, could not be read.
    public var damagedPacks = 0
    /// Forgotten snapshots of which nothing is deleted because their markers are damaged.
    public var snapshotsInDoubt = 0
    /// Whether a limit or the wish to stop left something for another time.
    public var isPartial = false
    /// Whether it was ended early by the user.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}

    /// Bytes of packs that came back.
    public var freedBytes: UInt64 { deletedBytes > copiedBytes ? deletedBytes - copiedBytes : 0 }
}
