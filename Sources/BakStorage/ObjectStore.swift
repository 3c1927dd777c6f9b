// ObjectStore: the one narrow seam between bakstore and the medium that holds a repository. Objects
// are immutable: written whole, once, under a name that was free before; never overwritten or renamed.
// The seam is coarse, a call per pack or segment, so that a folder and an object store fit alike.

import BakCore

/// The name of an object: lower-case components joined by '/', such as `packs/ab/ab01…`.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The key as text.
    public let description: String

    /// Makes a key of one to four components of `[a-z0-9._-]`, none of which begins with a dot.
    public init(_ text: String) {
        precondition(Self.isValid(text), "not an object key: \(text)")
        description = text
    }

    /// Whether `text` can be a key. Stores leave out of a listing what cannot.
    public static func isValid(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var (components, start) = (1, 0)
            for (place, byte) in bytes.enumerated() {
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    break
                case UInt8(ascii: "."):
                    if place == start { return false }
                case UInt8(ascii: "/"):
                    guard (1...200).contains(place - start) else { return false }
                    (components, start) = (components + 1, place + 1)
                default: return false
                }
            }
            return (1...200).contains(bytes.count - start) && components <= 4
        }
    }

    public static func < (left: ObjectKey, right: ObjectKey) -> Bool { left.description < right.description }
}

/// An object as a listing shows it.
public struct ObjectInfo: Hashable, Sendable {
    /// The object's name.
    public var key: ObjectKey
    /// Its size in bytes.
    public var size: Int

    /// Makes a listing's row.
    public init(key: ObjectKey, size: Int) {
        self.key = key
        self.size = size
    }
}

/// Something that has an object's name and is none, such as a folder or a symbolic link. It is never followed, read or
/// removed: the object is missing, and cannot be stored as long as it is there.
public struct Obstruction: Hashable, Sendable, CustomStringConvertible {
    /// The name that it has.
    public var key: ObjectKey
    /// What it is, as "a folder".
    public var what: String
    /// True if it is a folder, in which objects may lie.
    public var isFolder: Bool

    /// Makes a row of a listing.
    public init(key: ObjectKey, what: String, isFolder: Bool = false) {
        (self.key, self.what, self.isFolder) = (key, what, isFolder)
    }

    /// What is wrong and what to do, without the name.
    public var description: String { "\(what) is in its place; move that away" }
}

/// What sees to it that of several puts of one name exactly one wins, whoever makes them.
public enum NameGuard: Sendable {
    /// The store, whatever happens to those who put.
    case always
    /// Locks: one that a killed program left has to be removed by its user.
    case locks
    /// Nothing: a name is looked at before it is given, and two who do so at once may both take it.
    case never
}

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

/// What suits a store: how it is used best, not what it can do. The defaults are a disk's.
public struct StoreTraits: Equatable, Sendable {
    /// How many requests it should have at a time; at least as many are made as there are threads that compute.
    public var requestsInFlight = 1
    /// Two ranges of an object that are no farther from each other, in bytes, are better read as one.
    public var coalescingGapBytes = 0
    /// The largest pack that it takes well, in bytes.
    public var mostPackBytes = Int.max
    /// How many objects it removes in one request.
    public var deletesAtOnce = 1
    /// True if it is a folder or the like that this machine reaches by its own system calls.
    public var isOnThisMachine = true

    /// Makes the traits of a disk.
    public init() {}
}

/// What became of a put-if-absent. A network may lose the reply to a put that took effect: whoever repeats it finds its own
/// object there.
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

/// Objects on their way to a store: written as they come, durable and visible together at the end. A batch has one owner,
/// and shares nothing with other batches of its store: what fails in one is lost for no other.
public protocol StagedBatch: AnyObject, Sendable {
    /// Begins to store an object, from any thread. It is not visible before `publish`. `bytes` may be reused when the call
    /// returns. The name must be one that no other program stores something else under: a random one, or one under which any
    /// writer's object serves. Throws what the medium reports; the batch cannot be published then.
    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError)

    /// Makes every staged object durable, then visible. No `stage` may run meanwhile. The batch is empty afterwards. Throws
    /// what the medium reports, and `.alreadyExists` when a name was taken: then none of the objects may be relied upon, and
    /// those not published are gone.
    func publish() throws(StoreError)

    /// Gives up what was staged and not published. Letting go of a batch does the same.
    func abandon()
}

/// A place that holds a repository's objects. Every call may come from any thread.
public protocol ObjectStore: AnyObject, Sendable {
    /// What a person calls this place, for messages: a folder's path or a bucket's address.
    var location: String { get }

    /// What suits it.
    var traits: StoreTraits { get }

    /// Stores an object unless one of that name exists (put-if-absent, the only way to publish). A name that is taken is no
    /// failure: the outcome says whose the object is. Throws `.obstructed`, as every put does, when what has the name is no
    /// object.
    func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Stores an object as `put` does, but does not wait until it is durable: after a power cut it may be missing, empty or
    /// cut short. For what is there a second time. The name must be one under which any writer's object serves.
    func putUnsynced(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Makes an empty batch of objects that become visible together.
    ///
    /// - Parameter session: the session that they are stored for. It is in the store already. While it is not decided, no
    ///   program takes what is staged for a leaving. Nil for what belongs to no session.
    func makeBatch(of session: ID128?) -> any StagedBatch

    /// The object's size in bytes; throws `.notFound` when there is none.
    func size(of key: ObjectKey) throws(StoreError) -> Int

    /// Fills the whole of `buffer` from `offset` on; throws `.shortRead` when the object ends before.
    func read(_ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError)

    /// Reads a whole object of at most `limit` bytes in one request; throws `.notFound` when there is none. Returns nil if
    /// it is larger. The default asks for the size first.
    func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]?

    /// Reads ranges, each as `read` does, and hands each to `body` with its place among `requests`, in any order but one at
    /// a time. The bytes are lent for that call. What fails is handed over as well, and the others are still read. The
    /// default reads one after the other.
    func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws

    /// Every object directly in `folder` ("snapshots", "packs/ab"), sorted by key. A folder that does
    /// not exist is empty. Throws rather than return a part of the list.
    func list(_ folder: String) throws(StoreError) -> [ObjectInfo]

    /// The objects directly in `folder`, as `list` gives them, and what else lies there under names that objects could have,
    /// sorted by key. In the folder above other folders these are among it.
    func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction])

    /// Hands `page` every object beneath `folder`, in whatever depth, sorted by key, in as many pages as suit the store. With
    /// them comes what else lies there under names that objects could have; where there are folders, they are among it. A
    /// folder that does not exist is empty. Throws rather than leave out a part.
    func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError)

    /// Removes an object; nothing happens when there is none.
    func delete(_ key: ObjectKey) throws(StoreError)

    /// Removes objects as `delete` does, at most `traits.deletesAtOnce`. On an error some may be gone. The default removes
    /// one after the other.
    func delete(_ keys: [ObjectKey]) throws(StoreError)

    /// Removes an object; when it returns a power cut does not bring it back.
    func deleteDurably(_ key: ObjectKey) throws(StoreError)

    /// Stores a small object as `put` does. It is one without which no room could be made or no session ended: where
    /// the store is full, a reserve is given up for it.
    func putFromReserve(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome

    /// Sets the reserve aside again, as far as there is room for it.
    func renewReserve()

    /// Says which session the temporaries of puts belong to from now on. The session is in the store already. Of several
    /// sessions in one process the last one counts: a put whose temporary was removed is made once more.
    func begin(_ session: ID128)

    /// Removes what stopped programs left unpublished; nothing of a living session. Returns how much there was.
    ///
    /// - Parameter living: the sessions whose leavings stay. The store calls it after it has listed what there is.
    @discardableResult
    func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int

    /// Throws if something else has the place of one of these folders, or of one that the store keeps for itself, such as a
    /// link to another place. One that is not there is no fault. For before anything is changed.
    func expectFolders(_ folders: [String]) throws(StoreError)

    /// What sees to it that of several puts of one name exactly one wins.
    var nameGuard: NameGuard { get }

    /// The group of users whose members use the store as its owner does; empty where there are no groups.
    var groupName: String { get }

    /// Removes locks on names that programs left which were killed. Only for a user who says that no other one is running.
    func breakLocks()

    /// What tells this place from any other that this machine may see, such as a copy of the same repository.
    var place: String { get }

    /// The paths by which the user reaches it: as written, and without links.
    var paths: Set<String> { get }
}

extension ObjectStore {
    public func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try put(key, bytes) }
    public func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try put(key, bytes) }
    public func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) { (try list(folder), []) }
    public var traits: StoreTraits { StoreTraits() }
    public func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        let size = try size(of: key)
        guard size <= limit else { return nil }
        Memory.require(size)
        var bytes = [UInt8](repeating: 0, count: size)
        let result = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(StoreError) in try read(key, at: 0, into: buffer) }
        }
        try result.get()
        return bytes
    }
    public func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws {
        let most = requests.reduce(0) { max($0, $1.byteCount) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(most, 1), alignment: 16)
        defer { buffer.deallocate() }
        for (place, request) in requests.enumerated() {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<request.byteCount])
            do {
                try read(request.key, at: request.offset, into: part)
            } catch {
                try body(place, .failure(error))
                continue
            }
            try body(place, .success(UnsafeRawBufferPointer(part)))
        }
    }
    public func delete(_ keys: [ObjectKey]) throws(StoreError) { for key in keys { try delete(key) } }
    public func deleteDurably(_ key: ObjectKey) throws(StoreError) { try delete(key) }
    public func renewReserve() {}
    public func expectFolders(_ folders: [String]) throws(StoreError) {}
    public func breakLocks() {}
    public func begin(_ session: ID128) {}
    @discardableResult
    public func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int { 0 }
    public var nameGuard: NameGuard { .always }
    /// True if of several puts of one name exactly one wins, whoever makes them.
    public var guardsNames: Bool { nameGuard != .never }
    public var groupName: String { "" }
    public var place: String { location }
    public var paths: Set<String> { [location] }
}

/// A failure of the medium: what was tried on which object, and what the system said.
public struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is, as far as a caller may act on it.
    public enum Kind: Sendable, Equatable {
        /// The object is not there.
        case notFound
        /// The object ends before the bytes asked for; it has `size` bytes.
        case shortRead(size: Int)
        /// A name that should have been free was taken.
        case alreadyExists
        /// What has the name of the object is none.
        case obstructed
        /// Something else, such as a link or a file, has the place of a folder of the store.
        case obstructedFolder
        /// No space or quota is left.
        case full
        /// The store may not be written to.
        case readOnly
        /// The store does not let this user do it.
        case denied
        /// The medium has lost these bytes, while it may well have others.
        case lostData
        /// The medium was pulled out, or the server has gone.
        case lostMedium
        /// The store knows no such call.
        case unsupported
        /// The same call may well come through later, after so many milliseconds if the store says when.
        case transient(retryAfterMs: UInt64?)
        /// The program was told to stop while it waited for the store.
        case cancelled
        /// Anything else that the medium reports.
        case failed
    }

    /// What kind of failure it is.
    public var kind: Kind
    /// What was tried: "read", "write", "sync", "list", …
    public var operation: String
    /// The object or folder it was tried on.
    public var object: String
    /// The system's words.
    public var message: String

    /// Makes the error.
    public init(kind: Kind, operation: String, object: String, message: String) {
        self.kind = kind
        self.operation = operation
        self.object = object
        self.message = message
    }

    /// True if the error says something of this object alone, such as that this user may not read it.
    public var concernsOneObject: Bool { kind == .denied || kind == .obstructed }

    public var description: String { "cannot \(operation) \(object): \(message)" }
}
