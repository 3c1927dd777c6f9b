// MemoryStore: a store in memory that never fails and is fast enough for thousands of cases. A test can look at its
// objects and copy them.

import BakCore
import BakStorage
import Synchronization

/// Objects in a dictionary. May be used from any thread.
public final class MemoryStore: ObjectStore {
    /// A fixed name for messages.
    public let location = StoreLocation.address(scheme: "test", rest: "memory")
    /// The objects of each folder. Listing one folder needs only that folder's objects.
    private let folders: Mutex<[String: [ObjectKey: [UInt8]]]>

    /// Makes a store that holds `objects`.
    public init(_ objects: [ObjectKey: [UInt8]] = [:]) {
        folders = Mutex(
            Dictionary(grouping: objects) { Self.folder($0.key) }.mapValues {
                Dictionary(uniqueKeysWithValues: $0.map { ($0.key, $0.value) })
            })
    }

    private static func folder(_ key: ObjectKey) -> String {
        let text = key.description
        return text.lastIndex(of: "/").map { String(text[..<$0]) } ?? ""
    }

    /// Every object.
    public var contents: [ObjectKey: [UInt8]] {
        folders.withLock { folders in folders.values.reduce(into: [:]) { $0.merge($1) { one, _ in one } } }
    }

    /// Stores a copy of the bytes unless the name is taken.
    public func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        let copy = Array(bytes)
        return folders.withLock { folders in
            if let there = folders[Self.folder(key)]?[key] {
                return there == copy ? .alreadyHasThese : .takenByOthers
            }
            folders[Self.folder(key), default: [:]][key] = copy
            return .created
        }
    }

    /// Makes an empty batch.
    public func makeBatch(of session: ID128?) -> any StagedBatch { Batch(self) }

    private final class Batch: StagedBatch {
        private let store: MemoryStore
        private let staged = Mutex<[(ObjectKey, [UInt8])]>([])

        init(_ store: MemoryStore) { self.store = store }

        func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
            let copy = Array(bytes)
            staged.withLock { $0.append((key, copy)) }
        }

        func publish() throws(StoreError) {
            let waiting = staged.withLock { staged in
                defer { staged = [] }
                return staged
            }
            let taken = store.folders.withLock { folders in
                let taken = waiting.first { folders[MemoryStore.folder($0.0)]?[$0.0] != nil }
                guard taken == nil else { return taken?.0 }
                for (key, bytes) in waiting { folders[MemoryStore.folder(key), default: [:]][key] = bytes }
                return nil
            }
            if let taken {
                throw StoreError(
                    kind: .alreadyExists, operation: "publish", object: taken.description, message: "taken")
            }
        }

        func abandon() { staged.withLock { $0 = [] } }
    }

    /// Returns the object's size in bytes.
    public func size(of key: ObjectKey) throws(StoreError) -> Int { try object(key).count }

    /// Copies bytes of the object into `buffer`.
    public func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        let bytes = try object(key)
        guard offset <= bytes.count, buffer.count <= bytes.count - offset else {
            throw StoreError(
                kind: .shortRead(size: bytes.count), operation: "read", object: key.description,
                message: "short")
        }
        buffer.copyBytes(from: bytes[offset..<(offset + buffer.count)])
    }

    /// Returns the objects directly in `folder`, sorted by key.
    public func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        folders.withLock { $0[folder] ?? [:] }.map { ObjectInfo(key: $0.key, size: $0.value.count) }.sorted {
            $0.key < $1.key
        }
    }

    /// Lists folder by folder, as a walk does. Each folder is read when the walk reaches it.
    public func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        func infos(_ objects: [ObjectKey: [UInt8]]) -> [ObjectInfo] {
            objects.map { ObjectInfo(key: $0.key, size: $0.value.count) }.sorted { $0.key < $1.key }
        }
        // If a folder has both objects and folders, one page has all objects beneath it, sorted by name.
        let mixed = folders.withLock { folders in
            folders[folder]?.isEmpty ?? true
                ? nil
                : folders.filter { $0.key == folder || $0.key.hasPrefix(folder + "/") }
                    .reduce(into: [ObjectKey: [UInt8]]()) { $0.merge($1.value) { one, _ in one } }
        }
        if let mixed { return page(infos(mixed), []) }
        var last = folder + "/"
        while true {
            let next = folders.withLock { folders in
                folders.filter { $0.key.hasPrefix(folder + "/") && last < $0.key + "/" }
                    .min { $0.key + "/" < $1.key + "/" }
            }
            guard let next else { return }
            last = next.key + "/"
            if !next.value.isEmpty { page(infos(next.value), []) }
        }
    }

    /// Removes an object if it is there.
    public func delete(_ key: ObjectKey) throws(StoreError) {
        folders.withLock { _ = $0[Self.folder(key)]?.removeValue(forKey: key) }
    }

    private func object(_ key: ObjectKey) throws(StoreError) -> [UInt8] {
        guard let bytes = folders.withLock({ $0[Self.folder(key)]?[key] }) else {
            throw StoreError(kind: .notFound, operation: "read", object: key.description, message: "absent")
        }
        return bytes
    }
}
