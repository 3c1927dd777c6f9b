// RestorePass: the two passes of a restore over the manifest. The first pass restores files, folders and other entries.
// After it, files with several names get their further names. The second pass sets the metadata of folders. It comes
// last, because a new name in a folder changes the folder's time.
//
// Always holds: a pending file is held once by each chunk that it waits for, and once by the pass until all its extents
// are planned. So it is finished or abandoned exactly once, by the last holder to let go. Damage to a part of the
// manifest costs the entries in it, not those after it.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// The state of one restore on its main thread.
final class RestorePass {
    let selection: RestoreSelection
    let target: (any RestoreTarget)?
    let existing: (any RestoreTarget)?
    private let counters: RestoreCounters
    private let onEvent: @Sendable (RestoreEvent) -> Void
    let stop: StopSignal
    private var plan: RestorePlan
    /// The first restored name of each file with several names. Later names become links to it.
    private var firstNames: [LinkKey: PendingFile] = [:]
    /// For a file with several names: a name that existed at the target and was kept. Its content may differ from the
    /// snapshot's.
    private var keptNames: [LinkKey: [UInt8]] = [:]
    /// Further names of files, which are made between the two passes.
    private var laterNames: [LaterName] = []
    /// The folders above the last entry, and what is known of the names in them.
    var names = TargetNames()
    /// Paths of folder entries for which the target has the same folder as for an earlier entry, for example because
    /// the target ignores case.
    var sharedFolders: Set<[UInt8]> = []
    /// Folders of the target that nothing may be put into.
    var closedFolders: Set<[UInt8]> = []
    /// The snapshot's folder whose content goes directly into the target, as a path in the snapshot; nil before the
    /// first entry.
    private var origin: [UInt8]?
    /// True if a part of the manifest could not be read.
    private var isManifestDamaged = false
    /// The entry of the folder at `origin`.
    private var topEntry: ManifestEntry?
    /// The window that threads carry out while the next is planned. A window is a limited number of files whose content
    /// is planned and restored together.
    private var running: RunningPlan?
    /// Makes the windows before `running` durable.
    private var earlySync: EarlySync?
    /// The file whose extents are being read, and the offset of its next extent. The extents of a large file go on in
    /// continuation records after its entry.
    private var openFile: (file: PendingFile, offset: UInt64)?

    private var request: RestoreRequest { selection.request }

    private struct LaterName {
        var path: [UInt8]
        var first: PendingFile
        var entry: ManifestEntry
        var place: Place
    }

    /// How an entry may be put at its name.
    private struct Place {
        var isReplacing = false
        /// The kind of the item that the entry replaces, if the item differs from the entry.
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
            // An error or an interruption leaves these open.
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
        // A damaged manifest does not tell whether the path is missing. The damage has been reported.
        guard found || request.subpath.isEmpty || isManifestDamaged else {
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
        // For each file that the target refused to link once more: a copy of the file, to which later names are linked.
        var copies: [ObjectIdentifier: [UInt8]] = [:]
        for link in laterNames {
            if noteInterruption() { return }
            // If the first name was not restored, its path may hold an older file.
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

    /// Replaces kept names of restored files by links, if the content is the same byte for byte. Such names may come
    /// from a restore that was killed before it made the links.
    private func joinKeptNames(_ target: any RestoreTarget) throws {
        for (key, kept) in keptNames {
            guard let file = firstNames[key], file.isRestored else { continue }
            if noteInterruption() { return }
            do throws(TargetError) {
                guard try target.hasSameContent(kept, as: file.path) else { continue }
                try target.makeHardLink(file.path, to: kept, replacing: true)
            } catch {
                // The kept name stays a separate, complete file.
                if error.isFatal { throw error }
            }
        }
    }

    /// Makes a further name of a file: a link to the file or to a copy of it, or else a new copy.
    private func makeName(
        _ link: LaterName, _ target: any RestoreTarget, _ copies: inout [ObjectIdentifier: [UInt8]]
    ) throws(TargetError) -> [MetadataNote] {
        let key = ObjectIdentifier(link.first)
        // The file may already have the maximum number of links. Its copy has fewer.
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
        // A folder that is wanted only as an ancestor does not exist if nothing beneath it was restored.
        guard !sharedFolders.contains(path), !isInClosedFolder(path),
            (try? target.stat(path))?.type == .directory
        else { return }
        try perItem(path) { () throws(TargetError) in
            note(path, try target.setMetadata(path, folder.stat, folder.attributes))
        }
    }

    /// Sets the metadata of the target to that of the folder at `origin`. The caller calls this even if a pass failed.
    func finishTop() {
        guard let target, let topEntry else { return }
        note([], target.finishTop(topEntry.stat, topEntry.attributes))
    }

    /// Passes every wanted record to `body`. With `isTelling`, an unreadable segment is reported as a failed item.
    private func forEachWanted(
        isTelling: Bool, _ body: (RestoreSelection.Item) throws -> Void
    ) throws {
        try selection.forEach { path, reason in
            isManifestDamaged = true
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

    /// Ends the pass's hold on a file whose extents are all planned. A file that waits for no chunk is finished.
    private func release(_ file: PendingFile) throws {
        if file.finishChunk() { try finisher.finish(file) }
    }

    /// Returns how an entry may be put at `path`; nil if the existing item stays.
    private func mayWrite(_ entry: ManifestEntry, _ path: [UInt8]) throws -> Place? {
        // In a new folder no check is needed: it had no items, and the target itself refuses a name that is taken.
        guard let existing, let current = names.current, !current.isNew else { return Place() }
        var found: FileStat?
        var others: [TargetNames.Claim]?
        let isKnown = try perItem(path) { () throws(TargetError) in
            found = try existing.stat(path)
            others = try claim(path, entry.stat.type, finding: found?.type)
        }
        guard isKnown else { return nil }
        if let others {
            fail(path, "\(meeting(others)). The other item stays. Restore this one into another folder")
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
                fail(
                    path, "the snapshot has only its beginning, so the existing file stays (see --overwrite)")
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

    /// Starts the planned window, after the running one has finished.
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

    /// Runs work for one entry. A failure becomes an event unless it is fatal. Returns true on success.
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

    /// Returns the path in the snapshot of the entry that goes to a path of the target.
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
