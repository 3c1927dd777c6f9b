// ImaginedRepository: an empty repository that forgets everything stored in it. A dry run uses it while there is no
// real repository, and so does the measuring of a library: it shows what the first backup would store.

import BakCore
import BakEngine
import BakRepository
import BakStorage

extension Repository {
    /// Makes an empty repository that forgets.
    static func imagined(
        _ options: Options, location: StoreLocation, time: any TimeSource, random: some RandomSource
    ) throws -> Repository {
        try create(
            in: ForgetfulStore(location: location), options: options, cache: ForgetfulCache(), time: time,
            random: random)
    }
}

/// A store that forgets every object.
final class ForgetfulStore: ObjectStore {
    let location: StoreLocation

    init(location: StoreLocation) { self.location = location }

    func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) -> PutOutcome { .created }
    func makeBatch(of session: ID128?) -> any StagedBatch { ForgetfulBatch() }
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
private final class ForgetfulBatch: StagedBatch {
    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) {}
    func publish() {}
    func abandon() {}
}
