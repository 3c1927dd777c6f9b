// ArchiveCarrying: carries over the entries of an archive that the source no longer has. Their content must come from
// the repository, because the source cannot give it again.
//
// If a parent is forgotten during the run, a collection may delete its content. The run then begins again with the
// parents that are there now. So an entry is reported as lost only if the repository is damaged.
//
// Always holds: all content of an entry that is handed out is in packs that the backup may rely on. Chunks that lie
// only in packs which a collection is about to delete are stored again.

import BakCore
import BakFormat
import BakRepository

/// Carries entries over. May be used from any thread, except where a type says that it is for one thread.
final class ArchiveCarrying: @unchecked Sendable {
    /// Why an entry cannot be carried over.
    struct Loss: Error {
        var reason: String
    }

    /// The time that newly gone entries are marked with.
    let time: Timestamp
    private let repository: Repository
    private let index: BlobIndex
    private let writer: UncheckedBox<BlobWriter>
    private let state: RunState
    /// Returns true if the cause of an error may be a collection that has deleted something meanwhile, not damage.
    private let isOvertaken: (any Error) throws -> Bool

    init(_ session: BackupSession, _ writer: BlobWriter, _ state: RunState, time: Timestamp) {
        (repository, index, isOvertaken) = (session.repository, session.index, session.isOvertaken)
        (self.state, self.time) = (state, time)
        self.writer = UncheckedBox(writer)
    }

    /// Runs `body`. An error ends the run.
    func guarding(_ body: () throws -> Void) { state.guarding(body) }

    /// Returns the entry at a cursor, with a link count of 1 and all of its content.
    func entry(_ segment: ManifestSegmentDecoder, of cursor: ParentCursor) -> Result<ManifestEntry, Loss> {
        guard let entry = segment.isComplete ? try? segment.entry() : cursor.whole(segment) else {
            if let failure = cursor.failure { endIfOvertaken(failure) }
            return .failure(Loss(reason: "the list of files has only a part of its content"))
        }
        return carried(entry)
    }

    /// Returns the entry with a link count of 1, after all of its content is in packs that the backup may rely on.
    func carried(_ whole: ManifestEntry) -> Result<ManifestEntry, Loss> {
        var entry = whole
        if entry.stat.type != .directory { entry.stat.linkCount = 1 }
        guard case .extents(let extents) = entry.content else { return .success(entry) }
        for case .chunk(let reference) in extents where !index.holds(reference) {
            do {
                let reader = BlobReader(repository)
                try withExtendedLifetime(reader) {
                    let bytes = try reader.read(reference, kind: .chunkPack, index: index)
                    _ = try writer.value.store(bytes, isCompressed: false)
                }
            } catch  where error is CorruptionError || error is MissingBlobError {
                endIfOvertaken(error)
                return .failure(Loss(reason: "its content cannot be read from the repository: \(error)"))
            } catch {
                guarding { throw error }
                return .failure(Loss(reason: "\(error)"))
            }
        }
        return .success(entry)
    }

    private func endIfOvertaken(_ error: any Error) {
        guarding { if try isOvertaken(error) { throw error } }
    }

    /// Opens a parent's entries at and beneath a path that another item has taken.
    func displaced(_ snapshot: CommitRecord, at path: [UInt8], _ type: FileType) throws -> DisplacedEntries {
        try DisplacedEntries(snapshot, repository: repository, index: index, at: path, type, time)
    }

    /// Opens a cursor over a parent, for entries that turn out to be unreadable in the source.
    func cursor(_ snapshot: CommitRecord, from path: [UInt8]) throws -> ParentCursor {
        try ParentCursor(snapshot, repository: repository, index: index, from: path)
    }
}

/// Finds, for an archive, the parents' entries of items that could not be read. For one thread, in the order of the
/// walk.
final class EarlierEntries {
    private let carrying: ArchiveCarrying
    private let snapshots: [CommitRecord]
    private var cursors: [ParentCursor]?

    /// Looks in `snapshots`, newest first.
    init(_ snapshots: [CommitRecord], _ carrying: ArchiveCarrying) {
        (self.snapshots, self.carrying) = (snapshots, carrying)
    }

    /// Returns the entry at a path from the newest snapshot that has an item of that type there; nil if none has one.
    func entry(at path: [UInt8], _ type: FileType) throws -> Result<ManifestEntry, ArchiveCarrying.Loss>? {
        let cursors = try cursors ?? snapshots.map { try carrying.cursor($0, from: path) }
        self.cursors = cursors
        for cursor in cursors {
            let segment = cursor.entry(at: path)
            if let failure = cursor.failure { throw failure }
            guard let segment, segment.fields.stat.type == type else { continue }
            return carrying.entry(segment, of: cursor)
        }
        return nil
    }
}
