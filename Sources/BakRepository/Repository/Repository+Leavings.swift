// Leavings: what stopped programs have left unpublished in the store. What belongs to a session stays until the session
// is decided: a backup does that when it commits or fails, and where it was killed a prune does.

import BakFormat
import BakCore
import BakStorage

extension Repository {
    /// Removes what stopped programs left unpublished, but nothing of a session that may still run. Returns how much.
    /// Throws what the store reports.
    @discardableResult
    public func removeLeavings() throws(StoreError) -> Int {
        try store.removeLeavings { () throws(StoreError) in
            // In this order: what is decided when the outcomes are listed is decided for good.
            let sessions = Set(try store.list(ObjectNames.sessions).compactMap { ObjectNames.id(in: $0.key) })
            if sessions.isEmpty { return sessions }
            let outcomes = try sessionOutcomes()
            return sessions.filter { !outcomes.isDecided($0) }
        }
    }
}
