// ManifestAssembler: turns steps, in the order of the walk, into the manifest, counters, checkpoints and the commit.
//
// Always holds: everything that a commit record refers to has been handed to writers before the record is written.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// The last stage of a backup. It works in the order of the walk, on its own thread until `finish`.
final class ManifestAssembler: @unchecked Sendable {
    private let session: BackupSession
    private let request: BackupRequest
    private let parent: CommitRecord?
    private let joined: [ID128]
    private let flow: BackupFlow
    private let manifest: ManifestWriter
    private let progress: ProgressCounters
    private let onEvent: @Sendable (BackupEvent) -> Void
    private let onEntry: (@Sendable (ManifestEntry, BackupEvent.Change) -> Void)?
    private let startTime: Timestamp
    private let isArchive: Bool
    private var counters = SnapshotCounters()
    private var doubts = SourceDoubts()
    /// Number of unmodified files that a parent has under another path.
    private var movedFiles: UInt64 = 0
    /// Bytes of files that an archive carried over.
    private var carriedBytes: UInt64 = 0
    /// Number of newly gone files that the archive carries over under another name because another file took their
    /// path.
    private var formersGone: UInt64 = 0
    /// True if an archive could not carry something over.
    private var hasLost = false
    /// For an archive: the parents' entries of files that could not be read.
    private let earlier: EarlierEntries?
    /// Counts how the files of the walk were stored.
    private let stored: StoredTally
    private var recordedEntries = 0
    private var lastPath: [UInt8] = []
    private var endsWithFolder = false
    private var spareIngester: FileIngester?

    init(
        session: BackupSession, request: BackupRequest, parent: CommitRecord?, joined: [ID128],
        flow: BackupFlow,
        blobs: BlobWriter, progress: ProgressCounters, onEvent: @escaping @Sendable (BackupEvent) -> Void,
        onEntry: (@Sendable (ManifestEntry, BackupEvent.Change) -> Void)?,
        startTime: Timestamp, earlier: EarlierEntries?, stored: StoredTally, isArchive: Bool
    ) {
        self.session = session
        self.request = request
        (self.parent, self.joined) = (parent, joined)
        self.flow = flow
        manifest = ManifestWriter(blobs)
        self.progress = progress
        self.onEvent = onEvent
        self.onEntry = onEntry
        self.startTime = startTime
        (self.earlier, self.stored) = (earlier, stored)
        self.isArchive = isArchive
    }

    /// Wakes a waiting assembler if a checkpoint is due. Workers call it between reads.
    func noteProgress() {
        if session.isCommitDue(bytes: request.checkpointBytes, blobs: request.checkpointBlobs) { flow.wake() }
    }

    /// Takes steps until the queue is closed and empty. `makeIngester` makes a file reader for this thread.
    func run(makeIngester: () -> FileIngester) throws {
        while let block = flow.steps.pop() {
            for step in block {
                switch step {
                case .run(let run): record(run)
                case .entry(let entry, let change): try record(entry, change)
                case .failure(let path, let error, let type):
                    if error.endsRun { throw error }
                    fail(path, error.description)
                    if let type { try carryEarlier(path, type) }
                case .shortfall(let path, let error): try fallShort(path, error)
                case .carried(let entry): try carry(entry)
                case .former(let file): try carry(file)
                case .lost(let path, let reason): lose(path, reason)
                case .link(let path, let first, let stat, let change, let recorded):
                    try recordLink(path, first, stat, change, recorded, makeIngester)
                case .file(let job, let change):
                    try record(try awaitResult(of: job), job.path, change, recorded: job.recorded)
                }
            }
            showProgress()
            try checkpointIfDue()
        }
    }

    private func awaitResult(of job: FileJob) throws -> IngestResult {
        if let result = flow.result(of: job) { return result }
        showProgress()
        while true {
            try checkpointIfDue()
            if let result = flow.awaitResult(of: job) { return result }
        }
    }

    /// Records a file's result. `recorded` is the fingerprint of a parent's entry that may turn out to be the same.
    private func record(
        _ result: IngestResult, _ path: [UInt8], _ change: BackupEvent.Change, recorded: Int? = nil
    ) throws {
        switch result {
        case .dropped: return
        case .failed(let error):
            if error.endsRun { throw error }
            fail(path, error.description)
            stored.noteUnstored(path)
            try carryEarlier(path, .regular)
        case .stored(let entry, let readBytes, let shortfalls):
            counters.readBytes += readBytes
            if entry.changedWhileRead {
                counters.changingFiles += 1
                onEvent(.changedWhileRead(path: path))
            }
            if entry.stat.size == 0 { stored.noteEmpty(path) }
            try record(entry, shortfalls, kind(of: entry, change, recorded))
        }
    }

    /// Records a file that was read, perhaps not completely.
    private func record(
        _ entry: ManifestEntry, _ shortfalls: Shortfalls, _ change: BackupEvent.Change
    ) throws {
        if let fault = shortfalls.content,
            case .success(let whole)? = try earlier?.entry(at: entry.path, .regular),
            !whole.missing.contains(.content)
        {
            if fault.endsRun { throw fault }
            stored.noteUnstored(entry.path)
            fail(entry.path, "\(fault). The archive keeps what it has of it")
            return try carry(whole)
        }
        for shortfall in shortfalls.all { try fallShort(entry.path, shortfall) }
        try record(entry, change, isWhole: shortfalls.content == nil)
    }

    /// Returns how a file counts after reading: unmodified if it equals the parent's entry that had to be read again.
    private func kind(
        of entry: ManifestEntry, _ change: BackupEvent.Change, _ recorded: Int?
    ) -> BackupEvent.Change {
        recorded != nil && recorded == entry.fingerprint ? .unmodified : change
    }

    /// Records a further name of a file with the result of its first name, if both are the same file. If the first name
    /// had vanished or named another file when it was read, this name is read, too.
    private func recordLink(
        _ path: [UInt8], _ first: FileJob, _ stat: FileStat, _ change: BackupEvent.Change,
        _ recorded: Int?, _ makeIngester: () -> FileIngester
    ) throws {
        if case .stored(var entry, _, let shortfalls) = flow.result(of: first),
            entry.stat.withoutAllocation == stat.withoutAllocation
        {
            entry.path = path
            if entry.stat.size == 0 { stored.noteEmpty(path) }
            return try record(entry, shortfalls, kind(of: entry, change, recorded))
        }
        if flow.state.shouldStop() { return }
        let ingester = spareIngester ?? makeIngester()
        spareIngester = ingester
        try record(try ingester.ingest(path), path, change, recorded: recorded)
    }

    /// Appends an entry to the manifest; returns false if the entry is refused.
    private func append(_ entry: ManifestEntry) throws -> Bool {
        guard recordedEntries == 0 || PathOrder.precedes(lastPath, entry.path) else {
            fail(entry.path, "the source named it out of order or twice")
            return false
        }
        guard recordedEntries == 0 || endsWithFolder || !PathOrder.isAtOrBeneath(entry.path, lastPath) else {
            fail(entry.path, "the source named it beneath an item that is not a folder")
            return false
        }
        do {
            try manifest.append(entry)
        } catch RepositoryError.outsideLimits(_, let fault) {
            // An entry that readers refuse would make other entries of the manifest unreadable.
            fail(entry.path, "the repository cannot hold it: \(fault)")
            return false
        }
        (lastPath, endsWithFolder) = (entry.path, entry.stat.type == .directory)
        recordedEntries += 1
        return true
    }

    /// Records an entry; `isWhole` is false for a file of which a part could not be read.
    private func record(
        _ entry: ManifestEntry, _ change: BackupEvent.Change, isWhole: Bool = true
    ) throws {
        guard let copied = request.copied else { return try store(entry, change, isWhole: isWhole) }
        var completed = entry
        do {
            try copied.complete(&completed)
        } catch let error as SourceError {
            // The original manifest's details of this entry cannot be read. Copy the other entries all the same.
            if error.endsRun { throw error }
            if entry.stat.type == .regular { stored.noteUnstored(entry.path) }
            // If the entry lacks something for this reason, that was reported already.
            if completed.missing.isEmpty { fail(entry.path, "\(error)") }
            return
        }
        try store(completed, change, isWhole: isWhole)
    }

    private func store(_ entry: ManifestEntry, _ change: BackupEvent.Change, isWhole: Bool) throws {
        let isStored = try append(entry)
        if entry.stat.type == .regular {
            if !isStored || !isWhole {
                stored.noteUnstored(entry.path)
            } else if !isArchive, change == .new || change == .moved {
                stored.noteNew(entry)
            }
        }
        guard isStored else { return }
        switch entry.stat.type {
        case .regular:
            counters.files += 1
            counters.bytes.add(entry.stat.size)
            if entry.goneSince != nil { counters.goneFiles += 1 }
            switch change {
            case .new, .reread: counters.newFiles += 1
            case .changed: counters.changedFiles += 1
            case .unmodified: counters.unmodifiedFiles += 1
            case .moved:
                counters.unmodifiedFiles += 1
                movedFiles += 1
            }
        case .directory:
            counters.folders += 1
            if change == .new { counters.newFolders += 1 }
        default: counters.others += 1
        }
        onEntry?(entry, change)
    }

    /// Carries over a parent's entry of a file that could not be read.
    private func carryEarlier(_ path: [UInt8], _ type: FileType) throws {
        switch try earlier?.entry(at: path, type) {
        case .success(let entry): try carry(entry)
        case .failure(let loss): lose(path, loss.reason)
        case nil: break
        }
    }

    /// Carries over a former file under another name, unless its successor, the file now at its path, has the same
    /// content.
    private func carry(_ former: FormerFile) throws {
        if let successor = former.successor {
            let old = try? former.entry.get()
            // If the successor of the first former file cannot be read completely, the archive carries over that file
            // at its old path. Then do not carry it over again under another name.
            let goesOn = former.isFirst && !successor.isLink
            switch flow.result(of: successor.job) {
            case .dropped: return
            case .failed where goesOn: return
            case .stored(let found, _, _)
            where goesOn && found.missing.contains(.content) && old?.missing.contains(.content) == false:
                return
            case .stored(let found, _, _)
            where !successor.isLink || found.stat.withoutAllocation == successor.stat:
                if let content = old?.content, content.fingerprint == found.content?.fingerprint { return }
            default: break
            }
        }
        switch former.entry {
        case .failure(let loss): lose(former.path, loss.reason)
        case .success(var entry):
            (entry.path, entry.goneSince) = (former.path, entry.goneSince ?? former.time)
            if former.isNewlyGone {
                formersGone += 1
                onEvent(.gone(path: former.oldPath))
            }
            try carry(entry)
        }
    }

    private func carry(_ entry: ManifestEntry) throws {
        guard try append(entry) else { return }
        switch entry.stat.type {
        case .regular:
            counters.files += 1
            counters.bytes.add(entry.stat.size)
            carriedBytes.add(entry.stat.size)
            if entry.goneSince != nil { counters.goneFiles += 1 }
        case .directory: counters.folders += 1
        default: counters.others += 1
        }
    }

    private func record(_ run: UnmodifiedRun) {
        manifest.append(run.entries)
        recordedEntries += run.entries.count
        (lastPath, endsWithFolder) = (run.entries.lastPath, run.entries.endsWithFolder)
        counters.files += run.files
        counters.unmodifiedFiles += run.files - run.carriedFiles
        counters.goneFiles += run.goneFiles
        carriedBytes.add(run.carriedBytes)
        counters.bytes.add(run.bytes)
        counters.folders += run.folders
        counters.others += run.others
    }

    private func showProgress() {
        let stored = session.added.storedBytes
        progress.update {
            $0.files = counters.newFiles + counters.changedFiles + counters.unmodifiedFiles
            $0.unreadBytes = counters.bytes &- carriedBytes &- counters.readBytes
            $0.storedBytes = UInt64(stored)
            $0.failedItems = counters.failedItems
            $0.currentPath = lastPath
        }
    }

    private func fail(_ path: [UInt8], _ reason: String) {
        counters.failedItems += 1
        onEvent(.failed(path: path, reason: reason))
    }

    /// Reports an entry that an archive cannot carry over.
    private func lose(_ path: [UInt8], _ reason: String) {
        hasLost = true
        fail(path, "the archive no longer has it: \(reason)")
    }

    /// Reports a part that a stored entry lacks.
    private func fallShort(_ path: [UInt8], _ error: SourceError) throws {
        if error.endsRun { throw error }
        counters.failedItems += 1
        onEvent(.incomplete(path: path, reason: error.description))
    }

    private func checkpointIfDue() throws {
        let due = min(
            max(request.checkpointBytes, session.added.storedBytes / 20),
            max(request.checkpointBytes, 2 << 30))
        guard session.isCommitDue(bytes: due, blobs: request.checkpointBlobs), !request.isDryRun,
            recordedEntries > 0
        else { return }
        let record = try commit(isComplete: false, continuing: true, root: try manifest.storeRoot())
        onEvent(.checkpoint(record))
    }

    private func countAdded() {
        let added = session.added
        counters.addedBlobs = UInt64(added.blobs)
        counters.addedBytes = UInt64(added.bytes)
        counters.addedStoredBytes = UInt64(added.storedBytes)
    }

    private func commit(isComplete: Bool, continuing: Bool, root: BlobReference) throws -> CommitRecord {
        countAdded()
        return try session.commit(continuing: continuing) { id, hasIndex in
            var record = request.record(
                id: id, time: startTime, endTime: session.repository.time.now(), root: root)
            // A copy's record names as its parent the copy of the original's nearest ancestor that has one, even if the
            // backup compared files with another snapshot.
            record.parent = request.copied == nil ? parent?.id : request.predecessor
            record.hasIndex = hasIndex
            record.isComplete = isComplete && !request.isPartial
            record.isArchive = isArchive
            // A partial snapshot does not have everything yet, so it stands for no archive.
            if record.isComplete { record.joined = request.copied == nil ? joined : request.joined }
            record.isLacking = isArchive && hasLost
            record.doubtfulPaths = doubts.shrunken.map(\.number)
            record.confirmed = doubts.confirmed
            record.counters = counters
            if let copied = request.copied { copied.complete(&record) }
            return record
        }
    }

    /// Commits after all threads have ended. `doubts` are the doubts that the complete walk has found.
    func finish(_ tally: SourceTally, _ doubts: SourceDoubts, isFirst: Bool) throws -> BackupReport {
        counters.newlyGoneFiles = tally.newlyGoneFiles + formersGone
        self.doubts = doubts
        var report = BackupReport()
        (report.isArchive, report.doubts) = (isArchive, doubts)
        report.parent = parent?.id
        report.wasInterrupted = flow.state.wasCancelled
        // An interruption before the first file leaves nothing worth a snapshot. Neither does a first backup that could
        // read nothing but folders. A later backup like that is recorded, and in doubt.
        let isNothingRead =
            counters.failedItems > 0 && counters.files == 0 && counters.others == 0 && isFirst
            && request.copied == nil
        if recordedEntries > 0, !isNothingRead, counters.files > 0 || !report.wasInterrupted {
            let root = try manifest.storeRoot()
            // An archive that carries over further archives must be committed even if nothing else changed.
            if request.skipsIfUnchanged, !report.wasInterrupted, joined.isEmpty, let parent,
                root == parent.root, parent.isComplete, parent.isArchive == isArchive,
                doubts.areThose(of: parent)
            {
                report.wasUnchanged = true
            } else {
                let record = try commit(isComplete: !report.wasInterrupted, continuing: false, root: root)
                if !request.isDryRun { report.snapshot = record }
            }
        }
        countAdded()
        report.counters = counters
        report.movedFiles = movedFiles
        return report
    }
}
