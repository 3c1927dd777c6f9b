// RepairSnapshots: beside each snapshot that has lost something, a new one with all that is left of it. The original
// stays as it is. A file of which any part is lost is left out and named: no file comes back with wrong bytes.

import BakCore
import BakFormat
import BakStorage

/// Repairs snapshots.
public final class RepairSnapshots: RepositoryRepair {
    /// The label of the snapshots that are made.
    public static let tag = "repaired"

    /// What was made before an interruption stays.
    override func attempt() throws -> Bool {
        let (readable, unreadable) = try repository.snapshots()
        let index = try BlobIndex(repository)
        let lost = try missingPacks(index)
        onEvent(.step("manifests"))
        let checker = ManifestChecker(repository, index, lost) { _, _, _ in }
        var damaged: [CommitRecord] = []
        for snapshot in readable where !isCancelled() {
            if try !checker.check(snapshot).isClean { damaged.append(snapshot) }
        }
        guard try isUndisturbed() else { return false }
        report.wasNeeded = !damaged.isEmpty || !unreadable.isEmpty
        for snapshot in unreadable {
            onEvent(.lostSnapshot(snapshot: snapshot.id, reason: "\(snapshot.error)"))
            if let record = try recover(snapshot, index) {
                damaged.append(record)
            } else {
                report.affectedSnapshots += 1
            }
        }
        if !damaged.isEmpty, !isCancelled() { try replace(damaged, among: readable, index, lost) }
        report.wasInterrupted = isCancelled()
        return true
    }

    /// What can be said of a snapshot whose commit record is damaged, when its session still shows which list of files
    /// it committed. It counts as partial: whether it was complete is lost.
    private func recover(_ snapshot: UnreadableSnapshot, _ index: BlobIndex) throws -> CommitRecord? {
        // What this program or this user cannot read others may.
        guard let error = snapshot.error as? CorruptionError, !error.needsNewerProgram else { return nil }
        let segment: IndexSegment
        do {
            segment = try repository.indexSegment(snapshot.id)
        } catch is CorruptionError { return nil } catch let error as StoreError where error.kind == .notFound
        {
            return nil
        }
        let reader = BlobReader(repository)
        for entry in segment.entries where segment.packs[Int(entry.pack)].kind == .manifestPack {
            let reference = BlobReference(id: entry.id, length: entry.rawLength)
            // A session stores one root, and no list of files can be taken for one.
            guard let bytes = try? reader.read(reference, kind: .manifestPack, index: index),
                let root = try? ManifestRoot(decoding: bytes, object: ""), let first = root.segments.first
            else { continue }
            let session = try? repository.sessionRecord(snapshot.id)
            let top = first.firstPath.prefix { $0 != UInt8(ascii: "/") }
            return CommitRecord(
                id: snapshot.id, time: session?.time ?? Timestamp(seconds: 0),
                endTime: repository.time.now(), host: session?.host ?? "", device: session?.host ?? "",
                user: "", program: session?.program ?? "", paths: [Array(top)], tags: [], parent: nil,
                isComplete: false, hasIndex: true, root: reference, counters: SnapshotCounters())
        }
        return nil
    }

    /// The packs that are not there, or not as long as they were: what is in them may not be had.
    private func missingPacks(_ index: BlobIndex) throws -> DamagedBlobs {
        var lost = DamagedBlobs()
        for pack in try PackCensus(repository.store, index, onStray: { _ in }).packs
        where (pack.storedBytes ?? 0) < pack.indexed.size {
            lost.packs.insert(pack.id)
        }
        return lost
    }

    private func replace(
        _ damaged: [CommitRecord], among all: [CommitRecord], _ index: BlobIndex, _ lost: DamagedBlobs
    ) throws {
        let session = try BackupSession(
            repository, host: request.host, program: request.program, isDryRun: request.isDryRun)
        defer { session.close() }
        let blobs = session.makeWriter(.manifestPack, compression: .auto)
        for (number, snapshot) in damaged.enumerated() where !isCancelled() {
            onEvent(.progress(done: UInt64(number), total: UInt64(damaged.count)))
            report.affectedSnapshots += 1
            let rewriter = ManifestRewriter(snapshot, ManifestWriter(blobs)) { [onEvent] path, reason in
                onEvent(.lostFile(snapshot: snapshot.id, path: path, reason: reason))
            }
            let isLost = { (blob: BlobReference) in
                let places = index.locations(of: blob)
                return places.allSatisfy(lost.contains)
            }
            do {
                try rewriter.run(
                    try ManifestReader(snapshot, repository: repository, index: index), isLost: isLost)
            } catch  where error is CorruptionError || error is MissingBlobError {
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
            record.original = nil
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

/// Writes what is left of a manifest. For one thread.
private final class ManifestRewriter {
    let manifest: ManifestWriter
    private(set) var lostFiles = 0
    private(set) var entries = 0
    private var counters = SnapshotCounters()
    private let snapshot: CommitRecord
    private let onLost: (_ path: [UInt8], _ reason: String) -> Void
    /// The entry that waits for further extents, and what it lacks.
    private var open: (entry: ManifestEntry, fault: String?)?
    /// The folders that the last entry lies in.
    private var folders: [[UInt8]] = []

    init(
        _ snapshot: CommitRecord, _ manifest: ManifestWriter,
        onLost: @escaping (_ path: [UInt8], _ reason: String) -> Void
    ) {
        self.snapshot = snapshot
        self.manifest = manifest
        self.onLost = onLost
    }

    func run(_ reader: ManifestReader, isLost: (BlobReference) -> Bool) throws {
        while true {
            do {
                guard let record = try reader.next() else { break }
                switch record {
                case .entry(let entry):
                    try close()
                    open = (entry, nil)
                    if case .extents(let extents) = entry.content { note(extents, isLost) }
                case .continuation(let more):
                    guard case .extents(let extents)? = open?.entry.content else { continue }
                    // A file that is lost anyway need not be gathered.
                    let isWhole = open?.fault == nil
                    open?.entry.content = .extents(isWhole ? extents + more : [])
                    note(more, isLost)
                }
            } catch  where error is CorruptionError || error is MissingBlobError {
                try close()
                let path = reader.skipSegment()
                lostFiles += 1
                onLost(path, "the list of files is lost from here on: \(error)")
            }
        }
        try close()
    }

    private func note(_ extents: [Extent], _ isLost: (BlobReference) -> Bool) {
        guard open?.fault == nil else { return }
        for case .chunk(let blob) in extents where isLost(blob) {
            open?.fault = "chunk \(blob.id) is lost"
            return
        }
    }

    private func close() throws {
        guard let (entry, fault) = open else { return }
        open = nil
        var reason = fault
        if reason == nil, case .extents(let extents) = entry.content, extents.totalLength != entry.stat.size {
            reason = "the rest of its content is lost"
        }
        if let reason {
            lostFiles += 1
            return onLost(entry.path, reason)
        }
        try addFolders(above: entry)
        try append(entry)
    }

    /// What lies in a folder can be restored only with the folder: one that is lost is made up for.
    private func addFolders(above entry: ManifestEntry) throws {
        folders.removeAll { !PathOrder.isAtOrBeneath(entry.path, $0) || $0 == entry.path }
        var end = folders.last?.count ?? 0
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

    private func append(_ entry: ManifestEntry) throws {
        try manifest.append(entry)
        entries += 1
        switch entry.stat.type {
        case .regular:
            counters.files += 1
            counters.bytes &+= entry.stat.size
            if entry.goneSince != nil { counters.goneFiles += 1 }
        case .directory:
            counters.folders += 1
            folders.append(entry.path)
        default: counters.others += 1
        }
    }

    /// Enters what there is and what is not.
    func count(in record: inout SnapshotCounters) {
        (record.files, record.bytes) = (counters.files, counters.bytes)
        record.goneFiles = counters.goneFiles
        (record.folders, record.others) = (counters.folders, counters.others)
        record.failedItems &+= UInt64(lostFiles)
    }
}
