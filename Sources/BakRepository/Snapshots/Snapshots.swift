// The repository's snapshots: reading their commit records. `SnapshotList+Names` finds one by what a person types.

import BakCore
import BakFormat
import BakStorage

/// A snapshot whose commit record could not be read, or is not there any more.
public struct UnreadableSnapshot: Sendable {
    /// The snapshot's id.
    public var id: ID128
    /// Why it could not be read.
    public var error: any Error
    /// What the record's spare says; nil where there is none that can be read.
    public var spare: CommitRecord?
    /// True if there is nothing under the record's name.
    public var isMissing = false
    /// Whether something that is no file has that name.
    public var isObstructed = false
    /// Whether a repair has made another snapshot from what is left of it.
    public var isReplaced = false
    /// True if its forget marker does not open, so that nobody knows whether it is wanted. `spare` is its record then.
    public var isDoubtful = false
}

/// The snapshots of a repository that are not forgotten.
public struct SnapshotList: Sendable {
    /// Those that can be read, oldest first.
    public var readable: [CommitRecord]
    /// Those that cannot.
    public var unreadable: [UnreadableSnapshot]
    /// The order in which they were made.
    public var order: SnapshotOrder
    /// What was forgotten when they were read.
    var forgotten: Set<ID128> = []
}

extension Repository {
    /// Reads one snapshot's commit record. Throws `CorruptionError` if it is damaged, and `StoreError`: `.notFound` if
    /// there is none.
    public func snapshot(_ id: ID128) throws -> CommitRecord {
        try readRecord(ObjectNames.snapshot(id), of: id).record
    }

    /// Reads a revoked session's tombstone.
    func expectTombstone(_ session: ID128) throws {
        let key = ObjectNames.snapshot(session)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        _ = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try Tombstone(decoding: bytes, object: key.description, session: session, context: context)
        }
    }

    /// Every snapshot that is not forgotten, oldest first, and those whose record cannot be read. Throws `StoreError`
    /// if they cannot be listed or read.
    public func snapshots() throws -> (readable: [CommitRecord], unreadable: [UnreadableSnapshot]) {
        let list = try snapshotList()
        return (list.readable, list.unreadable)
    }

    /// The same with the order in which they were made. One record that cannot be read leaves the others alone; one
    /// that is missing, although something says that it was there, is one of those; so is one with something else in
    /// its place, and one whose forget marker does not open. Throws `StoreError` if the store cannot be listed or read.
    public func snapshotList() throws -> SnapshotList {
        // In this order: what these name has a record in a listing that begins later.
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

    /// The same for who goes on from what there is: what others commit again under another id meanwhile, as for other
    /// tags, is in it under one of the two. A list that was begun before the one and ended after the other is forgotten
    /// has neither.
    ///
    /// Throws `RepositoryError.keepsChanging` when snapshots are forgotten again and again.
    public func settledSnapshotList() throws -> SnapshotList {
        for _ in 0..<10 {
            let before = try forgotten()
            let list = try snapshotList()
            if list.forgotten == before { return list }
        }
        throw RepositoryError.keepsChanging(location: store.location)
    }

    /// What a look at all records finds.
    private struct FoundRecords {
        var readable: [CommitRecord] = []
        var unreadable: [(id: ID128, error: any Error)] = []
        /// Under which names there is something.
        var named: Set<ID128> = []
        /// Under which of them there is a tombstone.
        var tombstones: Set<ID128> = []
    }

    private func look(
        at id: ID128, _ info: ObjectInfo, isWitnessed: Bool, _ found: inout FoundRecords
    ) throws {
        do {
            // A tombstone that took a record's place is no commit record, and reading it as one says so.
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
