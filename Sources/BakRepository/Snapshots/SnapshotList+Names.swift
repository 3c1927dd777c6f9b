// SnapshotList+Names: finds a snapshot by what a person types: a prefix of its id, `latest`, or `latest~N`, the Nth
// before the latest. `latest` counts complete snapshots only.
//
// Always holds: a snapshot is never taken for the latest while one that cannot be read may be newer, unless the caller
// says that it is to be passed over; and a prefix that a snapshot which cannot be read has as well names neither.

import BakCore
import BakFormat

/// The newest snapshot of what was asked for may be one that cannot be read.
public struct LatestUnreadableError: Error, CustomStringConvertible {
    /// What was typed.
    public var name: String
    /// The snapshot that cannot be read.
    public var snapshot: UnreadableSnapshot

    /// One line for people, without what to do.
    public var description: String {
        snapshot.isDoubtful
            ? "\(name) may be snapshot \(snapshot.id.short): \(snapshot.reason)"
            : "\(name) may be snapshot \(snapshot.id.short), which cannot be read: \(snapshot.error)"
    }
}

extension Repository {
    /// Finds a snapshot by what a person types, as `SnapshotList.find` does. Throws as that does, and `StoreError` if
    /// the snapshots cannot be listed or read.
    public func findSnapshot(_ name: String) throws -> CommitRecord { try snapshotList().find(name) }
}

extension SnapshotList {
    /// Finds a snapshot by what a person types. A name that only a damaged record has throws that record's error.
    ///
    /// - Parameter skippingDamaged: whether `latest` passes over snapshots that cannot be read.
    ///
    /// Throws `LatestUnreadableError` where one that cannot be read may be the one that `latest` means, else
    /// `RepositoryError` where no snapshot or several have the name.
    public func find(_ name: String, skippingDamaged: Bool = false) throws -> CommitRecord {
        if let back = Self.stepsBack(name) {
            return try latest(back, name, skippingDamaged: skippingDamaged)
        }
        var matches = readable.filter { $0.id.description.hasPrefix(name) }
        let damaged = unreadable.filter { $0.id.description.hasPrefix(name) }
        // A snapshot that was tagged, copied or taken back is known by its first id, too.
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

    /// The complete snapshot with so many complete ones after it, among those that are wanted; `name` is what to call
    /// it in an error. Throws `LatestUnreadableError` if an unreadable one may be meant and `skippingDamaged` is false.
    /// Throws `RepositoryError.noSuchSnapshot` if there are fewer, and `.noCompleteSnapshot` if there is none.
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

    /// The snapshots that cannot be read and may be newer than `match`, complete and wanted.
    private func unreadable(
        after match: CommitRecord?, where isWanted: (CommitRecord) -> Bool
    ) -> [UnreadableSnapshot] {
        guard !unreadable.isEmpty else { return [] }
        let upTo = match.flatMap { match in readable.firstIndex { $0.id == match.id } }
        // What a snapshot was made after is older than it.
        let older = order.ancestors(of: readable[..<(upTo.map { $0 + 1 } ?? 0)])
        return unreadable.filter { snapshot in
            guard let spare = snapshot.spare else { return !older.contains(snapshot.id) }
            if readable.contains(where: { $0.standsFor(spare) }) { return false }
            return spare.isComplete && isWanted(spare) && match.map { order.precedes($0, spare) } ?? true
        }
    }

    /// N for `latest~N`, 0 for `latest`, nil for anything else.
    private static func stepsBack(_ name: String) -> Int? {
        if name == "latest" { return 0 }
        guard name.hasPrefix("latest~"), let steps = Int(name.dropFirst(7)), steps >= 0 else { return nil }
        return steps
    }
}
