// ArchiveRemoval: makes a new snapshot of an archive without some of its gone entries. The next backup continues from
// the new snapshot. No stored object is changed or deleted.

import BakCore
import BakFormat
import BakRepository

/// The request to remove entries from an archive.
public struct ArchiveRemovalRequest: Sendable {
    /// The snapshot to continue from: the latest complete one of its device and paths.
    public var snapshot: CommitRecord
    /// The paths to remove, with everything beneath them.
    public var paths: [[UInt8]]
    /// True if entries that the source still had are removed as well.
    public var takesPresent = false
    /// True if the run only reports and stores nothing.
    public var isDryRun = false
    /// The machine's name, for the session's record.
    public var host: String
    /// The program and its version.
    public var program: String

    /// Makes a request with the defaults.
    public init(snapshot: CommitRecord, paths: [[UInt8]], host: String, program: String) {
        (self.snapshot, self.paths, self.host, self.program) = (snapshot, paths, host, program)
    }
}

/// The result of a removal.
public struct ArchiveRemovalReport: Sendable {
    /// Number of files that the new snapshot no longer has.
    public var files: UInt64 = 0
    /// Their size, in bytes.
    public var bytes: UInt64 = 0
    /// Number of folders, links and special files that the new snapshot no longer has.
    public var others: UInt64 = 0
    /// Number of files that were named but stay, because the source still had them.
    public var presentFiles: UInt64 = 0
    /// Paths that the snapshot does not have.
    public var unknownPaths: [[UInt8]] = []
    /// The new snapshot; nil if there is none.
    public var snapshot: CommitRecord?

    /// True if nothing is removed.
    public var isEmpty: Bool { files == 0 && others == 0 }

    /// Makes an empty report.
    public init() {}
}

/// Removes gone entries from an archive. For one thread.
public final class ArchiveRemoval {
    private let repository: Repository
    private let request: ArchiveRemovalRequest
    private let paths: [[UInt8]]
    private var report = ArchiveRemovalReport()
    private var counters = SnapshotCounters()
    private var found: Set<[UInt8]> = []

    /// Prepares a removal.
    public init(_ request: ArchiveRemovalRequest, from repository: Repository) {
        self.request = request
        self.repository = repository
        paths = Array(Set(request.paths)).sorted { PathOrder.precedes($0, $1) }
    }

    /// Commits the new snapshot. Stores nothing in a dry run, if no entry is removed, or if the snapshot does not have
    /// one of the requested paths.
    ///
    /// - Throws: `MissingBlobError` or `CorruptionError` if the manifest cannot be read, perhaps because the snapshot
    ///   was forgotten and pruned meanwhile; and `StoreError`.
    public func run() throws -> ArchiveRemovalReport {
        // Find out whether any entry is removed, before a session begins.
        try write(to: nil, try BlobIndex(repository))
        report.unknownPaths = paths.filter { !found.contains($0) }
        guard !request.isDryRun, !report.isEmpty, report.unknownPaths.isEmpty else { return report }
        let counted = report
        report.snapshot = try repository.storing(host: request.host, program: request.program) { session in
            (counters, found) = (SnapshotCounters(), [])
            _ = try ContentKeeper(session).keepAll(of: request.snapshot.root)
            let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
            try write(to: manifest, session.index)
            report = counted
            let root = try manifest.storeRoot()
            return try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
        return report
    }

    private func record(_ id: ID128, hasIndex: Bool, root: BlobReference) -> CommitRecord {
        let now = repository.time.now()
        var record = request.snapshot
        (record.id, record.hasIndex, record.root) = (id, hasIndex, root)
        (record.time, record.endTime) = (max(now, record.time), max(now, record.endTime))
        (record.parent, record.original) = (request.snapshot.id, nil)
        // The new snapshot has all entries of the old one except those that the user wants to remove, so it is not
        // lacking.
        (record.confirmed, record.joined, record.isLacking) = ([], [], false)
        (record.host, record.program) = (request.host, request.program)
        record.counters = counters
        // Items that could not be read when the old snapshot was made are still missing.
        record.counters.failedItems = request.snapshot.counters.failedItems
        return record
    }

    /// Writes the entries that stay, and counts those that stay and those that go.
    private func write(to manifest: ManifestWriter?, _ index: BlobIndex) throws {
        let reader = try ManifestReader(request.snapshot, repository: repository, index: index)
        let later = LaterExtents(of: request.snapshot, repository, index)
        var open: ManifestEntry?
        var isContinued = false
        func close() throws {
            guard let entry = open, let manifest else { return }
            if isContinued { try later.append(entry, to: manifest) } else { try manifest.append(entry) }
        }
        while let kind = try reader.advance(), let segment = reader.segment {
            guard kind == .entry else {
                isContinued = true
                continue
            }
            try close()
            let entry = try segment.entry()
            (open, isContinued) = (takes(entry) ? nil : entry, false)
            if open != nil { count(entry) }
        }
        try close()
    }

    /// Returns true if an entry is removed, and counts the entry.
    private func takes(_ entry: ManifestEntry) -> Bool {
        let naming = paths.filter { PathOrder.isAtOrBeneath(entry.path, $0) }
        guard !naming.isEmpty else { return false }
        found.formUnion(naming)
        let isFile = entry.stat.type == .regular
        guard entry.goneSince != nil || request.takesPresent else {
            if isFile { report.presentFiles += 1 }
            return false
        }
        if isFile {
            report.files += 1
            report.bytes.add(entry.stat.size)
        } else {
            report.others += 1
        }
        return true
    }

    private func count(_ entry: ManifestEntry) {
        switch entry.stat.type {
        case .regular:
            counters.files += 1
            counters.bytes.add(entry.stat.size)
            if entry.goneSince != nil { counters.goneFiles += 1 }
        case .directory: counters.folders += 1
        default: counters.others += 1
        }
    }
}
