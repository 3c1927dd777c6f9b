// Spares: a second copy of each commit record, byte for byte. The session puts it right after the record.
//
// A decision is a prune's record of the packs that it deletes. It also supersedes sessions that committed before it:
// new index segments replace theirs.
//
// Always holds: if a session has a spare, it committed, whatever lies under its record's name. So a program lists the
// spares before the records: a record that it then misses is really lost. A spare need not be durable, because the
// record itself is. If a power cut empties a spare, the spare's name still shows that there was a record.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// The largest number of spares that one prune renews.
    private static var tendedSpares: Int { 256 }

    /// Puts the spare of a commit record. A failure is ignored, because the record is there.
    func putSpare(_ session: ID128, _ record: [UInt8]) {
        _ = try? record.withUnsafeBytes { try store.putUnsynced(ObjectNames.spare(session), $0) }
    }

    /// Returns the spares that are there, with their sizes in bytes.
    func spares() throws(StoreError) -> [ID128: Int] {
        var spares: [ID128: Int] = [:]
        for info in try store.list(ObjectNames.spares) {
            if let id = ObjectNames.id(in: info.key) { spares[id] = info.size }
        }
        return spares
    }

    /// Reads a session's spare; nil if it is missing or unusable.
    func spare(_ session: ID128) throws -> (record: CommitRecord, bytes: [UInt8])? {
        try wholeRecord(ObjectNames.spare(session), of: session)
    }

    /// Reads a snapshot's commit record, or else its spare; nil if neither can be read.
    func recordOrSpare(_ snapshot: ID128) throws -> CommitRecord? {
        try wholeRecord(ObjectNames.snapshot(snapshot), of: snapshot)?.record ?? spare(snapshot)?.record
    }

    /// Reads a commit record or its spare.
    func readRecord(
        _ key: ObjectKey, of session: ID128
    ) throws -> (record: CommitRecord, bytes: [UInt8]) {
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        let record = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try CommitRecord(decoding: bytes, object: key.description, id: session, context: context)
        }
        return (record, bytes)
    }

    private func wholeRecord(
        _ key: ObjectKey, of session: ID128
    ) throws -> (record: CommitRecord, bytes: [UInt8])? {
        do {
            return try readRecord(key, of: session)
        } catch is CorruptionError {
            return nil
        } catch let error as StoreError where error.kind == .notFound || error.concernsOneObject {
            return nil
        }
    }

    /// Removes the spares of forgotten snapshots whose sessions the newest decision supersedes. Until the decision, a
    /// session's index segment is trusted because of the session's record, or because of the spare if the record is
    /// lost. Without this segment, other snapshots might lack blobs, so the spare must stay until then.
    func sweepSpares() throws {
        let superseded = try supersededSessions(by: collectionRounds().decided)
        let swept = try forgotten().intersection(spares().keys).intersection(superseded)
        for id in swept.sorted() where try faultOfMarker(id) == nil {
            try store.delete(ObjectNames.spare(id))
        }
    }

    /// Renews spares that are missing or differ in length from their records.
    ///
    /// - Parameter isThorough: true to compare every spare with its record, and to renew any number of them.
    func renewSpares(isThorough: Bool = false) throws {
        let spares = try spares()
        let forgotten = try forgotten()
        var made = 0
        for info in try store.list(ObjectNames.snapshots) where isThorough || made < Self.tendedSpares {
            guard let id = ObjectNames.id(in: info.key), !forgotten.contains(id),
                info.size > Tombstone.objectBytes(context), isThorough || spares[id] != info.size,
                let record = try wholeRecord(info.key, of: id)?.bytes
            else { continue }
            if spares[id] != nil {
                if try spare(id)?.bytes == record { continue }
                try store.delete(ObjectNames.spare(id))
            }
            putSpare(id, record)
            made += 1
        }
    }
}

// MARK: - Missing records

extension Repository {
    /// Returns the sessions that a decision supersedes. They committed before it. Empty if the decision cannot be read.
    func supersededSessions(by round: UInt64) throws -> Set<ID128> {
        do {
            return round > 0 ? Set(try collectionDecision(round).superseded) : []
        } catch is CorruptionError {
            return []
        } catch let error as StoreError where error.kind == .notFound || error.concernsOneObject {
            return []
        }
    }

    /// Returns the parents of `records` that have no record any more although they were not forgotten.
    ///
    /// - Parameter isKnown: true if there is a record, whole or damaged, or a forget marker of this name.
    func missingParents(
        of records: [CommitRecord], isKnown: (ID128) -> Bool
    ) throws -> Set<ID128> {
        var missing: Set<ID128> = []
        // The parent of a copy may exist only in the repository from which the snapshot was copied. So its absence here
        // means nothing.
        for record in records where record.original == nil {
            guard let parent = record.parent, !isKnown(parent), !missing.contains(parent) else { continue }
            do {
                // The listing may have missed the parent. But the parent committed, so a tombstone means that its
                // record is lost.
                let size = try store.size(of: ObjectNames.snapshot(parent))
                if size == Tombstone.objectBytes(context) { missing.insert(parent) }
            } catch {
                guard error.kind == .notFound else { throw error }
                missing.insert(parent)
            }
        }
        return missing
    }

    /// Returns why a snapshot's record cannot be used, and what to do about it. The caller knows that the record once
    /// existed.
    func faultOfRecord(_ snapshot: ID128) throws -> CorruptionError {
        var fault = Self.missingRecord(snapshot)
        do {
            _ = try self.snapshot(snapshot)
        } catch let error as CorruptionError {
            fault = error
        } catch let error as StoreError where error.kind == .notFound {}
        if fault.isWhole { return fault }
        fault.reason += try ". " + adviceOnRecord(snapshot)
        return fault
    }

    private func adviceOnRecord(_ snapshot: ID128) throws -> String {
        let spare = try spare(snapshot)?.record
        // A repair may have made another snapshot from the remains. Then there is no need to bring this one back.
        let isReplaced = try spare.map { lost in try snapshots().readable.contains { $0.isMade(from: lost) } }
        return UnreadableSnapshot.advice(snapshot, hasSpare: isReplaced == false)
    }

    static func missingRecord(_ snapshot: ID128) -> CorruptionError {
        CorruptionError(
            object: ObjectNames.snapshot(snapshot).description, offset: 0,
            reason: "the commit record is missing")
    }
}

extension UnreadableSnapshot {
    /// What the user can do about it.
    public var advice: String {
        guard isDoubtful else { return Self.advice(id, hasSpare: spare != nil && !isReplaced) }
        let removal = "To remove it, run `bakstore forget \(id.short)`"
        return spare == nil || isReplaced
            ? removal
            : "To keep it, run `bakstore forget --undo \(id.short)`. \(removal)"
    }

    /// Why it is unknown whether the user wants a snapshot whose marker does not open.
    public var reason: String { "it is unknown whether it was removed, because \(error)" }

    static func advice(_ snapshot: ID128, hasSpare: Bool) -> String {
        hasSpare
            ? "Bring it back with `bakstore repair snapshots`"
            : "If no copy of it is left, give the snapshot up with `bakstore forget \(snapshot.short)`"
    }
}
