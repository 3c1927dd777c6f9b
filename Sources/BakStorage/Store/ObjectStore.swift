// ObjectStore: the one narrow seam between bakstore and the medium that holds a repository. Objects
// are immutable: written whole, once, under a name that was free before; never overwritten or renamed.
// The seam is coarse, a call per pack or segment, so that a folder and an object store fit alike.

import BakCore

/// A part of an object.
public struct RangeRequest: Hashable, Sendable {
    /// The object.
    public var key: ObjectKey
    /// Where the part begins, in bytes.
    public var offset: Int
    /// How many bytes it has.
    public var byteCount: Int

    /// Makes a request.
    public init(_ key: ObjectKey, offset: Int, byteCount: Int) {
        (self.key, self.offset, self.byteCount) = (key, offset, byteCount)
    }
}

/// What became of a put-if-absent. A network may lose the reply to a put that took effect: whoever repeats it finds its
/// own object there.
public enum PutOutcome: Sendable {
    /// The object is stored, durable and visible.
    case created
    /// An object of that name with the same bytes was there before; nothing was written. It is durable and visible.
    case alreadyHasThese
    /// An object of that name with other bytes was there before; nothing was written.
    case takenByOthers

    /// True if the name now stands for the bytes that were put.
    public var isOurs: Bool { self != .takenByOthers }
}

/// A place that holds a repository's objects. Every call may come from any thread.
public protocol ObjectStore: AnyObject, Sendable {
    /// Where it lies, for messages.
    var location: StoreLocation { get }

    /// What suits it.
    var traits: StoreTraits { get }

    /// Stores an object unless one of that name exists (put-if-absent, the only way to publish). A name that is taken
    /// is no failure: the outcome says whose the object is. Throws `.obstructed`, as every put does, when what has the
    /// name is no object.
    func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Stores an object as `put` does, but does not wait until it is durable: after a power cut it may be missing,
    /// empty or cut short. For what is there a second time. The name must be one under which any writer's object
    /// serves. Throws as `put` does.
    func putUnsynced(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Makes an empty batch of objects that become visible together.
    ///
    /// - Parameter session: the session that they are stored for. It is in the store already. While it is not decided,
    ///   no program takes what is staged for a leaving. Nil for what belongs to no session.
    func makeBatch(of session: ID128?) -> any StagedBatch

    /// The object's size in bytes; throws `.notFound` when there is none.
    func size(of key: ObjectKey) throws(StoreError) -> Int

    /// Fills the whole of `buffer` from `offset` on; throws `.shortRead` when the object ends before.
    func read(_ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError)

    /// Reads a whole object of at most `limit` bytes in one request; throws `.notFound` when there is none. Returns nil
    /// if it is larger. The default asks for the size first.
    func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]?

    /// Reads ranges, each as `read` does, and hands each to `body` with its place among `requests`, in any order but
    /// one at a time. The bytes are lent for that call. What fails is handed over as well, and the others are still
    /// read. The default reads one after the other. Throws what `body` throws.
    func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws

    /// Every object directly in `folder` ("snapshots", "packs/ab"), sorted by key. A folder that does
    /// not exist is empty. Throws rather than return a part of the list.
    func list(_ folder: String) throws(StoreError) -> [ObjectInfo]

    /// The objects directly in `folder`, as `list` gives them, and what else lies there under names that objects could
    /// have, sorted by key. In the folder above other folders these are among it. Throws as `list` does.
    func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction])

    /// Hands `page` every object beneath `folder`, in whatever depth, sorted by key, in as many pages as suit the
    /// store. With them comes what else lies there under names that objects could have; where there are folders, they
    /// are among it. A folder that does not exist is empty. Throws rather than leave out a part.
    func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError)

    /// Removes an object; nothing happens when there is none. Throws what the medium reports.
    func delete(_ key: ObjectKey) throws(StoreError)

    /// Removes objects as `delete` does, at most `traits.deletesAtOnce`. On an error some may be gone. The default
    /// removes one after the other. Throws what the medium reports.
    func delete(_ keys: [ObjectKey]) throws(StoreError)

    /// Removes an object; when it returns a power cut does not bring it back. Throws what the medium reports.
    func deleteDurably(_ key: ObjectKey) throws(StoreError)

    /// Stores a small object as `put` does. It is one without which no room could be made or no session ended: where
    /// the store is full, a reserve is given up for it. Throws as `put` does.
    func putFromReserve(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Sets the reserve aside again, as far as there is room for it.
    func renewReserve()

    /// Says which session the temporaries of puts belong to from now on. The session is in the store already. Of
    /// several sessions in one process the last one counts: a put whose temporary was removed is made once more.
    func begin(_ session: ID128)

    /// Removes what stopped programs left unpublished; nothing of a living session. Returns how much there was. Throws
    /// what the medium reports and what `living` throws.
    ///
    /// - Parameter living: the sessions whose leavings stay. The store calls it after it has listed what there is.
    @discardableResult
    func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int

    /// Throws if something else has the place of one of these folders, or of one that the store keeps for itself, such
    /// as a link to another place. One that is not there is no fault. For before anything is changed.
    func expectFolders(_ folders: [String]) throws(StoreError)

    /// What sees to it that of several puts of one name exactly one wins.
    var nameGuard: NameGuard { get }

    /// The group of users whose members use the store as its owner does; empty where there are no groups.
    var groupName: String { get }

    /// Removes locks on names that programs left which were killed. Only for a user who says that no other one is
    /// running.
    func breakLocks()

    /// What tells this place from any other that this machine may see, such as a copy of the same repository.
    var place: String { get }

    /// The paths by which the user reaches it: as written, and without links.
    var paths: Set<String> { get }
}
