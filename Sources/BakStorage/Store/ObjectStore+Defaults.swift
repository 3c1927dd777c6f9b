// Defaults for a store that has no better way. A call for several objects handles them one at a time. A call for a
// feature that only some media have does nothing.

import BakCore

extension ObjectStore {
    /// Puts the object and waits until it is durable. Throws as `put` does.
    public func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try put(key, bytes) }
    /// Puts the object: there is no reserve. Throws as `put` does.
    public func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome { try put(key, bytes) }
    /// Lists the folder and reports no obstructions, because only objects can have the names of objects here. Throws as
    /// `list` does.
    public func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) { (try list(folder), []) }
    /// The traits of a disk.
    public var traits: StoreTraits { StoreTraits() }
    /// Gets the size, then reads the object. Throws as `size` and `read` do.
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
    /// Removes one object after the other. Throws at the first one that cannot be removed.
    public func delete(_ keys: [ObjectKey]) throws(StoreError) { for key in keys { try delete(key) } }
    /// Removes the object: every removal is durable here. Throws as `delete` does.
    public func deleteDurably(_ key: ObjectKey) throws(StoreError) { try delete(key) }
    /// Does nothing: there is no reserve.
    public func renewReserve() {}
    /// Does nothing: there are no folders. Throws nothing.
    public func expectFolders(_ folders: [String]) throws(StoreError) {}
    /// Does nothing: there are no locks.
    public func breakLocks() {}
    /// Does nothing: the store does not track which session made a temporary.
    public func begin(_ session: ID128) {}
    /// Returns 0: unpublished files are not left behind. Throws nothing.
    @discardableResult
    public func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int { 0 }
    /// `.always`: the store itself lets exactly one put win.
    public var nameGuard: NameGuard { .always }
    /// True if exactly one of several puts of one name wins, whichever programs make them.
    public var guardsNames: Bool { nameGuard != .never }
    /// Empty: there are no groups.
    public var groupName: String { "" }
    /// The location, because no other store has the same one.
    public var place: String { location.description }
    /// The location, which is the only path.
    public var paths: Set<String> { [location.description] }
}
