// Check: finds and names damage. It trusts nothing but the store: the index is read anew, every pack that
// it names is compared with its own footer, and every manifest with the index.
//
// Memory: the index table is mapped; what grows are the lists of packs, of distinct manifest segments, and
// of what is damaged.

import BakCore
import BakFormat
import BakStorage

/// Checks one repository.
public final class RepositoryCheck {
    private let repository: Repository
    private let depth: CheckDepth
    private let workerCount: Int
    private let onEvent: @Sendable (CheckEvent) -> Void
    private let isCancelled: @Sendable () -> Bool
    private var report = CheckReport()
    private var storedPacks: [ID128: Int] = [:]
    private var damage = DamagedBlobs()
    private var damagedObjects: Set<String> = []
    /// Packs with damage that the index must explain are explained together, in one pass over the index for
    /// so many of their blobs.
    private static let blobsPerPass = 1 << 20

    /// Prepares a check.
    ///
    /// - Parameters:
    ///   - workerCount: how many packs are read at once.
    ///   - onEvent: told what is found, from any thread.
    ///   - isCancelled: polled; when it turns true the check ends early.
    public init(
        _ repository: Repository, depth: CheckDepth, workerCount: Int,
        onEvent: @escaping @Sendable (CheckEvent) -> Void,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.repository = repository
        self.depth = depth
        self.workerCount = workerCount
        self.onEvent = onEvent
        self.isCancelled = isCancelled
    }

    /// Checks. Throws only when the store itself cannot be listed or read.
    public func run() throws -> CheckReport {
        onEvent(.step("snapshots"))
        let snapshots = try checkSnapshots()
        onEvent(.step("index"))
        let index = try BlobIndex(repository, rebuilding: true) { self.note($0) }
        report.blobs = index.count
        try checkUncommittedSegments()
        onEvent(.step("packs"))
        try listPacks()
        let packs = checkListing(index)
        try checkPacks(packs, index)
        onEvent(.step("manifests"))
        try checkManifests(snapshots, index)
        report.wasInterrupted = isCancelled()
        return report
    }

    private func note(_ error: CorruptionError) {
        note(error.object, "at byte \(error.offset): \(error.reason)")
    }

    private func note(_ object: String, _ reason: String) {
        damagedObjects.insert(object)
        report.damagedObjects = damagedObjects.count
        onEvent(.damage(object: object, reason: reason))
    }

    // MARK: Small objects

    private func checkSnapshots() throws -> [CommitRecord] {
        let (readable, unreadable) = try repository.snapshots()
        report.snapshots = readable.count + unreadable.count
        for snapshot in unreadable {
            if let error = snapshot.error as? CorruptionError { note(error) }
            report.affectedSnapshots += 1
            onEvent(.affectedSnapshot(snapshot: snapshot.id, reason: "its commit record cannot be read"))
        }
        let segments = Set(try repository.store.list(Layout.index).map(\.key))
        for record in readable where record.hasIndex && !segments.contains(Layout.indexSegment(record.id)) {
            note(Layout.indexSegment(record.id).description, "the index segment is missing")
        }
        for info in try repository.store.list(Layout.sessions) {
            guard let id = Layout.id(in: info.key) else { continue }
            do {
                _ = try repository.sessionRecord(id)
            } catch let error as CorruptionError { note(error) }
        }
        return readable
    }

    /// Segments of sessions that never committed are not used; they are told of, not counted as damage.
    private func checkUncommittedSegments() throws {
        let committed = Set(try repository.store.list(Layout.snapshots).compactMap { Layout.id(in: $0.key) })
        for info in try repository.store.list(Layout.index) {
            guard let id = Layout.id(in: info.key), !committed.contains(id) else { continue }
            onEvent(.unused(object: info.key.description, reason: "its session did not commit"))
        }
    }

    // MARK: Packs

    private func listPacks() throws {
        for folder in Layout.packFolders {
            for info in try repository.store.list(folder) {
                guard let id = Layout.id(in: info.key), Layout.pack(id) == info.key else {
                    onEvent(.unused(object: info.key.description, reason: "it is not named as a pack is"))
                    continue
                }
                storedPacks[id] = info.size
            }
        }
    }

    /// Compares the index's packs with the listing; returns those worth reading.
    private func checkListing(_ index: BlobIndex) -> [IndexedPack] {
        var named: Set<ID128> = []
        var present: [IndexedPack] = []
        for pack in index.packs where named.insert(pack.id).inserted {
            guard let size = storedPacks[pack.id] else {
                note(Layout.pack(pack.id).description, "the pack is missing")
                damage.packs.insert(pack.id)
                continue
            }
            if UInt64(size) != pack.size {
                note(Layout.pack(pack.id).description, "it has \(size) bytes, the index says \(pack.size)")
                // Without reading it, what lies before the end of a cut pack cannot be told from the rest.
                if depth == .structure, UInt64(size) < pack.size { damage.packs.insert(pack.id) }
            }
            present.append(pack)
        }
        report.packs = named.count
        for (id, size) in storedPacks where !named.contains(id) {
            report.unusedPacks += 1
            report.unusedBytes += UInt64(size)
        }
        return present
    }

    private func checkPacks(_ packs: [IndexedPack], _ index: BlobIndex) throws {
        var blobCounts: [ID128: Int] = [:]
        try index.forEach { _, pack in blobCounts[pack.id, default: 0] += 1 }
        let totalBytes = packs.reduce(0) { $0 + $1.size }
        let queue = BoundedQueue<IndexedPack>(capacity: max(1, packs.count))
        for pack in packs { queue.push(pack) }
        queue.close()
        let results = PackResults()
        let (counts, sizes) = (blobCounts, storedPacks)
        let (repository, depth, onEvent, isCancelled) = (repository, depth, onEvent, isCancelled)
        let threads = (0..<max(1, workerCount)).map { _ in
            Thread {
                let verifier = PackVerifier(repository, index, depth: depth)
                while !isCancelled(), !results.hasFailed, let pack = queue.pop() {
                    do {
                        let found = try verifier.verify(
                            pack, size: sizes[pack.id] ?? 0, indexedBlobs: counts[pack.id] ?? 0)
                        let done = results.add(found, pack)
                        if depth == .readData { onEvent(.progress(doneBytes: done, totalBytes: totalBytes)) }
                    } catch { results.fail(error) }
                }
            }
        }
        for thread in threads { thread.join() }
        if let failure = results.failure { throw failure }
        if depth == .readData { report.verifiedBytes = results.verifiedBytes }
        for (pack, found) in results.damaged {
            for reason in found.reasons { note(Layout.pack(pack.id).description, reason) }
            damage.blobs.formUnion(found.badBlobs)
        }
        if depth == .readData {
            let unexplained = results.damaged.filter(\.found.needsIndex).map(\.pack)
            try verifyIndexed(unexplained, blobCounts, index)
        }
    }

    /// Finds the blobs that cannot be read in packs whose footers do not say.
    private func verifyIndexed(
        _ packs: [IndexedPack], _ blobCounts: [ID128: Int], _ index: BlobIndex
    ) throws {
        let verifier = PackVerifier(repository, index, depth: depth)
        var rest = packs[...]
        while !rest.isEmpty, !isCancelled() {
            var entries: [ID128: [IndexEntry]] = [:]
            var blobs = 0
            let batch = rest.prefix { pack in
                blobs += blobCounts[pack.id] ?? 0
                return entries.isEmpty || blobs <= Self.blobsPerPass
                    ? entries.updateValue([], forKey: pack.id) == nil : false
            }
            rest = rest.dropFirst(batch.count)
            try index.forEach { entry, pack in entries[pack.id]?.append(entry) }
            for pack in batch where !isCancelled() {
                let sorted = entries[pack.id]!.sorted { $0.offset < $1.offset }
                damage.blobs.formUnion(try verifier.verifyIndexed(sorted, of: pack))
            }
        }
    }

    // MARK: Manifests

    private func checkManifests(_ snapshots: [CommitRecord], _ index: BlobIndex) throws {
        let checker = ManifestChecker(repository, index, damage)
        for snapshot in snapshots {
            if isCancelled() { return }
            let found = try checker.check(snapshot)
            guard found.failure != nil || !found.files.isEmpty else { continue }
            report.affectedSnapshots += 1
            if let failure = found.failure {
                onEvent(.affectedSnapshot(snapshot: snapshot.id, reason: failure))
            }
            report.affectedFiles += found.files.count
            for file in found.files {
                onEvent(.affectedFile(snapshot: snapshot.id, path: file.path, reason: file.reason))
            }
        }
    }
}

/// What cannot be read: whole packs, and single blobs.
struct DamagedBlobs {
    var packs: Set<ID128> = []
    var blobs: Set<ID128> = []
}

/// What the threads of a check found out about packs.
private final class PackResults: @unchecked Sendable {
    private let monitor = Monitor()
    private(set) var damaged: [(pack: IndexedPack, found: PackFindings)] = []
    private(set) var failure: (any Error)?
    private(set) var verifiedBytes: UInt64 = 0

    var hasFailed: Bool { monitor.locked { failure != nil } }

    func add(_ found: PackFindings, _ pack: IndexedPack) -> UInt64 {
        monitor.locked {
            if !found.reasons.isEmpty { damaged.append((pack, found)) }
            verifiedBytes += pack.size
            return verifiedBytes
        }
    }

    func fail(_ error: any Error) { monitor.locked { failure = failure ?? error } }
}
