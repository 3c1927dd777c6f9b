// NullStore: a store that keeps nothing, and a repository on it. A dry run uses such a repository while there is no
// real one. The benchmark of a library uses one, too, because it shows what a first backup would store.

import BakCore
import BakEngine
import BakRepository
import BakStorage

extension Repository {
    /// Makes an empty repository that keeps nothing.
    static func onNullStore(
        _ options: Options, location: StoreLocation, time: any TimeSource, random: some RandomSource
    ) throws -> Repository {
        try create(
            in: NullStore(location: location), options: options, cache: NullCache(), time: time,
            random: random)
    }
}

/// A store that drops every object.
final class NullStore: ObjectStore {
    let location: StoreLocation

    init(location: StoreLocation) { self.location = location }

    func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) -> PutOutcome { .created }
    func makeBatch(of session: ID128?) -> any StagedBatch { NullBatch() }
    func size(of key: ObjectKey) throws(StoreError) -> Int { throw absent(key) }
    func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) { throw absent(key) }
    func list(_ folder: String) -> [ObjectInfo] { [] }
    func listAll(beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void) {}
    func delete(_ key: ObjectKey) {}

    private func absent(_ key: ObjectKey) -> StoreError {
        StoreError(kind: .notFound, operation: "read", object: key.description, message: "there is none")
    }
}

/// A batch that forgets every object.
private final class NullBatch: StagedBatch {
    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) {}
    func publish() {}
    func abandon() {}
}
