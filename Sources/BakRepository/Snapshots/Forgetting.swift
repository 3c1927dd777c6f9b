// Forgetting: snapshots that are not wanted any more. A marker is put beside the commit record, which stays:
// it is what keeps the session's name from being used again.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// Marks snapshots as not wanted any more. On return the marks are durable; space comes back with a prune.
    /// Those that are marked already stay so; where such a marker is damaged another one takes its place.
    ///
    /// Throws `RepositoryError.noSuchSnapshot` before anything is marked when one of them is not there.
    public func forget(_ snapshots: [ID128], host: String, program: String) throws {
        var outcomes = try sessionOutcomes()
        try unmaskDamagedRecords(&outcomes, among: snapshots)
        var marked = try forgotten()
        var known = outcomes.committed.union(outcomes.damaged).union(marked)
        // What is missing without a spare other records tell of.
        if !known.isSuperset(of: snapshots) { known.formUnion(try snapshotList().unreadable.map(\.id)) }
        if let unknown = snapshots.first(where: { !known.contains($0) }) {
            throw RepositoryError.noSuchSnapshot(name: unknown.description)
        }
        for id in marked.intersection(snapshots).sorted() where try faultOfMarker(id) != nil {
            // Stopped before the next one is there, the snapshot is listed again, and can be forgotten again.
            try store.delete(ObjectNames.forget(id))
            marked.remove(id)
        }
        let origin = RecordOrigin(time: time.now(), host: host, program: program)
        let ids = Set(snapshots).subtracting(marked).sorted()
        let markers = try ids.map { try encodedMarker(of: $0, origin) }
        if try ids.count < 2 || !putTogether(ids, markers) {
            for (id, bytes) in zip(ids, markers) {
                let isOurs = try store.putOwn(ObjectNames.forget(id), bytes, fromReserve: true)
                // Another program's marker serves as well, if it can be read.
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

    /// Puts markers with one barrier for all of them. False when another program has put one of them, which serves
    /// as well, when the store is full, or when what was staged has been removed; some may not be there then.
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

    /// Whether a snapshot is marked as not wanted any more.
    func isForgotten(_ snapshot: ID128) throws -> Bool {
        do {
            _ = try store.size(of: ObjectNames.forget(snapshot))
            return true
        } catch {
            guard error.kind == .notFound else { throw error }
            return false
        }
    }

    /// The snapshots that are marked as not wanted any more. To hide one a marker's name is enough: what it forgets
    /// a prune may have deleted already, so that nothing which happens to its content may bring the snapshot back.
    /// Throws `StoreError` if the markers cannot be listed.
    public func forgotten() throws -> Set<ID128> {
        Set(try store.list(ObjectNames.forgotten).compactMap { ObjectNames.id(in: $0.key) })
    }

    /// Whether a forgotten snapshot's marker cannot be read: then nothing of the snapshot is deleted. Throws
    /// `StoreError` if the marker is not there or the store fails.
    public func isMarkerDamaged(_ snapshot: ID128) throws -> Bool { try faultOfMarker(snapshot) != nil }

    /// Throws unless a forgotten snapshot's marker is whole.
    func expectForgetMarker(_ snapshot: ID128) throws {
        let key = ObjectNames.forget(snapshot)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        _ = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try ForgetMarker(decoding: bytes, object: key.description, snapshot: snapshot, context: context)
        }
    }

    /// How sessions ended, as listings show it.
    ///
    /// - Parameter asksSpares: whether sessions whose record is gone or was replaced by a tombstone are told from those
    ///   that never committed.
    func sessionOutcomes(asksSpares: Bool = true) throws(StoreError) -> SessionOutcomes {
        // In this order: a session whose spare is there has committed before.
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
    /// A commit record that was cut to the length of a tombstone passes for one in a listing. Reads those of `sessions`
    /// that do, and counts what is no tombstone as damaged.
    func unmaskDamagedRecords(
        _ outcomes: inout SessionOutcomes, among sessions: some Sequence<ID128>
    ) throws {
        for session in sessions where outcomes.revoked.contains(session) {
            guard try !isTombstone(session) else { continue }
            outcomes.revoked.remove(session)
            outcomes.damaged.insert(session)
        }
    }

    /// True if a session's tombstone is whole, or not there any more.
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
    /// Those with a commit record.
    var committed: Set<ID128> = []
    /// Those with a tombstone.
    var revoked: Set<ID128> = []
    /// Those without a record that can be told from a tombstone: what is there is too short for either, or something
    /// else says that they committed.
    var damaged: Set<ID128> = []

    /// Takes note that sessions committed, whatever is under their names now.
    mutating func noteCommitted(_ sessions: some Sequence<ID128>) {
        for session in sessions where !committed.contains(session) {
            revoked.remove(session)
            damaged.insert(session)
        }
    }

    /// All that it says, for `Milestones`.
    var knowledge: String { "\(committed.sorted()) \(revoked.sorted()) \(damaged.sorted())" }

    /// Whether the session can neither commit nor be revoked any more.
    func isDecided(_ session: ID128) -> Bool {
        committed.contains(session) || revoked.contains(session) || damaged.contains(session)
    }
}
