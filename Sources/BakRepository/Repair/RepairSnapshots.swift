// RepairSnapshots: repairs snapshots in two ways. If a snapshot's commit record is missing or damaged, the repair
// brings the snapshot back from its spare, the second copy of the record. If a snapshot has lost content, the repair
// makes a new snapshot of everything that is left, and the original stays as it is. The new snapshot leaves out each
// file of which any part is lost, so no file comes back with wrong bytes. The repair names these files.

import BakCore
import BakFormat
import BakStorage

/// Repairs snapshots.
public final class RepairSnapshots: RepositoryRepair {
    /// The tag of the snapshots that a repair makes.
    public static let tag = "repaired"

    /// The snapshots that this attempt or an earlier one brought back.
    private var broughtBack: Set<ID128> = []

    /// Makes one attempt. If it is interrupted, the snapshots that it has made stay.
    override func attempt() throws -> Bool {
        let list = try repository.snapshotList()
        // If a snapshot's forget marker cannot be read, only the user can say whether to keep the snapshot. So it is
        // left alone.
        let (readable, unreadable) = (list.readable, list.unreadable.filter { !$0.isDoubtful })
        let index = try BlobIndex(repository)
        let lost = DamagedBlobs(packs: try repository.missingPacks(index))
        onEvent(.step("manifests"))
        let checker = ManifestChecker(repository, index, lost) { _, _, _ in }
        var damaged: [CommitRecord] = []
        var spared: [(snapshot: UnreadableSnapshot, record: CommitRecord)] = []
        for snapshot in readable where !stop.isRequested {
            if try !checker.check(snapshot).isCleanForAll() { damaged.append(snapshot) }
        }
        for snapshot in unreadable where !stop.isRequested {
            guard let spare = snapshot.spare, snapshot.isDamage else { continue }
            // If the snapshot has also lost files, a new snapshot is made of its other files.
            let isWhole = try checker.check(spare).isCleanForAll()
            if isWhole || snapshot.isMissing { spared.append((snapshot, spare)) }
            if !isWhole { damaged.append(spare) }
        }
        let session = damaged.isEmpty && unreadable.isEmpty ? nil : try begin()
        defer { session?.close() }
        // If a prune has begun or ended since the list was read, the prune may not wait for the session. Then try
        // again.
        let rounds = session?.index.trusted.collections.rounds ?? index.trusted.collections.rounds
        guard try isUndisturbed(), rounds == index.trusted.collections.rounds else { return false }
        report.wasNeeded = !damaged.isEmpty || !unreadable.isEmpty || !broughtBack.isEmpty
        for (snapshot, record) in spared where !stop.isRequested {
            if try bringBack(snapshot, record, readable) { broughtBack.insert(snapshot.id) }
        }
        let known = broughtBack.union(damaged.map(\.id))
        for snapshot in unreadable where !known.contains(snapshot.id) {
            onEvent(.lostSnapshot(snapshot: snapshot.id, reason: "\(snapshot.error)"))
            if snapshot.spare == nil, let record = try repository.partialRecord(of: snapshot, index) {
                damaged.append(record)
            } else {
                report.affectedSnapshots += 1
            }
        }
        report.broughtBack = broughtBack.count
        if let session, !damaged.isEmpty, !stop.isRequested {
            try replace(damaged, among: readable, index, lost, in: session)
        }
        if !request.isDryRun, !stop.isRequested { try repository.renewSpares(isThorough: true) }
        report.wasInterrupted = stop.isRequested
        return true
    }

    /// Restores a snapshot from its spare. Returns false if that is impossible now. If the record is missing or
    /// damaged, the spare's bytes replace it. If the medium or an obstruction prevents that, the repair commits the
    /// snapshot again and hides the damaged record behind a forget marker.
    private func bringBack(
        _ snapshot: UnreadableSnapshot, _ record: CommitRecord, _ readable: [CommitRecord]
    ) throws -> Bool {
        if let back = readable.first(where: { $0.standsFor(record) }) {
            return try hide(snapshot.id, behind: back.id)
        }
        if request.isDryRun {
            onEvent(.broughtBack(snapshot: snapshot.id, as: nil))
            return true
        }
        // A prune that runs sees the restored record. So it keeps the snapshot's content, even in packs that its plan
        // names.
        let isDamaged = (snapshot.error as? CorruptionError)?.cause == .damage
        if snapshot.isMissing || isDamaged, let bytes = try repository.spare(snapshot.id)?.bytes {
            let key = ObjectNames.snapshot(snapshot.id)
            // If the program stops before the next put, the record is missing, and its spare can still bring it back.
            if !snapshot.isMissing { try repository.store.delete(key) }
            do {
                if try repository.store.putOwn(key, bytes) {
                    onEvent(.broughtBack(snapshot: snapshot.id, as: nil))
                    return true
                }
            } catch let error as StoreError where error.kind == .obstructed {
                // The obstruction stays. The snapshot is committed again below.
            }
        }
        let outcome = try repository.takeBack(record, host: request.host, program: request.program)
        guard case .back(let back) = outcome else { return false }
        return try hide(snapshot.id, behind: back.id)
    }

    private func hide(_ damaged: ID128, behind back: ID128) throws -> Bool {
        if !request.isDryRun {
            try repository.forget([damaged], host: request.host, program: request.program)
        }
        onEvent(.broughtBack(snapshot: damaged, as: request.isDryRun ? nil : back))
        return true
    }

    private func begin() throws -> BackupSession {
        try BackupSession(
            repository, host: request.host, program: request.program, isDryRun: request.isDryRun)
    }

    private func replace(
        _ damaged: [CommitRecord], among all: [CommitRecord], _ index: BlobIndex, _ lost: DamagedBlobs,
        in session: BackupSession
    ) throws {
        let keeper = ChunkKeeper(repository, index, session)
        let blobs = session.makeWriter(.manifestPack, compression: .auto)
        for (number, snapshot) in damaged.enumerated() where !stop.isRequested {
            onEvent(.progress(done: UInt64(number), total: UInt64(damaged.count)))
            report.affectedSnapshots += 1
            let later = LaterExtents(of: snapshot, repository, index)
            let rewriter = ManifestRewriter(
                ManifestWriter(blobs), later, isOvertaken: session.isOvertaken
            ) { [onEvent] path, reason in
                onEvent(.lostFile(snapshot: snapshot.id, path: path, reason: reason))
            }
            let isLost = { (blob: BlobReference) in
                let places = index.locations(of: blob)
                return try places.allSatisfy(lost.contains) || !keeper.keep(blob)
            }
            do {
                try rewriter.run(
                    try ManifestReader(snapshot, repository: repository, index: index), isLost: isLost)
            } catch  where error is CorruptionError || error is MissingBlobError {
                if try session.isOvertaken(error) { throw error }
                onEvent(.lostSnapshot(snapshot: snapshot.id, reason: "\(error)"))
                continue
            }
            report.lostFiles += rewriter.lostFiles
            guard rewriter.entries > 0 else {
                onEvent(.lostSnapshot(snapshot: snapshot.id, reason: "no data of it is left"))
                continue
            }
            try commit(snapshot, rewriter, all, session, isLast: number == damaged.count - 1)
        }
    }

    private func commit(
        _ snapshot: CommitRecord, _ rewriter: ManifestRewriter, _ all: [CommitRecord],
        _ session: BackupSession, isLast: Bool
    ) throws {
        let root = try rewriter.manifest.storeRoot()
        // The same losses give the same manifest, so an earlier repair may have made this snapshot.
        if let known = all.first(where: { $0.root == root && $0.time == snapshot.time }) {
            return onEvent(
                .replaced(
                    snapshot: snapshot.id, by: known.id, lostFiles: rewriter.lostFiles, isNew: false))
        }
        let made = try session.commit(continuing: !isLast) { id, hasIndex in
            var record = snapshot
            (record.id, record.hasIndex, record.root) = (id, hasIndex, root)
            (record.endTime, record.parent) = (repository.time.now(), snapshot.id)
            (record.original, record.joined, record.isLacking) = (nil, [], snapshot.isArchive)
            if !record.tags.contains(Self.tag) { record.tags.append(Self.tag) }
            rewriter.count(in: &record.counters)
            return record
        }
        report.newSnapshots += 1
        onEvent(
            .replaced(
                snapshot: snapshot.id, by: request.isDryRun ? nil : made.id, lostFiles: rewriter.lostFiles,
                isNew: true))
    }
}

/// Makes sure that a session may rely on chunks. The keeper stores a chunk again if the chunk lies only in packs that a
/// prune is about to delete, or only in packs of a session whose record is damaged. For one thread.
private struct ChunkKeeper {
    private let index: BlobIndex
    private let session: BackupSession
    private let reader: BlobReader
    private let writer: BlobWriter

    init(_ repository: Repository, _ index: BlobIndex, _ session: BackupSession) {
        (self.index, self.session) = (index, session)
        reader = BlobReader(repository)
        writer = session.makeWriter(.chunkPack, compression: .auto)
    }

    /// Makes sure that the session may rely on the chunk. Returns false if the chunk cannot be read.
    func keep(_ chunk: BlobReference) throws -> Bool {
        if session.index.isKnown(chunk) { return true }
        do {
            let bytes = try reader.copy(of: chunk, kind: .chunkPack, index: index)
            _ = try bytes.withUnsafeBytes { try writer.store($0, isCompressed: false) }
            return true
        } catch  where error is CorruptionError || error is MissingBlobError {
            // A prune may have decided a round since the attempt began. Then the repair starts again.
            if try session.isOvertaken(error) { throw error }
            return false
        }
    }
}

/// Writes a manifest of the entries that have lost nothing. For one thread.
private final class ManifestRewriter {
    let manifest: ManifestWriter
    private(set) var lostFiles = 0
    private(set) var entries = 0
    private var counters = SnapshotCounters()
    private let later: LaterExtents
    private let onLost: (_ path: [UInt8], _ reason: String) -> Void
    /// Returns true if the error may only mean that a prune has deleted something meanwhile.
    private let isOvertaken: (any Error) throws -> Bool
    /// The file that was read last. Further extents of it may follow.
    private var open: OpenFile?
    /// The folders that contain the last entry.
    private var folders = PathStack<Void>()

    private struct OpenFile {
        let entry: ManifestEntry
        var bytes: UInt64 = 0
        var isContinued = false
        var fault: String?
    }

    init(
        _ manifest: ManifestWriter, _ later: LaterExtents,
        isOvertaken: @escaping (any Error) throws -> Bool,
        onLost: @escaping (_ path: [UInt8], _ reason: String) -> Void
    ) {
        (self.manifest, self.later) = (manifest, later)
        self.isOvertaken = isOvertaken
        self.onLost = onLost
    }

    func run(_ reader: ManifestReader, isLost: (BlobReference) throws -> Bool) throws {
        while true {
            let next: ManifestRecord?
            do {
                next = try reader.next()
            } catch  where error is CorruptionError || error is MissingBlobError {
                if try isOvertaken(error) { throw error }
                try close()
                let path = reader.skipSegment()
                lostFiles += 1
                onLost(path, "the list of files is lost from here on: \(error)")
                continue
            }
            switch next {
            case .entry(let entry)?:
                try close()
                open = OpenFile(entry: entry)
                if case .extents(let extents) = entry.content { try note(extents, isLost) }
            case .continuation(let more)?:
                open?.isContinued = true
                try note(more, isLost)
            case nil: return try close()
            }
        }
    }

    private func note(_ extents: [Extent], _ isLost: (BlobReference) throws -> Bool) throws {
        guard open?.fault == nil else { return }
        open?.bytes.add(extents.total(\.length))
        for case .chunk(let blob) in extents where try isLost(blob) {
            open?.fault = "chunk \(blob.id) is lost"
            return
        }
    }

    private func close() throws {
        guard let file = open else { return }
        open = nil
        let entry = file.entry
        var reason = file.fault
        if reason == nil, case .extents = entry.content, file.bytes != entry.stat.size {
            reason = "its remaining content does not add up to its size"
        }
        if let reason {
            lostFiles += 1
            return onLost(entry.path, reason)
        }
        try addFolders(above: entry)
        try append(entry, isContinued: file.isContinued)
    }

    /// Adds a new entry for each folder above `entry` if the folder's own entry is lost. Without its folders, `entry`
    /// could not be restored.
    private func addFolders(above entry: ManifestEntry) throws {
        while !folders.isEmpty, !folders.holds(entry.path) { folders.pop() }
        var end = folders.path.count
        while let slash = entry.path[(end + (end > 0 ? 1 : 0))...].firstIndex(of: UInt8(ascii: "/")) {
            var stat = FileStat(type: .directory)
            (stat.mode, stat.uid, stat.gid) = (0o700, entry.stat.uid, entry.stat.gid)
            (stat.mtime, stat.device) = (entry.stat.mtime, entry.stat.device)
            var attributes = FileAttributes()
            (attributes.userName, attributes.groupName) =
                (entry.attributes.userName, entry.attributes.groupName)
            try append(
                ManifestEntry(
                    path: Array(entry.path[..<slash]), stat: stat, attributes: attributes, content: nil,
                    isUnsettled: true))
            end = slash
        }
    }

    private func append(_ entry: ManifestEntry, isContinued: Bool = false) throws {
        if isContinued { try later.append(entry, to: manifest) } else { try manifest.append(entry) }
        entries += 1
        switch entry.stat.type {
        case .regular:
            counters.files += 1
            counters.bytes.add(entry.stat.size)
            if entry.goneSince != nil { counters.goneFiles += 1 }
        case .directory:
            counters.folders += 1
            folders.push(entry.path, ())
        default: counters.others += 1
        }
    }

    /// Writes the counts of kept entries and of lost files into the counters of a commit record.
    func count(in record: inout SnapshotCounters) {
        (record.files, record.bytes) = (counters.files, counters.bytes)
        record.goneFiles = counters.goneFiles
        (record.folders, record.others) = (counters.folders, counters.others)
        record.failedItems.add(UInt64(lostFiles))
    }
}
