// RestorePass: the two passes of a restore over the manifest.
//
// Always holds: a file that is pending is held once by each chunk that it waits for and once by the pass
// until all its extents have been planned, so it is finished or given up exactly once, by whoever lets go
// last. Damage to a part of the manifest costs the entries in it, not those after it.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// One restore's state on its main thread.
final class RestorePass {
    private let repository: Repository
    private let index: BlobIndex
    private let target: (any RestoreTarget)?
    private let existing: (any RestoreTarget)?
    private let request: RestoreRequest
    private var filter: RestoreFilter
    private let board: RestoreBoard
    private let onEvent: @Sendable (RestoreEvent) -> Void
    private let isCancelled: @Sendable () -> Bool
    private var plan: RestorePlan
    /// The first restored name of each file with several; later names become links to it.
    private var firstNames: [LinkKey: PendingFile] = [:]
    /// Names that become links in the second pass.
    private var laterNames: [LaterName] = []
    /// The folder that the last entry went into, which is there with all above it.
    private var readyFolder: [UInt8] = []
    /// The uppermost folder above the last entry that this restore has made: nothing can be in the way beneath it.
    private var madeFolder: [UInt8]?
    /// The window that is being carried out while the next is planned.
    private var running: RunningPlan?
    /// Makes the windows before that one durable.
    private var earlySync: EarlySync?
    /// The file whose continuations are being taken: where its next extent begins.
    private var openFile: (file: PendingFile, offset: UInt64)?

    /// Names are linked only if they were one file in one state: a file may change between the reading of
    /// its first name and the next.
    private struct LinkKey: Hashable {
        var inode: InodeKey
        var size: UInt64
        var mtime: Timestamp
        var ctime: Timestamp

        init(_ stat: FileStat) {
            inode = InodeKey(device: stat.device, inode: stat.inode)
            (size, mtime, ctime) = (stat.size, stat.mtime, stat.ctime)
        }
    }

    private struct LaterName {
        var path: [UInt8]
        var first: PendingFile
        var entry: ManifestEntry
        var isReplacing: Bool
    }

    init(
        repository: Repository, index: BlobIndex, target: (any RestoreTarget)?,
        existing: (any RestoreTarget)?,
        request: RestoreRequest, filter: RestoreFilter,
        board: RestoreBoard, onEvent: @escaping @Sendable (RestoreEvent) -> Void,
        isCancelled: @escaping @Sendable () -> Bool
    ) {
        self.repository = repository
        self.index = index
        self.target = target
        self.existing = existing
        self.request = request
        plan = RestorePlan(fileLimit: request.filesTogether)
        self.filter = filter
        self.board = board
        self.onEvent = onEvent
        self.isCancelled = isCancelled
    }

    // MARK: Passes

    func restoreEntries() throws {
        var found = false
        defer {
            // Left open by an error or an interruption.
            running?.abandon()
            try? earlySync?.finish()
            openFile?.file.abandon()
            for file in plan.files { file.abandon() }
        }
        try forEachWanted(isTelling: true) { record, path, decision in
            found = true
            if case .entry = record { try closeOpenFile() }
            if plan.isFull { try carryOutPlan() }
            switch record {
            case .continuation(let extents): add(extents)
            case .entry(let entry): try restore(entry, to: path, decision)
            }
        }
        if noteInterruption() { return try finishEarlySync() }
        guard found || request.subpath.isEmpty else {
            throw SnapshotPathError.notInSnapshot(request.subpath, request.snapshot.id)
        }
        try closeOpenFile()
        try carryOutPlan()
        try finishRunningPlan()
        try finishEarlySync()
    }

    private func noteInterruption() -> Bool {
        guard isCancelled() else { return false }
        board.update { $0.wasInterrupted = true }
        return true
    }

    func linkAndFinishFolders() throws {
        guard let target, !noteInterruption() else { return }
        for link in laterNames {
            if noteInterruption() { return }
            // What has the first name now may be an older file.
            guard link.first.isRestored else {
                fail(link.path, "another name of this file could not be restored")
                continue
            }
            try perItem(link.path) { () throws(TargetError) in
                try target.makeHardLink(link.path, to: link.first.path, replacing: link.isReplacing)
            } then: {
                board.update {
                    $0.files += 1
                    $0.processedBytes &+= link.entry.stat.size
                }
                onEvent(.restored(link.entry))
            }
        }
        var open: [(path: [UInt8], entry: ManifestEntry)] = []
        func close(downTo path: [UInt8]) throws {
            while let last = open.last, !PathOrder.isAtOrBeneath(path, last.path) {
                open.removeLast()
                try finishFolder(last.path, last.entry, target)
            }
        }
        try forEachWanted(isTelling: false) { record, path, decision in
            guard case .entry(let entry) = record, entry.stat.type == .directory, !path.isEmpty else {
                return
            }
            try close(downTo: path)
            open.append((path, entry))
        }
        while let last = open.popLast() { try finishFolder(last.path, last.entry, target) }
    }

    private func finishFolder(_ path: [UInt8], _ entry: ManifestEntry, _ target: any RestoreTarget) throws {
        // A folder that was waiting for content that never came does not exist, and need not.
        guard let stat = try? target.stat(path), stat.type == .directory else { return }
        var notes: [String] = []
        try perItem(path) { () throws(TargetError) in
            notes = try target.setMetadata(path, entry.stat, entry.attributes)
        } then: {
            note(path, notes)
        }
    }

    /// Hands over every record at or beneath the wanted path that the filter does not exclude, with its
    /// path at the target. Segments that cannot be read are failed items, if `isTelling`.
    private func forEachWanted(
        isTelling: Bool, _ body: (ManifestRecord, [UInt8], RestoreDecision) throws -> Void
    ) throws {
        let reader = try ManifestReader(
            request.snapshot, repository: repository, index: index, from: request.subpath)
        var excluded: [UInt8]?
        var last: (path: [UInt8], decision: RestoreDecision)?
        var stripped = request.subpath.count + (request.subpath.isEmpty ? 0 : 1)
        while let record = try next(of: reader, isTelling) {
            if noteInterruption() { return }
            guard case .entry(let entry) = record else {
                if let last { try body(record, last.path, last.decision) }
                continue
            }
            last = nil
            guard PathOrder.isAtOrBeneath(entry.path, request.subpath) else {
                if PathOrder.precedes(request.subpath, entry.path) { return }
                continue
            }
            if let folder = excluded, PathOrder.isAtOrBeneath(entry.path, folder) { continue }
            excluded = nil
            var decision = filter.decide(entry.path, isFolder: entry.stat.type == .directory).decision
            if entry.path == request.subpath {
                // The wanted folder is the target itself; a wanted file keeps its name.
                if entry.stat.type == .directory {
                    decision = .onlyAsAncestor
                } else {
                    stripped = (entry.path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1
                    decision = .include
                }
            }
            if decision == .exclude {
                excluded = entry.path
                continue
            }
            // A damaged repository may put entries beneath a file.
            let path = Array(entry.path.dropFirst(stripped))
            guard !path.isEmpty || entry.stat.type == .directory else { continue }
            last = (path, decision)
            try body(record, path, decision)
        }
    }

    private func next(of reader: ManifestReader, _ isTelling: Bool) throws -> ManifestRecord? {
        while true {
            do {
                return try reader.next()
            } catch let error where error is CorruptionError || error is MissingBlobError {
                let from = reader.skipSegment()
                if isTelling { fail(from, "files from here on are not restored: \(error)") }
            }
        }
    }

    // MARK: Entries

    private func restore(_ entry: ManifestEntry, to path: [UInt8], _ decision: RestoreDecision) throws {
        if entry.stat.type == .directory, decision == .onlyAsAncestor { return }
        guard try makeFolders(above: path) else { return }
        switch entry.stat.type {
        case .directory:
            if try makeFolder(path) {
                board.update { $0.folders += 1 }
                onEvent(.restored(entry))
            }
        case .regular: try restoreFile(entry, to: path)
        default: try restoreSpecial(entry, to: path)
        }
    }

    /// Makes what is missing of the folders above an entry: those that are wanted only as ancestors, and those
    /// that the manifest lacks. False when one cannot be made, which is told of as the entry's failure.
    private func makeFolders(above path: [UInt8]) throws -> Bool {
        guard let target, let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return true }
        let parent = Array(path[..<slash])
        if parent == readyFolder { return true }
        for end in path.indices where path[end] == UInt8(ascii: "/") {
            let folder = Array(path[..<end])
            if PathOrder.isAtOrBeneath(readyFolder, folder), !readyFolder.isEmpty { continue }
            guard try perItem(path, { () throws(TargetError) in try make(folder, target) }) else {
                readyFolder = []
                return false
            }
        }
        readyFolder = parent
        return true
    }

    private func makeFolder(_ path: [UInt8]) throws -> Bool {
        guard let target else { return true }
        return try perItem(path) { () throws(TargetError) in try make(path, target) }
    }

    private func make(_ folder: [UInt8], _ target: any RestoreTarget) throws(TargetError) {
        let isNew = try target.makeFolder(folder)
        if let madeFolder, PathOrder.isAtOrBeneath(folder, madeFolder) { return }
        madeFolder = isNew ? folder : nil
    }

    private func restoreSpecial(_ entry: ManifestEntry, to path: [UInt8]) throws {
        guard let replacing = try mayWrite(entry, path) else { return }
        var notes: [String] = []
        try perItem(path) { () throws(TargetError) in
            if let target {
                notes = try target.makeSpecial(path, entry.stat, entry.attributes, replacing: replacing)
            }
        } then: {
            note(path, notes)
            board.update { $0.others += 1 }
            onEvent(.restored(entry))
        }
    }

    private func restoreFile(_ entry: ManifestEntry, to path: [UInt8]) throws {
        guard let replacing = try mayWrite(entry, path) else { return }
        if entry.stat.linkCount > 1 {
            if let first = firstNames[LinkKey(entry.stat)] {
                if target == nil { return countUnwritten(entry, bytes: 0) }
                let later = LaterName(
                    path: path, first: first, entry: withoutContent(entry), isReplacing: replacing)
                return laterNames.append(later)
            }
        }
        let file = PendingFile(
            path: path, entry: withoutContent(entry), target: target, isReplacing: replacing)
        if entry.stat.linkCount > 1 { firstNames[LinkKey(entry.stat)] = file }
        if target == nil { return countUnwritten(entry, bytes: entry.stat.size) }
        switch entry.content {
        case .inline(let bytes):
            do throws(TargetError) {
                if !bytes.isEmpty {
                    try bytes.withUnsafeBufferPointer { bytes throws(TargetError) in
                        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
                    }
                    board.update { $0.processedBytes &+= UInt64(bytes.count) }
                }
            } catch {
                if error.isFatal { throw error }
                file.fail(error.description)
            }
            try release(file)
        case .extents(let extents):
            openFile = (file, 0)
            add(extents)
        case nil: fail(path, "the manifest has no content for it")
        }
    }

    private func countUnwritten(_ entry: ManifestEntry, bytes: UInt64) {
        board.update {
            $0.files += 1
            $0.bytes &+= bytes
            $0.processedBytes &+= entry.stat.size
        }
        onEvent(.restored(entry))
    }

    private func withoutContent(_ entry: ManifestEntry) -> ManifestEntry {
        var entry = entry
        entry.content = nil
        return entry
    }

    private func add(_ extents: [Extent]) {
        guard let (file, start) = openFile else { return }
        var offset = start
        for extent in extents {
            let (end, overflow) = offset.addingReportingOverflow(extent.length)
            guard !overflow, end <= file.entry.stat.size else {
                file.fail("its chunks are longer than the file")
                break
            }
            if case .chunk(let reference) = extent {
                if let location = index.location(of: reference) {
                    plan.add(reference, at: location, of: file, fileOffset: offset)
                } else {
                    file.fail("\(MissingBlobError(id: reference.id))")
                }
            }
            offset = end
        }
        openFile = (file, offset)
    }

    private func closeOpenFile() throws {
        guard let (file, offset) = openFile else { return }
        if offset != file.entry.stat.size { file.fail("its chunks do not add up to the file's size") }
        openFile = nil
        try release(file)
    }

    /// Lets go of a file whose extents are all planned; a file that waits for no chunk is finished.
    private func release(_ file: PendingFile) throws {
        if file.finishChunk() { try FileFinisher(board: board, onEvent: onEvent).finish(file) }
    }

    /// Whether an entry may be put at `path`: true to replace what is there, false when nothing is, nil
    /// when what is there stays.
    private func mayWrite(_ entry: ManifestEntry, _ path: [UInt8]) throws -> Bool? {
        if let madeFolder, PathOrder.isAtOrBeneath(path, madeFolder) { return false }
        var found: FileStat?
        guard try perItem(path, { () throws(TargetError) in found = try existing?.stat(path) }) else {
            return nil
        }
        guard let there = found else { return false }
        let reason: String? =
            switch request.overwrite {
            case .always: nil
            case .never: "it exists"
            case .ifNewer: entry.stat.mtime > there.mtime ? nil : "it is not older"
            case .ifChanged:
                there.type == entry.stat.type && there.size == entry.stat.size
                    && there.mtime == entry.stat.mtime
                    ? "it is unchanged" : nil
            }
        guard let reason else { return true }
        board.update {
            $0.kept += 1
            if entry.stat.type == .regular { $0.processedBytes &+= entry.stat.size }
        }
        onEvent(.kept(path: path, reason: reason))
        return nil
    }

    // MARK: Content

    /// Begins to carry out what is planned, once the window before is done.
    private func carryOutPlan() throws {
        if running != nil {
            try finishRunningPlan()
            try beginEarlySync()
        }
        let plan = self.plan
        self.plan = RestorePlan(fileLimit: request.filesTogether)
        running = RunningPlan(
            plan, repository, index, FileFinisher(board: board, onEvent: onEvent),
            workerCount: max(1, request.workerCount), RunState(isCancelled: isCancelled))
    }

    private func beginEarlySync() throws {
        guard let target, earlySync?.isDone != false else { return }
        try finishEarlySync()
        earlySync = EarlySync(target)
    }

    private func finishEarlySync() throws {
        let last = earlySync
        earlySync = nil
        try last?.finish()
    }

    private func finishRunningPlan() throws {
        guard let running else { return }
        self.running = nil
        if try !running.finish() { board.update { $0.wasInterrupted = true } }
    }

    // MARK: Reporting

    /// Runs what concerns one entry; its failure is an event unless it is fatal. True when it succeeded.
    @discardableResult
    private func perItem(
        _ path: [UInt8], _ body: () throws(TargetError) -> Void, then: () -> Void = {}
    ) throws -> Bool {
        do {
            try body()
        } catch {
            if error.isFatal { throw error }
            fail(path, error.description)
            return false
        }
        then()
        return true
    }

    private func fail(_ path: [UInt8], _ reason: String) {
        board.update { $0.failed += 1 }
        onEvent(.failed(path: path, reason: reason))
    }

    private func note(_ path: [UInt8], _ notes: [String]) {
        guard !notes.isEmpty else { return }
        board.update { $0.notes += 1 }
        for note in notes { onEvent(.note(path: path, reason: note)) }
    }
}
