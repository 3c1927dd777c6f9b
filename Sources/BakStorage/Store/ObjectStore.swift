// ObjectStore: the only interface between bakstore and the medium that holds a repository. Objects are immutable: each
// is written once, as a whole, under a free name, and is never overwritten or renamed. Calls are coarse, about one for
// each pack or segment, so that they suit both a folder and an object store.

import BakCore

/// A part of an object.
public struct RangeRequest: Hashable, Sendable {
    /// The object.
    public var key: ObjectKey
    /// Where the part begins, in bytes.
    public var offset: Int
    /// The length of the part in bytes.
    public var byteCount: Int

    /// Makes a request.
    public init(_ key: ObjectKey, offset: Int, byteCount: Int) {
        (self.key, self.offset, self.byteCount) = (key, offset, byteCount)
    }
}

/// The result of a put-if-absent. A network may lose the reply to a put that succeeded; a repeated put then finds the
/// same bytes.
public enum PutOutcome: Sendable {
    /// The object is stored, durable and visible.
    case created
    /// An object of that name with the same bytes existed already; nothing was written. It is durable and visible.
    case alreadyHasThese
    /// An object of that name with other bytes existed already; nothing was written.
    case takenByOthers

    /// True if the object of that name now has the bytes that were put.
    public var isOurs: Bool { self != .takenByOthers }
}

/// A place that holds a repository's objects. Every call may come from any thread.
public protocol ObjectStore: AnyObject, Sendable {
    /// The name of this place in messages: a folder's path or a bucket's address.
    var location: StoreLocation { get }

    /// How to use the store well.
    var traits: StoreTraits { get }

    /// Stores an object unless one of that name exists. This put-if-absent is the only way to publish an object. A
    /// taken name is not a failure: the outcome tells if the existing object has the same bytes. Every kind of put
    /// throws `.obstructed` if something that is not an object has the name.
    func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Stores an object as `put` does, but does not wait until it is durable. After a power cut the object may be
    /// missing, empty or truncated, so only store a second copy this way. If two writers put different bytes under one
    /// name, the object of either may stay. So use only names under which either object is acceptable. Throws as `put`
    /// does.
    func putUnsynced(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Makes an empty batch of objects that become visible together.
    ///
    /// - Parameter session: the session that the objects belong to; nil if there is none. The session record must be in
    ///   the store already. Until the session commits or ends, no program removes objects that are staged for it.
    func makeBatch(of session: ID128?) -> any StagedBatch

    /// Returns the object's size in bytes. Throws `.notFound` if there is no such object.
    func size(of key: ObjectKey) throws(StoreError) -> Int

    /// Fills all of `buffer` from `offset` on. Throws `.shortRead` if the object ends too early.
    func read(_ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError)

    /// Reads a whole object in one request. Returns nil if it has more than `limit` bytes. The default gets the size
    /// first. Throws `.notFound` if there is no such object.
    func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]?

    /// Reads ranges as `read` does and passes each to `body` with its place in `requests`, in any order but one at a
    /// time. The bytes are valid during that call only. A range that cannot be read is passed as a failure, and the
    /// others are still read. The default reads one after the other. Throws what `body` throws.
    func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws

    /// Returns every object directly in `folder` ("snapshots", "packs/ab"), sorted by key. A folder that does not exist
    /// is empty. Throws instead of returning an incomplete list.
    func list(_ folder: String) throws(StoreError) -> [ObjectInfo]

    /// Returns the objects directly in `folder`, as `list` does, and the obstructions there, sorted by key. Subfolders
    /// are among the obstructions. Throws as `list` does.
    func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction])

    /// Passes every object beneath `folder`, at any depth, to `page`, sorted by key. The store chooses the number of
    /// pages. A page also contains the obstructions that the store met. If the store has folders, the subfolders are
    /// among them. A folder that does not exist is empty. Throws instead of leaving anything out.
    func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError)

    /// Removes an object. Does nothing if there is none. Throws what the medium reports.
    func delete(_ key: ObjectKey) throws(StoreError)

    /// Removes at most `traits.deletesAtOnce` objects as `delete` does. If the call fails, some of the objects may be
    /// gone. The default removes one after the other. Throws what the medium reports.
    func delete(_ keys: [ObjectKey]) throws(StoreError)

    /// Removes an object durably: a power cut does not bring it back. Throws what the medium reports.
    func deleteDurably(_ key: ObjectKey) throws(StoreError)

    /// Stores a small object as `put` does. If the store is full, it gives up a reserve for this object. Use it only
    /// for an object that is needed to free space or to end a session. Throws as `put` does.
    func putFromReserve(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Refills the reserve as far as there is space.
    func renewReserve()

    /// Sets the session that the temporaries of later puts belong to. The session record must be in the store already.
    /// If several sessions in one process call this, the last call counts. That is safe: a put is repeated if another
    /// program removed its temporary.
    func begin(_ session: ID128)

    /// Removes unpublished files that stopped programs left, except those of living sessions. Returns how many it
    /// removed. Throws what the medium reports and what `living` throws.
    ///
    /// - Parameter living: returns the sessions whose files stay. The store calls it after it has listed the files: if
    ///   a session began meanwhile and a file of it was listed, the session is then among the results.
    @discardableResult
    func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int

    /// Checks the names of `folders` and of the store's own folders before anything is changed. Throws if such a name
    /// belongs to something that is not a folder, for example to a symbolic link. A missing folder is not a fault.
    func expectFolders(_ folders: [String]) throws(StoreError)

    /// How the store ensures that exactly one of several puts of one name wins.
    var nameGuard: NameGuard { get }

    /// The group whose members may use the store as its owner does; empty if there are no groups.
    var groupName: String { get }

    /// Removes the locks that killed programs left on names. The store cannot tell these locks from those of running
    /// programs, so call it only if the user says that no other program is running.
    func breakLocks()

    /// A value that identifies the store on this machine. Every other store that this machine can see has another
    /// value, even if it holds a copy of the same repository.
    var place: String { get }

    /// The paths by which the user reaches the store: as written, and with links resolved.
    var paths: Set<String> { get }
}
