// Snapshots: lists snapshots and reads their commit records. `SnapshotList+Names` finds one by the name that a user
// types.
//
// A commit record has a second copy, its spare. A tombstone has the name of a commit record and says that the session
// may never commit. A prune's decision names sessions that have committed. So a spare and a decision each show that a
// record existed, even if the record is missing now.

import BakCore
import BakFormat
import BakStorage

/// A snapshot whose commit record is unreadable or missing, or whose forget marker does not open.
public struct UnreadableSnapshot: Sendable {
    /// The snapshot's id.
    public var id: ID128
    /// Why it could not be read.
    public var error: any Error
    /// The content of the record's spare; nil if no spare can be read.
    public var spare: CommitRecord?
    /// True if nothing lies under the record's name.
    public var isMissing = false
    /// True if an obstruction, an item that is not a regular file, lies under the record's name.
    public var isObstructed = false
    /// True if a repair has made another snapshot from its remains.
    public var isReplaced = false
    /// True if its forget marker does not open, so that it is unknown whether the user wants the snapshot. Then `spare`
    /// is its commit record, or the record's spare.
    public var isDoubtful = false
}

/// The snapshots of a repository that are not forgotten.
public struct SnapshotList: Sendable {
    /// The readable snapshots, oldest first.
    public var readable: [CommitRecord]
    /// The unreadable snapshots.
    public var unreadable: [UnreadableSnapshot]
    /// The order in which the snapshots were made.
    public var order: SnapshotOrder
    /// The snapshots that were forgotten when the list was read.
    var forgotten: Set<ID128> = []
}

extension Repository {
    /// Reads one snapshot's commit record.
    ///
    /// - Throws: `CorruptionError` if it is damaged, and `StoreError`: `.notFound` if there is none.
    public func snapshot(_ id: ID128) throws -> CommitRecord {
        try readRecord(ObjectNames.snapshot(id), of: id).record
    }

    /// Throws unless a revoked session's tombstone is whole.
    func expectTombstone(_ session: ID128) throws {
        let key = ObjectNames.snapshot(session)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        _ = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try Tombstone(decoding: bytes, object: key.description, session: session, context: context)
        }
    }

    /// Returns all snapshots that are not forgotten: the readable ones, oldest first, and the unreadable ones.
    ///
    /// - Throws: `StoreError` if they cannot be listed or read.
    public func snapshots() throws -> (readable: [CommitRecord], unreadable: [UnreadableSnapshot]) {
        let list = try snapshotList()
        return (list.readable, list.unreadable)
    }

    /// Returns all snapshots that are not forgotten, with the order in which they were made. An unreadable record does
    /// not keep other records from being listed. A snapshot also counts as unreadable if its record is missing although
    /// something shows that it existed, if an obstruction is in the record's place, or if its forget marker does not
    /// open.
    ///
    /// - Throws: `StoreError` if the store cannot be listed or read.
    public func snapshotList() throws -> SnapshotList {
        // Decision and spares are read first. Each session that they name has committed, so a later listing should have
        // its record.
        let round = try collectionRounds().decided
        let witnessed = try supersededSessions(by: round).union(spares().keys)
        let (listing, obstructions) = try store.listWithObstructions(ObjectNames.snapshots)
        let markers = try forgetMarkers()
        let forgotten = Set(markers.keys)
        var found = FoundRecords()
        for info in listing {
            guard let id = ObjectNames.id(in: info.key) else { continue }
            found.named.insert(id)
            if !forgotten.contains(id) { try look(at: id, info, isWitnessed: witnessed.contains(id), &found) }
        }
        let (named, tombstones) = (found.named, found.tombstones)
        var missing = witnessed.subtracting(named).subtracting(forgotten)
        missing.formUnion(
            try missingParents(of: found.readable) { id in
                named.contains(id) && !tombstones.contains(id) || forgotten.contains(id)
            })
        var obstructed: [ID128: CorruptionError] = [:]
        for obstruction in obstructions {
            guard let id = ObjectNames.id(in: obstruction.key), !forgotten.contains(id) else { continue }
            obstructed[id] = CorruptionError(
                object: obstruction.key.description, offset: 0, reason: "\(obstruction)")
        }
        missing.formUnion(obstructed.keys)
        found.unreadable += missing.sorted().map { ($0, obstructed[$0] ?? Self.missingRecord($0)) }
        var unreadable: [UnreadableSnapshot] = []
        for (id, error) in found.unreadable {
            let spare = try spare(id)?.record
            unreadable.append(
                UnreadableSnapshot(
                    id: id, error: error, spare: spare, isMissing: !named.contains(id),
                    isObstructed: obstructed[id] != nil,
                    isReplaced: spare.map { lost in found.readable.contains { $0.isMade(from: lost) } }
                        ?? false))
        }
        for (id, fault) in markers.sorted(by: { $0.key < $1.key }) {
            guard let fault else { continue }
            let record = try recordOrSpare(id)
            unreadable.append(
                UnreadableSnapshot(
                    id: id, error: fault, spare: record, isMissing: !named.contains(id),
                    isReplaced: record.map { lost in found.readable.contains { $0.standsFor(lost) } }
                        ?? false,
                    isDoubtful: true))
        }
        let order = SnapshotOrder(
            found.readable, unlisted: unreadable.compactMap(\.spare),
            through: forgottenAncestors(
                of: found.readable,
                among: forgotten.intersection(found.named).subtracting(unreadable.map(\.id))),
            now: time.now())
        noteSeen(order.sorted, round: round)
        return SnapshotList(
            readable: order.sorted, unreadable: unreadable, order: order, forgotten: forgotten)
    }

    /// Returns a list of snapshots that a program can continue from. Another program may replace a snapshot meanwhile,
    /// for example to change its tags. It commits the snapshot again under a new id and then forgets the old one. A
    /// simple listing at that time may miss both snapshots. This list has at least one of them: it is read again if any
    /// snapshot was forgotten meanwhile.
    ///
    /// - Throws: `RepositoryError.keepsChanging` if snapshots are forgotten during every attempt, and `StoreError`.
    public func settledSnapshotList() throws -> SnapshotList {
        for _ in 0..<10 {
            let before = try forgotten()
            let list = try snapshotList()
            if list.forgotten == before { return list }
        }
        throw RepositoryError.keepsChanging(location: store.location)
    }

    /// The findings from all records.
    private struct FoundRecords {
        var readable: [CommitRecord] = []
        var unreadable: [(id: ID128, error: any Error)] = []
        /// The ids that name an object.
        var named: Set<ID128> = []
        /// The ids that name a tombstone.
        var tombstones: Set<ID128> = []
    }

    private func look(
        at id: ID128, _ info: ObjectInfo, isWitnessed: Bool, _ found: inout FoundRecords
    ) throws {
        do {
            // If `isWitnessed` is true, a spare or a decision shows that the session committed. A tombstone in place of
            // its record is then read as a commit record. That fails, and the snapshot counts as unreadable.
            if info.size == Tombstone.objectBytes(context), !isWitnessed {
                try expectTombstone(id)
                found.tombstones.insert(id)
            } else {
                found.readable.append(try snapshot(id))
            }
        } catch let error as CorruptionError {
            found.unreadable.append((id, error))
        } catch let error as StoreError where error.concernsOneObject {
            found.unreadable.append((id, error))
        }
    }
}
