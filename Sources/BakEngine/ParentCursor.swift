// ParentCursor: walks a parent snapshot's manifest in step with the source, so that memory does not grow
// with the number of files.

import BakCore
import BakFormat
import BakRepository

/// A cursor over a snapshot's entries that only moves forward. For one thread.
final class ParentCursor {
    /// The snapshot.
    let snapshot: CommitRecord
    private let reader: ManifestReader
    private var current: ManifestRecord?
    private(set) var failure: (any Error)?

    /// Opens the snapshot's manifest at its first entry.
    init(_ snapshot: CommitRecord, repository: Repository, index: BlobIndex) throws {
        self.snapshot = snapshot
        reader = try ManifestReader(snapshot, repository: repository, index: index)
        current = try reader.next()
    }

    /// Moves to `path` and returns its entry, if the snapshot has it. A manifest that cannot be read any
    /// further ends here; `failure` says why.
    func entry(at path: [UInt8]) -> ManifestEntry? {
        while let record = current {
            if case .entry(let entry) = record, !PathOrder.precedes(entry.path, path) {
                return entry.path == path ? entry : nil
            }
            advance()
        }
        return nil
    }

    /// The entry that `entry(at:)` returned last, with the extents of its further records; nil when they
    /// cannot be read or do not add up to the file's size.
    func whole(_ entry: ManifestEntry) -> ManifestEntry? {
        guard case .extents(var extents) = entry.content else { return entry }
        var length = extents.totalLength
        while let known = length, known < entry.stat.size {
            advance()
            guard case .continuation(let more) = current, let added = more.totalLength else { return nil }
            extents += more
            let (sum, overflow) = known.addingReportingOverflow(added)
            length = overflow ? nil : sum
        }
        guard length == entry.stat.size else { return nil }
        var entry = entry
        entry.content = .extents(extents)
        return entry
    }

    private func advance() {
        do {
            current = try reader.next()
        } catch {
            failure = error
            current = nil
        }
    }
}
