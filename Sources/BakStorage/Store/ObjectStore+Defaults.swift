// What a store does that has no better way: calls about several objects are made one by one, and what only some media
// have is left out.

import BakCore

extension ObjectStore {
    /// Puts and waits until the object is durable. Throws as `put` does.
    public func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try put(key, bytes) }
    /// Puts: there is no reserve. Throws as `put` does.
    public func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try put(key, bytes) }
    /// Lists: only objects can have names of objects. Throws as `list` does.
    public func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) { (try list(folder), []) }
    /// The traits of a disk.
    public var traits: StoreTraits { StoreTraits() }
    /// Asks for the size, then reads. Throws as `size` and `read` do.
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
    /// Reads one range after the other. Throws what `body` throws.
    public func read(
        _ requests: [RangeRequest], _ body: (Int, Result<UnsafeRawBufferPointer, StoreError>) throws -> Void
    ) throws {
        let most = requests.reduce(0) { max($0, $1.byteCount) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(most, 1), alignment: 16)
        defer { buffer.deallocate() }
        for (place, request) in requests.enumerated() {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<request.byteCount])
            do throws(StoreError) {
                try read(request.key, at: request.offset, into: part)
            } catch {
                try body(place, .failure(error))
                continue
            }
            try body(place, .success(UnsafeRawBufferPointer(part)))
        }
    }
    /// Removes one object after the other. Throws at the first that cannot be removed.
    public func delete(_ keys: [ObjectKey]) throws(StoreError) { for key in keys { try delete(key) } }
    /// Removes the object: a removal is durable when it returns. Throws as `delete` does.
    public func deleteDurably(_ key: ObjectKey) throws(StoreError) { try delete(key) }
    /// Does nothing: there is no reserve.
    public func renewReserve() {}
    /// Does nothing: there are no folders. Throws nothing.
    public func expectFolders(_ folders: [String]) throws(StoreError) {}
    /// Does nothing: there are no locks.
    public func breakLocks() {}
    /// Does nothing: nothing is told apart by its session.
    public func begin(_ session: ID128) {}
    /// Finds nothing: nothing unpublished is left behind. Throws nothing.
    @discardableResult
    public func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int { 0 }
    /// The store sees to it that one put wins.
    public var nameGuard: NameGuard { .always }
    /// True if of several puts of one name exactly one wins, whoever makes them.
    public var guardsNames: Bool { nameGuard != .never }
    /// There are no groups.
    public var groupName: String { "" }
    /// The location tells the place.
    public var place: String { location.description }
    /// The location is the only path.
    public var paths: Set<String> { [location.description] }
}
