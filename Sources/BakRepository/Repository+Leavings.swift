// Leavings: what stopped programs have left unpublished in the store. What belongs to a session stays as long as the
// session's record does, which a prune deletes when the session is decided.

import BakCore
import BakStorage

extension Repository {
    /// Removes what stopped programs left unpublished, but nothing of a session that may still run. Returns how much.
    @discardableResult
    public func removeLeavings() throws(StoreError) -> Int {
        try store.removeLeavings { () throws(StoreError) in
            Set(try store.list(Layout.sessions).compactMap { Layout.id(in: $0.key) })
        }
    }
}
