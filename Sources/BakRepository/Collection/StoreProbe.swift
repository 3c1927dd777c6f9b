// StoreProbe: tests whether a store gives the guarantees that collections need. A prune beside backups is safe only if
// the second of two puts under one name fails, and if a listing shows every object that has been put.

import BakFormat
import BakCore
import BakStorage

extension Repository {
    /// Throws `RepositoryError.cannotCollect` unless the store refuses a second put under the same name and lists its
    /// objects. If `isAlone` is true, no other program writes. Then the store may let two puts under one name succeed
    /// if they run at the same time.
    func expectCollectableStore(isAlone: Bool) throws {
        guard store.guardsNames || isAlone else {
            throw RepositoryError.cannotCollect(
                location: store.location,
                reason:
                    "its disk cannot keep several programs apart. If no backup and no other prune is running, "
                    + "add --alone")
        }
        if isAlone { store.breakLocks() }
        // Another prune may delete a probe during the test, so only the third fault in a row counts.
        for attempt in 1...3 {
            let fault = try faultOfStore()
            guard let fault else { return }
            if attempt == 3 { throw RepositoryError.cannotCollect(location: store.location, reason: fault) }
        }
    }

    private func faultOfStore() throws -> String? {
        let key = ObjectKey("\(ObjectNames.collections)/probe-\(ID128(from: random))")
        let bytes: [UInt8] = Array("probe".utf8)
        func put() throws -> PutOutcome { try bytes.withUnsafeBytes { try store.putFromReserve(key, $0) } }
        func isListed() throws -> Bool { try store.list(ObjectNames.collections).contains { $0.key == key } }
        guard try put().isOurs else { return "it refuses new names" }
        if try put() == .created {
            try store.delete(key)
            return "it lets one object take another's place"
        }
        let wasListed = try isListed()
        try store.delete(key)
        if !wasListed { return "its listings leave out what has been put" }
        return try isListed() ? "its listings show what has been deleted" : nil
    }

    /// Removes probes that interrupted prunes left.
    func sweepProbes() throws {
        for info in try store.list(ObjectNames.collections)
        where info.key.description.hasPrefix(ObjectNames.collections + "/probe-") {
            try store.delete(info.key)
        }
    }
}
