// ActorStore: one process's way to the shared store. Staging is the process's own affair; what others can see or
// change goes through `perform`, one operation at a time, which is where a simulation takes hold.

import BakCore
import BakRepository
import BakStorage
import Glibc

/// The store as one actor has it. For one thread at a time.
final class ActorStore: ObjectStore, @unchecked Sendable {
    let location = "simulated"
    private let universe: Universe
    private let perform: (StoreOperation) -> StoreReply
    private var staged: [StoreImage.Object] = []
    /// How many objects a page of a listing has; nil for a listing all at once.
    private let pageCount: Int?
    /// Whether the process does without a look at the spares of commit records.
    var ignoresSpares = false
    /// How many more sessions may be begun.
    var sessionsLeft = Int.max
    /// What is put to find out what the store can do: everyone else ignores it, so no one else sees it.
    private var probes: [ObjectKey] = []

    init(_ universe: Universe, pageCount: Int? = nil, perform: @escaping (StoreOperation) -> StoreReply) {
        self.universe = universe
        self.pageCount = pageCount
        self.perform = perform
    }

    private static func isProbe(_ key: ObjectKey) -> Bool { key.description.hasPrefix("gc/probe-") }

    func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        if Self.isProbe(key) {
            if probes.contains(key) { return .alreadyExists }
            probes.append(key)
            return .created
        }
        if key.description.hasPrefix(Layout.sessions) {
            if sessionsLeft == 0 {
                throw StoreError(
                    kind: .failed(errno: ECANCELED), operation: "put", object: key.description,
                    message: "the backup gives up")
            }
            sessionsLeft -= 1
        }
        switch perform(.put(object(key, bytes))) {
        case .done: return .created
        case .taken: return .alreadyExists
        case let reply: throw error(reply, "put", key.description)
        }
    }

    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        staged.append(object(key, bytes))
    }

    func publishStaged() throws(StoreError) {
        let objects = staged
        staged = []
        for object in objects {
            let reply = perform(.publish(object))
            guard reply == .done else { throw error(reply, "publish", name(object.key)) }
        }
    }

    func size(of key: ObjectKey) throws(StoreError) -> Int {
        let reply = perform(.size(universe.key(key)))
        guard case .size(let size) = reply else { throw error(reply, "size", key.description) }
        return size
    }

    func read(_ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError)
    {
        let reply = perform(.read(universe.key(key), offset: offset, count: buffer.count))
        guard case .bytes(let content, _, _) = reply else { throw error(reply, "read", key.description) }
        buffer.copyBytes(from: universe.contents[Int(content)][offset..<(offset + buffer.count)])
    }

    func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        if OneFolderRandom.isEmpty(folder) || ignoresSpares && folder == Layout.spares { return [] }
        if folder == "gc", !probes.isEmpty { return probes.map { ObjectInfo(key: $0, size: 0) } }
        guard let pageCount else { return try infos(.list(folder: universe.folder(folder)), folder) }
        var all: [ObjectInfo] = []
        while true {
            let page = try infos(
                .listPage(
                    folder: universe.folder(folder), after: (all.last?.key).map(universe.key),
                    count: pageCount), folder)
            all += page
            if page.count < pageCount { return all }
        }
    }

    func delete(_ key: ObjectKey) throws(StoreError) {
        if Self.isProbe(key) {
            probes.removeAll { $0 == key }
            return
        }
        let reply = perform(.delete(universe.key(key)))
        guard reply == .done else { throw error(reply, "delete", key.description) }
    }

    private func infos(_ operation: StoreOperation, _ folder: String) throws(StoreError) -> [ObjectInfo] {
        let reply = perform(operation)
        guard case .listing(let number) = reply else { throw error(reply, "list", folder) }
        return universe.listings[Int(number)].map {
            ObjectInfo(key: universe.keys[Int($0.key)], size: universe.contents[Int($0.content)].count)
        }
    }

    private func object(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) -> StoreImage.Object {
        StoreImage.Object(key: universe.key(key), content: universe.content(Array(bytes)))
    }

    private func name(_ key: Universe.Key) -> String { universe.keys[Int(key)].description }

    private func error(_ reply: StoreReply, _ operation: String, _ object: String) -> StoreError {
        let kind: StoreError.Kind =
            switch reply {
            case .missing: .notFound
            case .short(let size): .shortRead(size: size)
            case .taken: .alreadyExists
            // ETIMEDOUT and ENOTCONN: neither says that bytes are lost.
            case .failed(.lost): .failed(errno: 110)
            default: .failed(errno: 107)
            }
        return StoreError(kind: kind, operation: operation, object: object, message: "\(reply)")
    }
}

extension ActorStore {
    /// A store that one actor has to itself.
    static func alone(_ image: StoreImage, _ universe: Universe) -> ActorStore {
        var image = image
        return ActorStore(universe) { image.apply($0, universe) }
    }
}
