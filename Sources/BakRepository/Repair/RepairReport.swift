// RepairReport: the events, report and request of a repair.

import BakCore
import BakFormat

/// An event of a repair.
public enum RepairEvent: Sendable {
    /// A step begins.
    case step(String)
    /// The part of the step that is done, in bytes or objects.
    case progress(done: UInt64, total: UInt64)
    /// An object is damaged, missing or unreadable.
    case damage(object: String, reason: String)
    /// Blobs were copied out of a pack. `of` is the number of the pack's blobs that no undamaged pack has. `blobs` is
    /// the number of these blobs that are whole.
    case salvaged(pack: ID128, blobs: Int, of: Int)
    /// A file of a snapshot is still lost.
    case lostFile(snapshot: ID128, path: [UInt8], reason: String)
    /// A snapshot cannot be read, or only in part.
    case lostSnapshot(snapshot: ID128, reason: String)
    /// A new snapshot has everything that is left of a damaged one. `by` is its id, or nil if a dry run would make it.
    /// `isNew` is false if an earlier repair made it.
    case replaced(snapshot: ID128, by: ID128?, lostFiles: Int, isNew: Bool)
    /// A snapshot whose record was missing or damaged is available again; in a dry run, it would be. `as` is its new id
    /// if its own name could not be used.
    case broughtBack(snapshot: ID128, as: ID128?)
}

/// The report of a repair.
public struct RepairReport: Sendable, Equatable {
    /// The number of packs that the repair looked at.
    public var packs = 0
    /// The number of packs that are damaged or missing.
    public var damagedPacks = 0
    /// The number of blobs that the old index did not name, or for which it named a wrong place.
    public var foundBlobs = 0
    /// The number of blobs that the index no longer names. They are lost; the next backup that still has their content
    /// stores them again.
    public var lostBlobs = 0
    /// The number of blobs that were copied out of damaged packs.
    public var salvagedBlobs = 0
    /// The size of the new packs to which blobs were copied.
    public var writtenBytes: UInt64 = 0
    /// The number of new snapshots that were made from damaged ones.
    public var newSnapshots = 0
    /// The number of snapshots whose record is available again.
    public var broughtBack = 0
    /// The number of files that are still lost, counted in each snapshot that has them.
    public var lostFiles = 0
    /// The number of snapshots that lack files or cannot be read.
    public var affectedSnapshots = 0
    /// True if the index contradicts the lists of blobs in packs. The index must be repaired first then.
    public var needsIndexRepair = false
    /// True if the repair found anything wrong.
    public var wasNeeded = false
    /// True if the user ended the repair early. Nothing has changed then, except for snapshots that the repair had
    /// already made or brought back.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}

    /// True if everything to which snapshots refer is in the repository.
    public var isWhole: Bool { lostFiles == 0 && affectedSnapshots == 0 && !needsIndexRepair }
}

/// The options of a repair.
public struct RepairRequest: Sendable {
    /// The machine's name, for the records.
    public var host: String
    /// The program and its version, for the records.
    public var program: String
    /// The number of packs to read at once.
    public var workerCount = 2
    /// True if the repair only reports and changes nothing.
    public var isDryRun = false
    /// True if the user says that no other program writes.
    public var isAlone = false
    /// The packs to repair; empty for all.
    public var packs: [ID128] = []

    /// Makes a request with the defaults.
    public init(host: String, program: String) { (self.host, self.program) = (host, program) }
}

/// Reads the manifests of snapshots to find the files that are lost.
struct LossFinder {
    let repository: Repository
    let onEvent: (RepairEvent) -> Void
    let stop: StopSignal

    /// Reports what the snapshots have lost and adds it to the report. `snapshots` must be listed before `index` is
    /// read, so that the index has the content of a backup that commits in between.
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
