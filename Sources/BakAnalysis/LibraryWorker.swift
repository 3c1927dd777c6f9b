// LibraryWorker: one thread of a benchmark. It reads files, cuts them by every scheme, and writes a manifest in the
// order in which it receives the items.

import BakEngine
import BakChunking
import BakCodec
import BakCore
import BakFormat
import BakRepository
import BakStorage

/// An entry of the walk, and its comparison with a snapshot.
struct LibraryItem: Sendable {
    var path: [UInt8]
    var stat: FileStat
    /// True if this is a further name of a file that was passed on before.
    var isFurtherName = false
    /// True if the snapshot has other content at this path.
    var isChanged = false
}

/// The state that the workers of a benchmark share.
struct LibraryShared: Sendable {
    let trials: [SchemeTrial]
    /// The digests of whole files, by the type of the file.
    let files: DistinctTally
    let duplicates: DuplicateFinder
    /// The trials of changed files; nil without a baseline.
    let changes: ChangeTrials?
}

/// Reads files. For one thread.
final class LibraryWorker {
    private let tree: any SourceTree
    private let shared: LibraryShared
    private let manifest: ManifestWriter
    private let trier: FileTrier
    private let changeTrier: FileTrier?
    private let onFailure: (_ path: [UInt8], _ reason: String) -> Void
    /// The findings of this worker.
    private(set) var found = LibraryReport()
    private(set) var changes = LibraryReport.Changes()
    private(set) var types = [PieceSum](repeating: PieceSum(), count: ContentType.allCases.count)

    init(
        _ tree: any SourceTree, _ shared: LibraryShared, _ manifest: ManifestWriter, _ trier: FileTrier,
        _ changeTrier: FileTrier?, onFailure: @escaping (_ path: [UInt8], _ reason: String) -> Void
    ) {
        self.tree = tree
        self.shared = shared
        self.manifest = manifest
        self.trier = trier
        self.changeTrier = changeTrier
        self.onFailure = onFailure
    }

    /// The number of bytes in holes, which were not read.
    var holeBytes: UInt64 { found.bytes &- found.readBytes }

    /// The time that this worker spent in reading.
    var readNanoseconds: UInt64 { trier.readNanoseconds }

    /// Handles an item. Items come in the order of paths. Throws errors that end the run, and `FileTrier.Stopped`.
    func take(_ item: LibraryItem) throws {
        do {
            if item.isFurtherName {
                // A real manifest would repeat the chunks of the file's first name here. The benchmark leaves these
                // chunks out.
                var stat = item.stat
                stat.size = 0
                try append(item.path, stat, FileAttributes(), .inline([]))
            } else if item.stat.type == .regular {
                try takeFile(item)
            } else {
                try append(item.path, item.stat, try attributes(item), nil)
            }
        } catch let error as SourceError {
            if error.endsRun { throw error }
            onFailure(item.path, error.description)
        }
    }

    /// Returns the attributes that can be read. Missing attributes change the manifest's size by only a few bytes.
    private func attributes(_ item: LibraryItem) throws(SourceError) -> FileAttributes {
        do {
            return try tree.attributes(item.path, item.stat)
        } catch {
            guard let read = error.readAttributes else { throw error }
            return read
        }
    }

    /// Finishes the manifest.
    func finish() throws { _ = try manifest.storeRoot() }

    private func takeFile(_ item: LibraryItem) throws {
        let file = try tree.open(item.path)
        defer { file.close() }
        var stat = try file.stat()
        let tried = try trier.read(file, stat)
        stat.size = tried.byteCount
        // Attributes that cannot be read change the manifest's size by only a few bytes.
        let attributes = (try? file.attributes(stat)) ?? FileAttributes()
        found.files += 1
        found.bytes.add(tried.byteCount)
        found.readBytes.add(tried.readBytes)
        let kind = Int((tried.byteCount == 0 ? .empty : tried.type).rawValue)
        types[kind] += PieceSum(count: 1, bytes: tried.byteCount)
        if tried.byteCount > 0 {
            let whole = NamedPiece(tried.digest, byteCount: Int(clamping: tried.byteCount))
            shared.files.insert([whole], kind: kind)
            shared.duplicates.note(tried.digest, item.path, byteCount: tried.byteCount)
        }
        try append(item.path, stat, attributes, tried.byteCount == 0 ? .inline([]) : tried.content)
        if item.isChanged, let trials = shared.changes, let changeTrier {
            try compare(item.path, file, stat, trials, changeTrier)
        }
    }

    /// Appends an entry to the manifest. Reports a failure if the manifest refuses the entry, because a backup could
    /// not store it either.
    private func append(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, _ content: FileContent?
    ) throws {
        do {
            try manifest.append(
                ManifestEntry(path: path, stat: stat, attributes: attributes, content: content))
        } catch RepositoryError.outsideLimits(_, let reason) {
            onFailure(path, reason)
        }
    }

    /// Cuts the snapshot's content of a file, then its current content.
    private func compare(
        _ path: [UInt8], _ file: any SourceFile, _ stat: FileStat, _ trials: ChangeTrials, _ trier: FileTrier
    ) throws {
        do {
            let old = try trials.snapshot.open(path)
            defer { old.close() }
            _ = try trier.read(old, try old.stat(), kind: ChangeTrials.oldContent)
        } catch is SourceError {
            changes.unreadableFiles += 1
            return
        }
        let tried = try trier.read(file, stat, kind: ChangeTrials.newContent)
        changes.changedFiles += 1
        changes.changedBytes.add(tried.byteCount)
    }
}
