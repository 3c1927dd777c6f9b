// Spares: a second copy of each commit record, byte for byte, which its session puts right after it.
//
// Always holds: where there is a spare its session committed, whatever is found under the record's name. So whoever
// looks for both lists the spares first. A spare need not be durable: nothing is lost with it, and one that a power cut
// has emptied still says by its name that there was a record.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// A prune makes up for so many missing spares at a time.
    private static var tendedSpares: Int { 256 }

    /// Puts the spare of a commit record. That it cannot be put is no failure: the record is there.
    func putSpare(_ session: ID128, _ record: [UInt8]) {
        _ = try? record.withUnsafeBytes { try store.putUnsynced(ObjectNames.spare(session), $0) }
    }

    /// The spares that are there, with their sizes in bytes.
    func spares() throws(StoreError) -> [ID128: Int] {
        var spares: [ID128: Int] = [:]
        for info in try store.list(ObjectNames.spares) {
            if let id = ObjectNames.id(in: info.key) { spares[id] = info.size }
        }
        return spares
    }

    /// What a session's spare says, and its bytes; nil where there is none that can be used.
    func spare(_ session: ID128) throws -> (record: CommitRecord, bytes: [UInt8])? {
        try wholeRecord(ObjectNames.spare(session), of: session)
    }

    /// A snapshot's commit record, or what its spare says; nil when neither can be read.
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

    /// Removes the spares of forgotten snapshots that the newest decision stands for. Until then a session's segment
    /// counts by its record, and if that is lost by the spare alone: others may refer to what only that segment names.
    func sweepSpares() throws {
        let superseded = try supersededSessions(by: collectionRounds().decided)
        let swept = try forgotten().intersection(spares().keys).intersection(superseded)
        for id in swept.sorted() where try faultOfMarker(id) == nil {
            try store.delete(ObjectNames.spare(id))
        }
    }

    /// Makes up for spares that are missing or not as long as their records.
    ///
    /// - Parameter isThorough: whether every spare is compared with its record, and all are made up for.
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

// MARK: - What is missing

extension Repository {
    /// The sessions that a decision stands for: they committed before it. None where it cannot be read.
    func supersededSessions(by round: UInt64) throws -> Set<ID128> {
        do {
            return round > 0 ? Set(try collectionDecision(round).superseded) : []
        } catch is CorruptionError {
            return []
        } catch let error as StoreError where error.kind == .notFound || error.concernsOneObject {
            return []
        }
    }

    /// Snapshots that others were made after and that have no record any more, although nobody forgot them.
    ///
    /// - Parameter isKnown: whether there is a record, whole or not, or a forget marker of that name.
    func missingParents(
        of records: [CommitRecord], isKnown: (ID128) -> Bool
    ) throws -> Set<ID128> {
        var missing: Set<ID128> = []
        // A copy's parent is one of the repository that it was copied from.
        for record in records where record.original == nil {
            guard let parent = record.parent, !isKnown(parent), !missing.contains(parent) else { continue }
            do {
                // A listing may show a record and not the one before it. A tombstone would have ended that one.
                let size = try store.size(of: ObjectNames.snapshot(parent))
                if size == Tombstone.objectBytes(context) { missing.insert(parent) }
            } catch {
                guard error.kind == .notFound else { throw error }
                missing.insert(parent)
            }
        }
        return missing
    }

    /// Why a snapshot's record cannot be used, which something says was there, and what to do about it.
    func faultOfRecord(_ snapshot: ID128) throws -> CorruptionError {
        var fault = Self.missingRecord(snapshot)
        do {
            _ = try self.snapshot(snapshot)
        } catch let error as CorruptionError {
            fault = error
        } catch let error as StoreError where error.kind == .notFound {}
        if fault.isWhole { return fault }
        fault.reason += try "; " + adviceOnRecord(snapshot)
        return fault
    }

    private func adviceOnRecord(_ snapshot: ID128) throws -> String {
        let spare = try spare(snapshot)?.record
        // What more than its record is lost of was made another snapshot of.
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
    /// What to do about it.
    public var advice: String {
        guard isDoubtful else { return Self.advice(id, hasSpare: spare != nil && !isReplaced) }
        let removal = "remove it once more with: bakstore forget \(id.short)"
        return spare == nil || isReplaced
            ? removal
            : "take it back with: bakstore forget --undo \(id.short); or, if it was to go, \(removal)"
    }

    /// Why nobody knows whether one is wanted whose marker does not open.
    public var reason: String { "whether it was removed cannot be told, since \(error)" }

    static func advice(_ snapshot: ID128, hasSpare: Bool) -> String {
        hasSpare
            ? "bring it back with: bakstore repair snapshots"
            : "where no copy of it is left, give the snapshot up with: bakstore forget \(snapshot.short)"
    }
}
