// RepairSnapshots: a snapshot whose record is missing or damaged comes back by the record's spare. Beside each snapshot
// that has lost something it makes a new one with all that is left; the original stays as it is. A file of which any
// part is lost is left out and named: no file comes back with wrong bytes.

import BakCore
import BakFormat
import BakStorage

/// Repairs snapshots.
public final class RepairSnapshots: RepositoryRepair {
    /// The label of the snapshots that are made.
    public static let tag = "repaired"

    /// The snapshots that were brought back, in this attempt or an earlier one.
    private var broughtBack: Set<ID128> = []

    /// What was made before an interruption stays.
    override func attempt() throws -> Bool {
        let list = try repository.snapshotList()
        // Whether one of which the forget marker does not open is wanted is for the user to say.
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
            // Of one that has lost files as well, what is left becomes a snapshot of its own.
            let isWhole = try checker.check(spare).isCleanForAll()
            if isWhole || snapshot.isMissing { spared.append((snapshot, spare)) }
            if !isWhole { damaged.append(spare) }
        }
        let session = damaged.isEmpty && unreadable.isEmpty ? nil : try begin()
        defer { session?.close() }
        // A prune that began or ended before the session was registered does not wait for it.
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

    /// Makes a snapshot what its spare says; false if that is not possible now. Where its record is missing or damaged
    /// the spare's bytes take its place; where the medium or a folder keeps that place the snapshot is committed again,
    /// and the record hidden.
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
        // A record that a prune would see again keeps what it needs, also where a plan has condemned it.
        let isDamaged = (snapshot.error as? CorruptionError)?.cause == .damage
        if snapshot.isMissing || isDamaged, let bytes = try repository.spare(snapshot.id)?.bytes {
            let key = ObjectNames.snapshot(snapshot.id)
            // Stopped before the next put, the record is missing, and comes back by its spare all the same.
            if !snapshot.isMissing { try repository.store.delete(key) }
            do {
                if try repository.store.putOwn(key, bytes) {
                    onEvent(.broughtBack(snapshot: snapshot.id, as: nil))
                    return true
                }
            } catch let error as StoreError where error.kind == .obstructed {
                // What is in its place keeps it.
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
                onEvent(.lostSnapshot(snapshot: snapshot.id, reason: "nothing of it is left"))
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
        // The same losses give the same list: an earlier repair may have made the snapshot.
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

/// Sees to it that a session may count on chunks. What lies only in packs that a prune is about to delete, or that
/// belong to a session whose record is damaged, is stored anew. For one thread.
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

    /// False if the chunk cannot be read.
    func keep(_ chunk: BlobReference) throws -> Bool {
        if session.index.isKnown(chunk) { return true }
        do {
            let bytes = try reader.copy(of: chunk, kind: .chunkPack, index: index)
            _ = try bytes.withUnsafeBytes { try writer.store($0, isCompressed: false) }
            return true
        } catch  where error is CorruptionError || error is MissingBlobError {
            // A prune may have decided since the look began: then all is looked at again.
            if try session.isOvertaken(error) { throw error }
            return false
        }
    }
}

/// Writes what is left of a manifest. For one thread.
private final class ManifestRewriter {
    let manifest: ManifestWriter
    private(set) var lostFiles = 0
    private(set) var entries = 0
    private var counters = SnapshotCounters()
    private let later: LaterExtents
    private let onLost: (_ path: [UInt8], _ reason: String) -> Void
    /// Whether an error may only say that a prune has taken something meanwhile.
    private let isOvertaken: (any Error) throws -> Bool
    /// The entry that waits for further extents, as its own record has it; the bytes of all that have come, and what it
    /// lacks.
    private var open: OpenFile?
    /// The folders that the last entry lies in.
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
            reason = "what is there of its content does not add up to its size"
        }
        if let reason {
            lostFiles += 1
            return onLost(entry.path, reason)
        }
        try addFolders(above: entry)
        try append(entry, isContinued: file.isContinued)
    }

    /// What lies in a folder can be restored only with the folder: one that is lost is made up for.
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

    /// Enters what there is and what is not.
    func count(in record: inout SnapshotCounters) {
        (record.files, record.bytes) = (counters.files, counters.bytes)
        record.goneFiles = counters.goneFiles
        (record.folders, record.others) = (counters.folders, counters.others)
        record.failedItems.add(UInt64(lostFiles))
    }
}
