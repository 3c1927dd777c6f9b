// Recommitting: a snapshot is an immutable object, so one that is to say something else is committed again by a session of
// its own, and the one before is forgotten: only once the new one is there.

import BakFormat

extension Repository {
    /// Commits snapshots again as they are changed. False when stopped before the last of them.
    ///
    /// - Parameters:
    ///   - changes: each snapshot as it is, and with what it shall say.
    ///   - onDone: told of each, with its new record.
    public func recommit(
        _ changes: [(old: CommitRecord, new: CommitRecord)], host: String, program: String,
        shouldStop: () -> Bool, onDone: (_ old: CommitRecord, _ new: CommitRecord) throws -> Void
    ) throws -> Bool {
        guard !changes.isEmpty else { return true }
        let session = try BackupSession(self, host: host, program: program)
        defer { session.close() }
        for (position, change) in changes.enumerated() {
            if shouldStop() { return false }
            try session.expectAll(of: change.old.root)
            let record = try session.commit(continuing: position < changes.count - 1) { id, hasIndex in
                var record = change.new
                (record.id, record.hasIndex, record.original) = (id, hasIndex, change.old.originalID)
                return record
            }
            try forget([change.old.id], host: host, program: program)
            try onDone(change.old, record)
        }
        return true
    }
}
