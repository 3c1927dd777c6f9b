// What a repair tells while it works, and what it did.

import BakCore
import BakFormat

/// Something that happens while a repair works.
public enum RepairEvent: Sendable {
    /// A step begins.
    case step(String)
    /// So much of the step is done, in bytes or objects.
    case progress(done: UInt64, total: UInt64)
    /// An object is damaged, missing or cannot be read.
    case damage(object: String, reason: String)
    /// Of a damaged pack so many blobs are whole, of all that the index has there.
    case salvaged(pack: ID128, blobs: Int, of: Int)
    /// A file of a snapshot is still lost.
    case lostFile(snapshot: ID128, path: [UInt8], reason: String)
    /// A snapshot cannot be read, or not as a whole.
    case lostSnapshot(snapshot: ID128, reason: String)
    /// A snapshot stands beside a damaged one, with all of it that is left; nil in a dry run. `isNew` is false when an
    /// earlier repair made it.
    case replaced(snapshot: ID128, by: ID128?, lostFiles: Int, isNew: Bool)
    /// A snapshot whose record was missing or damaged is there again as it was, or would be after a dry run: under a
    /// new id where something was in the way.
    case broughtBack(snapshot: ID128, as: ID128?)
}

/// What a repair did.
public struct RepairReport: Sendable, Equatable {
    /// Packs looked at.
    public var packs = 0
    /// Packs that are damaged or missing.
    public var damagedPacks = 0
    /// Blobs that the index names now and did not before.
    public var foundBlobs = 0
    /// Blobs that the index named and does not name any more: they are lost, and the next backup that still has them
    /// stores them again.
    public var lostBlobs = 0
    /// Blobs copied out of damaged packs.
    public var salvagedBlobs = 0
    /// The bytes of the packs that they were copied to.
    public var writtenBytes: UInt64 = 0
    /// Snapshots that were made beside damaged ones.
    public var newSnapshots = 0
    /// Snapshots whose record is there again as it was.
    public var broughtBack = 0
    /// Files that are still lost, counted in each snapshot that has them.
    public var lostFiles = 0
    /// Snapshots that lack files or cannot be read.
    public var affectedSnapshots = 0
    /// Whether the index does not say what packs say themselves, so that it is to be repaired first.
    public var needsIndexRepair = false
    /// Whether anything was wrong.
    public var wasNeeded = false
    /// Whether the user ended it before its end; nothing was changed then.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}

    /// Whether everything that snapshots refer to is there.
    public var isWhole: Bool { lostFiles == 0 && affectedSnapshots == 0 && !needsIndexRepair }
}

/// What a repair needs to know.
public struct RepairRequest: Sendable {
    /// The machine's name, for the records.
    public var host: String
    /// The program and its version.
    public var program: String
    /// How many packs are read at once.
    public var workerCount = 2
    /// Whether to change nothing and only report.
    public var isDryRun = false
    /// Whether the user says that no other program writes.
    public var isAlone = false
    /// The packs to look at; empty for all.
    public var packs: [ID128] = []

    /// Makes a request with the defaults.
    public init(host: String, program: String) { (self.host, self.program) = (host, program) }
}

/// Files that snapshots have lost, found in their manifests.
struct LossFinder {
    let repository: Repository
    let onEvent: (RepairEvent) -> Void
    let stop: StopSignal

    /// Names what the snapshots lack and adds it to the report.
    ///
    /// - Parameters:
    ///   - snapshots: listed before `index` was read, so that a backup beside it that commits later is not missing
    ///     there.
    func find(
        _ snapshots: SnapshotList, in index: BlobIndex, _ damage: DamagedBlobs, _ report: inout RepairReport
    ) throws {
        for snapshot in snapshots.unreadable where !snapshot.isDoubtful {
            report.affectedSnapshots += 1
            onEvent(.lostSnapshot(snapshot: snapshot.id, reason: "\(snapshot.error)"))
        }
        let onEvent = onEvent
        let checker = ManifestChecker(repository, index, damage) { snapshot, path, reason in
            onEvent(.lostFile(snapshot: snapshot, path: path, reason: reason))
        }
        for snapshot in snapshots.readable where !stop.isRequested {
            let found = try checker.check(snapshot)
            if found.isClean { continue }
            report.lostFiles += found.files
            report.affectedSnapshots += 1
            if let failure = found.failure { onEvent(.lostSnapshot(snapshot: snapshot.id, reason: failure)) }
        }
    }
}
