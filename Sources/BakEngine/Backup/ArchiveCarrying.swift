// ArchiveCarrying: how an archive takes over entries that its source has no more, whose content cannot be read again
// from there.
//
// Where a collection has taken a parent that was forgotten meanwhile, the run ends and begins again with the parents
// that are there then: that an entry cannot go on is said only of what is damaged.
//
// Always holds: an entry that is handed out has all of its content where the backup may count on it. What lies only in
// packs that a collection is about to delete is stored anew.

import BakCore
import BakFormat
import BakRepository

/// Takes entries over. What is not said to be for one thread may be used from any.
final class ArchiveCarrying: @unchecked Sendable {
    /// Why an entry cannot go on.
    struct Loss: Error {
        var reason: String
    }

    /// What the backup first misses is gone since then.
    let time: Timestamp
    private let repository: Repository
    private let index: BlobIndex
    private let writer: UncheckedBox<BlobWriter>
    private let state: RunState
    /// Tells of an error whether it may only say that a collection has taken something meanwhile.
    private let isOvertaken: (any Error) throws -> Bool

    init(_ session: BackupSession, _ writer: BlobWriter, _ state: RunState, time: Timestamp) {
        (repository, index, isOvertaken) = (session.repository, session.index, session.isOvertaken)
        (self.state, self.time) = (state, time)
        self.writer = UncheckedBox(writer)
    }

    /// Ends the run if what it must carry over cannot be read.
    func guarding(_ body: () throws -> Void) { state.guarding(body) }

    /// The entry that a cursor stands at, with one name and all of its content.
    func entry(_ segment: ManifestSegmentDecoder, of cursor: ParentCursor) -> Result<ManifestEntry, Loss> {
        guard let entry = segment.isComplete ? try? segment.entry() : cursor.whole(segment) else {
            if let failure = cursor.failure { endIfOvertaken(failure) }
            return .failure(Loss(reason: "the list of files does not say all of its content"))
        }
        return carried(entry)
    }

    /// The entry with one name, once all of its content is where the backup may count on it.
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

    /// What a parent has at and beneath a path that something else has taken.
    func displaced(_ snapshot: CommitRecord, at path: [UInt8], _ type: FileType) throws -> DisplacedEntries {
        try DisplacedEntries(snapshot, repository: repository, index: index, at: path, type, time)
    }

    /// A cursor over a parent for entries that turn out not to be readable.
    func cursor(_ snapshot: CommitRecord, from path: [UInt8]) throws -> ParentCursor {
        try ParentCursor(snapshot, repository: repository, index: index, from: path)
    }
}

/// The entries that an archive's parents have of files which could not be read. For one thread, in the order of the
/// walk.
final class EarlierEntries {
    private let carrying: ArchiveCarrying
    private let snapshots: [CommitRecord]
    private var cursors: [ParentCursor]?

    /// Looks into `snapshots`, the newest first.
    init(_ snapshots: [CommitRecord], _ carrying: ArchiveCarrying) {
        (self.snapshots, self.carrying) = (snapshots, carrying)
    }

    /// The entry of a path, if a parent has it and it is of that type.
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
