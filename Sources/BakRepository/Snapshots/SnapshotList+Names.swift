// SnapshotList+Names: finds a snapshot by the name that a user types: a prefix of its id, `latest`, or `latest~N` for
// the Nth before the latest. `latest` counts complete snapshots only.
//
// Always holds:
// - `latest` fails if an unreadable snapshot may be newer, unless the caller asks to pass over unreadable snapshots.
// - A prefix that also fits an unreadable snapshot is ambiguous.

import BakCore
import BakFormat

/// The name `latest` may mean a snapshot that cannot be read.
public struct LatestUnreadableError: Error, CustomStringConvertible {
    /// The name that the user typed.
    public var name: String
    /// The snapshot that cannot be read.
    public var snapshot: UnreadableSnapshot

    /// One line for people. It does not say what to do.
    public var description: String {
        snapshot.isDoubtful
            ? "\(name) may be snapshot \(snapshot.id.short): \(snapshot.reason)"
            : "\(name) may be snapshot \(snapshot.id.short), which cannot be read: \(snapshot.error)"
    }
}

extension Repository {
    /// Finds a snapshot by the name that a user types.
    ///
    /// - Throws: as `SnapshotList.find` does, and `StoreError` if the snapshots cannot be listed or read.
    public func findSnapshot(_ name: String) throws -> CommitRecord { try snapshotList().find(name) }
}

extension SnapshotList {
    /// Finds a snapshot by the name that a user types.
    ///
    /// - Parameter skippingDamaged: true if `latest` passes over unreadable snapshots.
    /// - Throws: `LatestUnreadableError` if `latest` may mean an unreadable snapshot, `RepositoryError` if no snapshot
    ///   or several have the name, and the record's error if only an unreadable record has it.
    public func find(_ name: String, skippingDamaged: Bool = false) throws -> CommitRecord {
        if let back = Self.stepsBack(name) {
            return try latest(back, name, skippingDamaged: skippingDamaged)
        }
        var matches = readable.filter { $0.id.description.hasPrefix(name) }
        let damaged = unreadable.filter { $0.id.description.hasPrefix(name) }
        // A snapshot that was tagged, copied or taken back can also be found by its original id.
        if matches.isEmpty, damaged.isEmpty {
            matches = readable.filter { $0.originalID.description.hasPrefix(name) }
        }
        guard !name.isEmpty, !matches.isEmpty || !damaged.isEmpty else {
            throw RepositoryError.noSuchSnapshot(name: name)
        }
        if matches.count + damaged.count == 1 {
            if let damaged = damaged.first { throw damaged.error }
            return matches[0]
        }
        let ids = (matches.map(\.id) + damaged.map(\.id)).prefix(5)
        throw RepositoryError.ambiguousSnapshot(name: name, matches: ids.map(\.short))
    }

    /// Looks only at complete snapshots for which `isWanted` is true. Returns the newest of them if `back` is 0, the
    /// one before it if `back` is 1, and so on. Errors call the snapshot `name`.
    ///
    /// - Throws: `LatestUnreadableError` if an unreadable one may be meant and `skippingDamaged` is false,
    ///   `RepositoryError.noSuchSnapshot` if there are too few, and `.noCompleteSnapshot` if there is none.
    public func latest(
        _ back: Int, _ name: String, skippingDamaged: Bool,
        where isWanted: (CommitRecord) -> Bool = { _ in true }
    ) throws -> CommitRecord {
        let complete = readable.filter { $0.isComplete && isWanted($0) }
        let match = back < complete.count ? complete[complete.count - 1 - back] : nil
        if !skippingDamaged, let newer = unreadable(after: match, where: isWanted).first {
            throw LatestUnreadableError(name: name, snapshot: newer)
        }
        if let match { return match }
        guard complete.isEmpty else { throw RepositoryError.noSuchSnapshot(name: name) }
        throw RepositoryError.noCompleteSnapshot(
            partialCount: readable.count, unreadableCount: unreadable.count)
    }

    /// Returns the unreadable snapshots that may be complete, wanted and newer than `match`.
    private func unreadable(
        after match: CommitRecord?, where isWanted: (CommitRecord) -> Bool
    ) -> [UnreadableSnapshot] {
        guard !unreadable.isEmpty else { return [] }
        let upTo = match.flatMap { match in readable.firstIndex { $0.id == match.id } }
        // The ancestors of `match`, and of snapshots before it, are older than `match`.
        let older = order.ancestors(of: readable[..<(upTo.map { $0 + 1 } ?? 0)])
        return unreadable.filter { snapshot in
            guard let spare = snapshot.spare else { return !older.contains(snapshot.id) }
            if readable.contains(where: { $0.standsFor(spare) }) { return false }
            return spare.isComplete && isWanted(spare) && match.map { order.precedes($0, spare) } ?? true
        }
    }

    /// Returns N for `latest~N`, 0 for `latest`, and nil for anything else.
    private static func stepsBack(_ name: String) -> Int? {
        if name == "latest" { return 0 }
        guard name.hasPrefix("latest~"), let steps = Int(name.dropFirst(7)), steps >= 0 else { return nil }
        return steps
    }
}
