// Forgetting: puts a forget marker for each snapshot that the user no longer wants. The commit record stays, so that no
// other session can use its name again.
//
// A commit record makes a session's snapshot exist, and its spare is a second copy of it. A tombstone has the name of a
// commit record and says that the session may never commit.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// Marks snapshots as forgotten. On return the markers are durable; a prune frees the space later. An existing
    /// marker stays, but a damaged one is replaced.
    ///
    /// - Throws: `RepositoryError.noSuchSnapshot` if one of the snapshots does not exist. Then no marker is put.
    public func forget(_ snapshots: [ID128], host: String, program: String) throws {
        var outcomes = try sessionOutcomes()
        try unmaskDamagedRecords(&outcomes, among: snapshots)
        var marked = try forgotten()
        var known = outcomes.committed.union(outcomes.damaged).union(marked)
        // If a snapshot's record and spare are both missing, only other records show that it existed.
        if !known.isSuperset(of: snapshots) { known.formUnion(try snapshotList().unreadable.map(\.id)) }
        if let unknown = snapshots.first(where: { !known.contains($0) }) {
            throw RepositoryError.noSuchSnapshot(name: unknown.description)
        }
        for id in marked.intersection(snapshots).sorted() where try faultOfMarker(id) != nil {
            // If the program stops before the new marker is there, the snapshot is listed, and the user can forget it
            // again.
            try store.delete(ObjectNames.forget(id))
            marked.remove(id)
        }
        let origin = RecordOrigin(time: time.now(), host: host, program: program)
        let ids = Set(snapshots).subtracting(marked).sorted()
        let markers = try ids.map { try encodedMarker(of: $0, origin) }
        if try ids.count < 2 || !putTogether(ids, markers) {
            for (id, bytes) in zip(ids, markers) {
                let isOurs = try store.putOwn(ObjectNames.forget(id), bytes, fromReserve: true)
                // Another program's marker serves as well, if it is readable.
                if !isOurs { try expectForgetMarker(id) }
            }
        }
    }

    private func encodedMarker(of snapshot: ID128, _ origin: RecordOrigin) throws -> [UInt8] {
        let bytes = ForgetMarker(snapshot: snapshot, origin: origin).encode(context)
        try RepositoryError.refuseUnreadable("the forget marker", bytes) { bytes throws(CorruptionError) in
            try ForgetMarker(decoding: bytes, object: "", snapshot: snapshot, context: context)
        }
        return bytes
    }

    /// Puts several markers and waits only once until all of them are durable. Returns false if another program has put
    /// one of them, if the store is full, or if staged markers were removed. Some markers may be missing then.
    private func putTogether(_ ids: [ID128], _ markers: [[UInt8]]) throws -> Bool {
        let batch = store.makeBatch(of: nil)
        defer { batch.abandon() }
        do {
            for (id, bytes) in zip(ids, markers) {
                try bytes.withUnsafeBytes { try batch.stage(ObjectNames.forget(id), $0) }
            }
            try batch.publish()
            return true
        } catch let error as StoreError {
            guard [.alreadyExists, .full, .notFound].contains(error.kind) else { throw error }
            return false
        }
    }

    /// True if a snapshot has a forget marker.
    func isForgotten(_ snapshot: ID128) throws -> Bool {
        do {
            _ = try store.size(of: ObjectNames.forget(snapshot))
            return true
        } catch {
            guard error.kind == .notFound else { throw error }
            return false
        }
    }

    /// Returns the snapshots that have a forget marker. The marker's name is enough to hide a snapshot: a prune may
    /// already have deleted its content, so damage to the marker must not bring it back.
    ///
    /// - Throws: `StoreError` if the markers cannot be listed.
    public func forgotten() throws -> Set<ID128> {
        Set(try store.list(ObjectNames.forgotten).compactMap { ObjectNames.id(in: $0.key) })
    }

    /// True if a forgotten snapshot's marker cannot be read. Then no program deletes the snapshot's content.
    ///
    /// - Throws: `StoreError` if the marker is not there or the store fails.
    public func isMarkerDamaged(_ snapshot: ID128) throws -> Bool { try faultOfMarker(snapshot) != nil }

    /// Throws unless a forgotten snapshot's marker is whole.
    func expectForgetMarker(_ snapshot: ID128) throws {
        let key = ObjectNames.forget(snapshot)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        _ = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try ForgetMarker(decoding: bytes, object: key.description, snapshot: snapshot, context: context)
        }
    }

    /// Returns how sessions ended, as the names and sizes in listings show it.
    ///
    /// - Parameter asksSpares: true to find sessions that committed although their record is gone or a tombstone
    ///   replaced it.
    func sessionOutcomes(asksSpares: Bool = true) throws(StoreError) -> SessionOutcomes {
        // The spares are listed first. A session with a listed spare has committed, so the later listing should have
        // its record.
        let spares = asksSpares ? try spares() : [:]
        var outcomes = SessionOutcomes()
        for info in try store.list(ObjectNames.snapshots) {
            guard let id = ObjectNames.id(in: info.key) else { continue }
            if info.size == Tombstone.objectBytes(context) {
                outcomes.revoked.insert(id)
            } else if info.size > Tombstone.objectBytes(context) {
                outcomes.committed.insert(id)
            } else {
                outcomes.damaged.insert(id)
            }
        }
        outcomes.noteCommitted(spares.keys)
        return outcomes
    }
}

extension Repository {
    /// Reads the objects of `sessions` that look like tombstones in a listing. A commit record that was cut to a
    /// tombstone's length looks like one, too. Its session counts as damaged.
    func unmaskDamagedRecords(
        _ outcomes: inout SessionOutcomes, among sessions: some Sequence<ID128>
    ) throws {
        for session in sessions where outcomes.revoked.contains(session) {
            guard try !isTombstone(session) else { continue }
            outcomes.revoked.remove(session)
            outcomes.damaged.insert(session)
        }
    }

    /// True if a session's tombstone is whole or no longer there.
    private func isTombstone(_ session: ID128) throws -> Bool {
        do {
            try expectTombstone(session)
            return true
        } catch is CorruptionError {
            return false
        } catch let error as StoreError where error.kind == .notFound {
            return true
        }
    }
}

/// How sessions ended.
struct SessionOutcomes: Equatable {
    /// The sessions with a commit record.
    var committed: Set<ID128> = []
    /// The sessions with a tombstone.
    var revoked: Set<ID128> = []
    /// The sessions whose commit record is lost. The object under the session's name is shorter than a tombstone; or it
    /// is a tombstone or missing, although something else shows that the session committed.
    var damaged: Set<ID128> = []

    /// Notes that sessions committed, whatever lies under their names now.
    mutating func noteCommitted(_ sessions: some Sequence<ID128>) {
        for session in sessions where !committed.contains(session) {
            revoked.remove(session)
            damaged.insert(session)
        }
    }

    /// All sets in words, for `Milestones`.
    var knowledge: String { "\(committed.sorted()) \(revoked.sorted()) \(damaged.sorted())" }

    /// True if the session can no longer commit or be revoked.
    func isDecided(_ session: ID128) -> Bool {
        committed.contains(session) || revoked.contains(session) || damaged.contains(session)
    }
}
