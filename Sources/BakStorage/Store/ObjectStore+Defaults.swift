// What a store does that has no better way: calls about several objects are made one by one, and what only some media
// have is left out.

import BakCore

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
            do throws(StoreError) {
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
