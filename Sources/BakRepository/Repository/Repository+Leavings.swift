// Leavings: unpublished objects that stopped programs left in the store. A session's objects stay until the session is
// decided. A backup decides its session when it commits or fails; a prune decides the session of a killed backup.

import BakFormat
import BakCore
import BakStorage

extension Repository {
    /// Removes unpublished objects that stopped programs left, except those of sessions that may still run. Returns how
    /// many.
    ///
    /// - Throws: `StoreError` if the store fails.
    @discardableResult
    public func removeLeavings() throws(StoreError) -> Int {
        try store.removeLeavings { () throws(StoreError) in
            // Sessions are listed first. A decided session stays decided, so every session that the later outcomes show
            // as decided has ended.
            let sessions = Set(try store.list(ObjectNames.sessions).compactMap { ObjectNames.id(in: $0.key) })
            if sessions.isEmpty { return sessions }
            let outcomes = try sessionOutcomes()
            return sessions.filter { !outcomes.isDecided($0) }
        }
    }
}
