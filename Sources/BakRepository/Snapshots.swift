// The repository's snapshots: reading their commit records. `SnapshotList+Names` finds one by what a person types.

import BakCore
import BakFormat
import BakStorage

/// A commit record that could not be read.
public struct UnreadableSnapshot: Sendable {
    /// The snapshot's id.
    public var id: ID128
    /// Why it could not be read.
    public var error: any Error
}

/// The snapshots of a repository that are not forgotten.
public struct SnapshotList: Sendable {
    /// Those that can be read, oldest first.
    public var readable: [CommitRecord]
    /// Those that cannot.
    public var unreadable: [UnreadableSnapshot]
    /// The order in which they were made.
    public var order: SnapshotOrder
}

extension Repository {
    /// Reads one snapshot's commit record.
    public func snapshot(_ id: ID128) throws -> CommitRecord {
        let key = Layout.snapshot(id)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try CommitRecord(decoding: bytes, object: key.description, id: id, context: context)
        }
    }

    /// Reads a revoked session's tombstone.
    func expectTombstone(_ session: ID128) throws {
        let key = Layout.snapshot(session)
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        _ = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try Tombstone(decoding: bytes, object: key.description, session: session, context: context)
        }
    }

    /// Every snapshot that is not forgotten, oldest first, and those whose record cannot be read.
    public func snapshots() throws -> (readable: [CommitRecord], unreadable: [UnreadableSnapshot]) {
        let list = try snapshotList()
        return (list.readable, list.unreadable)
    }

    /// The same with the order in which they were made. One record that cannot be read leaves the others alone.
    public func snapshotList() throws -> SnapshotList {
        var readable: [CommitRecord] = []
        var unreadable: [UnreadableSnapshot] = []
        let listing = try store.list(Layout.snapshots)
        let forgotten = try forgotten()
        for info in listing {
            guard let id = Layout.id(in: info.key), !forgotten.contains(id) else { continue }
            do {
                if info.size == Tombstone.objectBytes(context) {
                    try expectTombstone(id)
                } else {
                    readable.append(try snapshot(id))
                }
            } catch let error as CorruptionError {
                unreadable.append(UnreadableSnapshot(id: id, error: error))
            } catch let error as StoreError where error.concernsOneObject {
                unreadable.append(UnreadableSnapshot(id: id, error: error))
            }
        }
        let hidden = forgotten.intersection(listing.compactMap { Layout.id(in: $0.key) })
        let order = SnapshotOrder(
            readable, through: forgottenAncestors(of: readable, among: hidden), now: time.now())
        return SnapshotList(readable: order.sorted, unreadable: unreadable, order: order)
    }
}
