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
    let selection: RestoreSelection
    let target: (any RestoreTarget)?
    let existing: (any RestoreTarget)?
    private let counters: RestoreCounters
    private let onEvent: @Sendable (RestoreEvent) -> Void
    let stop: StopSignal
    private var plan: RestorePlan
    /// The first restored name of each file with several; later names become links to it.
    private var firstNames: [LinkKey: PendingFile] = [:]
    /// A name of such a file that stood there already, and stayed: nothing says that its content is what was backed up.
    private var keptNames: [LinkKey: [UInt8]] = [:]
    /// Names that become links in the second pass.
    private var laterNames: [LaterName] = []
    /// The folders that the last entry went into, and what is known of the names there.
    var names = TargetNames()
    /// Folders that are one with another entry's.
    var sharedFolders: Set<[UInt8]> = []
    /// Folders of the target that nothing may be put into.
    var closedFolders: Set<[UInt8]> = []
    /// The path of the snapshot's folder that the target stands for; nil until the first entry is known.
    private var origin: [UInt8]?
    /// That folder's own entry.
    private var topEntry: ManifestEntry?
    /// The window that is being carried out while the next is planned.
    private var running: RunningPlan?
    /// Makes the windows before that one durable.
    private var earlySync: EarlySync?
    /// The file whose continuations are being taken: where its next extent begins.
    private var openFile: (file: PendingFile, offset: UInt64)?

    private var request: RestoreRequest { selection.request }

    private struct LaterName {
        var path: [UInt8]
        var first: PendingFile
        var entry: ManifestEntry
        var place: Place
    }

    /// What an entry finds at its name, where it may be put.
    private struct Place {
        var isReplacing = false
        /// What it replaces there, if that is another state of the entry.
        var replaced: ReplacedEntry?
    }

    init(
        _ selection: RestoreSelection, target: (any RestoreTarget)?, existing: (any RestoreTarget)?,
        counters: RestoreCounters, onEvent: @escaping @Sendable (RestoreEvent) -> Void,
        stop: StopSignal
    ) {
        self.selection = selection
        self.target = target
        self.existing = existing
        plan = RestorePlan(fileLimit: selection.request.filesTogether)
        self.counters = counters
        self.onEvent = onEvent
        self.stop = stop
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
        names.enter([], try folder([], isNew: existing == nil))
        try forEachWanted(isTelling: true) { item in
            found = true
            if case .entry = item.record { try closeOpenFile() }
            if plan.isFull { try carryOutPlan() }
            switch item.record {
            case .continuation(let extents): add(extents)
            case .entry(let entry): try restore(entry, to: item.path, item.decision)
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
        guard stop.isRequested else { return false }
        counters.update { $0.wasInterrupted = true }
        return true
    }

    func linkAndFinishFolders() throws {
        guard let target, !noteInterruption() else { return }
        try joinKeptNames(target)
        // Links that a target refused, and the copy that further names are tried with.
        var copies: [ObjectIdentifier: [UInt8]] = [:]
        for link in laterNames {
            if noteInterruption() { return }
            // What has the first name now may be an older file.
            guard link.first.isRestored else {
                fail(link.path, "another name of this file could not be restored")
                continue
            }
            var notes: [MetadataNote] = []
            try perItem(link.path) { () throws(TargetError) in
                notes = try makeName(link, target, &copies)
            } then: {
                counters.update {
                    $0.files += 1
                    $0.processedBytes.add(link.entry.stat.size)
                }
                note(link.path, notes)
                finisher.tell(link.entry, link.place.replaced)
            }
        }
        target.tidy()
        var open = PathStack<(stat: FileStat, attributes: FileAttributes)>()
        func close(downTo path: [UInt8]?) throws {
            while let folder = open.last, path.map({ !open.holds($0) }) ?? true {
                try finishFolder(open.path, folder, target)
                open.pop()
            }
        }
        try forEachWanted(isTelling: false) { item in
            guard case .entry(let entry) = item.record, entry.stat.type == .directory, !item.path.isEmpty
            else { return }
            try close(downTo: item.path)
            open.push(item.path, (entry.stat, entry.attributes))
        }
        try close(downTo: nil)
    }

    /// Makes files one with a name of theirs that stayed, where that has the same content, byte for byte: a restore
    /// that was killed may have come as far as there.
    private func joinKeptNames(_ target: any RestoreTarget) throws {
        for (key, kept) in keptNames {
            guard let file = firstNames[key], file.isRestored else { continue }
            if noteInterruption() { return }
            do throws(TargetError) {
                guard try target.hasSameContent(kept, as: file.path) else { continue }
                try target.makeHardLink(file.path, to: kept, replacing: true)
            } catch {
                // It stays a file of its own, which is whole.
                if error.isFatal { throw error }
            }
        }
    }

    /// Gives a file a further name, or the name a copy of the file where the target refuses links.
    private func makeName(
        _ link: LaterName, _ target: any RestoreTarget, _ copies: inout [ObjectIdentifier: [UInt8]]
    ) throws(TargetError) -> [MetadataNote] {
        let key = ObjectIdentifier(link.first)
        // A file may have all the names that it can have; its copy has not.
        for existing in [link.first.path, copies[key]].compactMap({ $0 }) {
            do throws(TargetError) {
                try target.makeHardLink(link.path, to: existing, replacing: link.place.isReplacing)
                return []
            } catch {
                guard error.kind == .refusesLinks else { throw error }
            }
        }
        let notes = try target.copyFile(
            link.path, from: link.first.path, link.entry.stat, link.entry.attributes,
            replacing: link.place.isReplacing)
        copies[key] = link.path
        counters.update { $0.copiedLinks += 1 }
        return notes
    }

    private func finishFolder(
        _ path: [UInt8], _ folder: (stat: FileStat, attributes: FileAttributes), _ target: any RestoreTarget
    ) throws {
        // A folder that was waiting for content that never came does not exist, and need not.
        guard !sharedFolders.contains(path), !isInClosedFolder(path),
            (try? target.stat(path))?.type == .directory
        else { return }
        try perItem(path) { () throws(TargetError) in
            note(path, try target.setMetadata(path, folder.stat, folder.attributes))
        }
    }

    /// Makes the target what the folder was that it stands for, however the restore has ended.
    func finishTop() {
        guard let target, let topEntry else { return }
        note([], target.finishTop(topEntry.stat, topEntry.attributes))
    }

    /// Hands over every record that is wanted. Segments that cannot be read are failed items, if `isTelling`.
    private func forEachWanted(
        isTelling: Bool, _ body: (RestoreSelection.Item) throws -> Void
    ) throws {
        try selection.forEach { path, reason in
            guard isTelling else { return }
            finisher.fail(path, .damaged("files from here on are not restored: \(reason)"))
        } _: { item in
            if noteInterruption() { return false }
            if isTelling, item.decision != .onlyAsAncestor { note(item.path, item.withheld) }
            try body(item)
            return true
        }
    }

    // MARK: Entries

    private func restore(_ entry: ManifestEntry, to path: [UInt8], _ decision: RestoreDecision) throws {
        if path.isEmpty, !entry.path.isEmpty { topEntry = entry }
        if origin == nil {
            origin = entry.path.dropLast(
                path.count + (entry.path.count > path.count && !path.isEmpty ? 1 : 0))
        }
        if entry.stat.type == .directory, decision == .onlyAsAncestor { return }
        guard try enterFolders(above: path) else { return }
        switch entry.stat.type {
        case .directory:
            guard try enter(path, for: path), !sharedFolders.contains(path) else { return }
            counters.update { $0.folders += 1 }
            finisher.tell(entry, nil)
        case .regular: try restoreFile(entry, to: path)
        default: try restoreSpecial(entry, to: path)
        }
    }

    private func restoreSpecial(_ entry: ManifestEntry, to path: [UInt8]) throws {
        if let reason = request.reasonToLeaveOut(entry) { return fail(path, reason) }
        guard let place = try mayWrite(entry, path) else { return }
        var notes: [MetadataNote] = []
        try perItem(path) { () throws(TargetError) in
            if let target {
                notes = try target.makeSpecial(
                    path, entry.stat, entry.attributes, replacing: place.isReplacing)
            }
        } then: {
            note(path, notes)
            counters.update { $0.others += 1 }
            finisher.tell(entry, place.replaced)
        }
    }

    private func restoreFile(_ entry: ManifestEntry, to path: [UInt8]) throws {
        guard let place = try mayWrite(entry, path) else { return }
        if entry.stat.linkCount > 1 {
            if let first = firstNames[LinkKey(entry)] {
                if target == nil { return countUnwritten(entry, place, bytes: 0) }
                let later = LaterName(path: path, first: first, entry: entry.withoutContent, place: place)
                return laterNames.append(later)
            }
        }
        let file = PendingFile(
            path: path, entry: entry.withoutContent, target: target, isReplacing: place.isReplacing,
            replaced: place.replaced)
        if entry.stat.linkCount > 1 { firstNames[LinkKey(entry)] = file }
        if target == nil { return countUnwritten(entry, place, bytes: entry.stat.size) }
        switch entry.content {
        case .inline(let bytes):
            do throws(TargetError) {
                if !bytes.isEmpty {
                    try bytes.withUnsafeBufferPointer { bytes throws(TargetError) in
                        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
                    }
                    counters.update { $0.processedBytes.add(UInt64(bytes.count)) }
                }
            } catch {
                if error.isFatal { throw error }
                file.fail(FileFailure(reason: error.description))
            }
            try release(file)
        case .extents(let extents):
            openFile = (file, 0)
            add(extents)
        case nil:
            finisher.fail(entry.path, .damaged("the list of files has no content for it"))
        }
    }

    private func countUnwritten(_ entry: ManifestEntry, _ place: Place, bytes: UInt64) {
        counters.update {
            $0.files += 1
            $0.bytes.add(bytes)
            $0.processedBytes.add(entry.stat.size)
        }
        finisher.tell(entry, place.replaced)
    }

    private func add(_ extents: [Extent]) {
        guard let (file, start) = openFile else { return }
        var offset = start
        for extent in extents {
            let (end, overflow) = offset.addingReportingOverflow(extent.length)
            guard !overflow, end <= file.entry.stat.size else {
                file.fail(.damaged("its content in the repository is longer than the file"))
                break
            }
            if case .chunk(let reference) = extent {
                if let location = selection.index.location(of: reference) {
                    plan.add(reference, at: location, of: file, fileOffset: offset)
                } else {
                    file.fail(.unreadable(MissingBlobError(id: reference.id)))
                }
            }
            offset = end
        }
        openFile = (file, offset)
    }

    private func closeOpenFile() throws {
        guard let (file, offset) = openFile else { return }
        if offset != file.entry.stat.size {
            file.fail(.damaged("its content in the repository does not add up to the file's size"))
        }
        openFile = nil
        try release(file)
    }

    /// Lets go of a file whose extents are all planned; a file that waits for no chunk is finished.
    private func release(_ file: PendingFile) throws {
        if file.finishChunk() { try finisher.finish(file) }
    }

    /// How an entry may be put at `path`; nil when what is there stays.
    private func mayWrite(_ entry: ManifestEntry, _ path: [UInt8]) throws -> Place? {
        // Nothing was in a folder that is new, and the target itself sees to it that nothing comes to stand twice.
        guard let existing, let current = names.current, !current.isNew else { return Place() }
        var found: FileStat?
        var others: [TargetNames.Claim]?
        let isKnown = try perItem(path) { () throws(TargetError) in
            found = try existing.stat(path)
            others = try claim(path, entry.stat.type, finding: found?.type)
        }
        guard isKnown else { return nil }
        if let others {
            fail(path, "\(meeting(others)) and stays; restore it into another folder")
            return nil
        }
        guard let found else { return Place() }
        let rendered = { [target] (time: Timestamp) in
            guard let target, found.type == .regular else { return time.cut(like: found.mtime) }
            return target.rendered(time, at: path, device: found.device)
        }
        let reason = request.overwrite.reasonToKeep(found, against: entry.stat, rendered: rendered)
        let unchanged = RestoreRequest.Overwrite.ifChanged
        guard let reason else {
            if entry.missing.contains(.content), !request.replacesWithParts {
                fail(path, "the snapshot has only its beginning, and what is there stays (see --overwrite)")
                return nil
            }
            let isSame = unchanged.reasonToKeep(found, against: entry.stat, rendered: rendered) != nil
            let replaced: ReplacedEntry = found.mtime > entry.stat.mtime ? .newer : .different
            return Place(isReplacing: true, replaced: isSame ? nil : replaced)
        }
        if entry.stat.type == .regular, entry.stat.linkCount > 1,
            unchanged.reasonToKeep(found, against: entry.stat, rendered: rendered) != nil
        {
            keptNames[LinkKey(entry)] = path
        }
        counters.update {
            $0.kept += 1
            guard entry.stat.type == .regular else { return }
            $0.processedBytes.add(entry.stat.size)
            $0.keptBytes.add(entry.stat.size)
        }
        onEvent(.kept(path: entry.path, reason: reason))
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
            plan, selection.repository, selection.index, finisher,
            workerCount: max(1, request.workerCount), RunState(stop: stop))
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
        if try !running.finish() { counters.update { $0.wasInterrupted = true } }
    }

    // MARK: Reporting

    /// Runs what concerns one entry; its failure is an event unless it is fatal. True when it succeeded.
    @discardableResult
    func perItem(
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

    private var finisher: FileFinisher { FileFinisher(counters: counters, onEvent: onEvent) }

    /// The path in the snapshot of what goes to a path of the target.
    func pathInSnapshot(_ path: [UInt8]) -> [UInt8] {
        path.isEmpty ? origin ?? [] : PathOrder.join(origin ?? [], path)
    }

    func fail(_ path: [UInt8], _ reason: String) {
        finisher.fail(pathInSnapshot(path), FileFailure(reason: reason))
    }

    private func note(_ path: [UInt8], _ notes: [MetadataNote]) {
        finisher.note(pathInSnapshot(path), notes)
    }
}
