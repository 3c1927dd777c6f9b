// ActorStore: the shared store as one process uses it. Staging stays within the process. Everything that other
// processes can see or change goes through `perform`, one operation at a time, where a simulation can intervene.

import BakFormat
import BakCore
import BakRepository
import BakStorage

/// One actor's store. For one thread at a time.
final class ActorStore: ObjectStore, @unchecked Sendable {
    let location = StoreLocation.address(scheme: "test", rest: "simulated")
    private let universe: Universe
    private let perform: (StoreOperation) -> StoreReply
    /// A name in the process's temporaries that tells them from the temporaries of other processes.
    private let process: String
    /// The session to which puts belong from now on.
    private var session: ID128?
    /// The rule about temporaries that the process breaks; nil for none.
    var sweepFault: SweepFault?
    /// The number of objects in a page of a listing; nil if a listing is one operation.
    var pageCount: Int?
    /// True if the process does not see the spares of commit records.
    var ignoresSpares = false
    /// How many more sessions the process may begin.
    var sessionsLeft = Int.max
    /// Objects that the process puts to test what the store can do. All other processes ignore these objects, so they
    /// stay in this process and are not operations on the shared store.
    private var probes: [ObjectKey] = []

    init(
        _ universe: Universe, process: String = "", pageCount: Int? = nil,
        perform: @escaping (StoreOperation) -> StoreReply
    ) {
        self.universe = universe
        self.process = process
        self.pageCount = pageCount
        self.perform = perform
    }

    private static func isProbe(_ key: ObjectKey) -> Bool { key.description.hasPrefix("gc/probe-") }

    func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        if Self.isProbe(key) {
            if probes.contains(key) { return .alreadyHasThese }
            probes.append(key)
            return .created
        }
        if key.description.hasPrefix(ObjectNames.sessions) {
            if sessionsLeft == 0 {
                throw StoreError(
                    kind: .cancelled, operation: "put", object: key.description,
                    message: "the backup gives up")
            }
            sessionsLeft -= 1
        }
        let object = object(key, bytes)
        // If the name is taken, another process may delete the object before this process reads it. Then the name is
        // free again.
        while true {
            if let outcome = try put(object, key) { return outcome }
        }
    }

    /// Puts an object. If the name is taken, reads the object there to see whether it has the same bytes. Returns nil
    /// if that object is gone.
    private func put(_ object: StoreImage.Object, _ key: ObjectKey) throws(StoreError) -> PutOutcome? {
        var reply: StoreReply
        if universe.hasTemporaries {
            // If a sweep has removed the temporary, the process writes the content once more.
            reply = name(object, try writeTemporary(object, of: session))
            if reply == .missing { reply = name(object, try writeTemporary(object, of: session)) }
        } else {
            reply = perform(.put(object))
        }
        switch reply {
        case .done: return .created
        case .taken:
            let count = universe.contents[Int(object.content)].count
            switch perform(.read(object.key, offset: 0, count: count)) {
            case .missing: return nil
            case .short: return .takenByOthers
            case .bytes(let content, _, _):
                return content == object.content ? .alreadyHasThese : .takenByOthers
            case let reply: throw error(reply, "read", key.description)
            }
        case let reply: throw error(reply, "put", key.description)
        }
    }

    func makeBatch(of session: ID128?) -> any StagedBatch { Batch(self, session) }

    /// Staged objects of one owner. An abandoned batch leaves its temporaries, as a killed process does.
    private final class Batch: StagedBatch, @unchecked Sendable {
        private let store: ActorStore
        private let session: ID128?
        private var staged: [(object: StoreImage.Object, temporary: Temporary?)] = []

        init(_ store: ActorStore, _ session: ID128?) { (self.store, self.session) = (store, session) }

        func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
            let object = store.object(key, bytes)
            let hasTemporary = store.universe.hasTemporaries
            staged.append((object, hasTemporary ? try store.writeTemporary(object, of: session) : nil))
        }

        func publish() throws(StoreError) {
            let objects = staged
            staged = []
            for (object, temporary) in objects { try store.publish(object, temporary) }
        }

        func abandon() { staged = [] }
    }

    private func publish(_ object: StoreImage.Object, _ temporary: Temporary?) throws(StoreError) {
        let reply = if let temporary { name(object, temporary) } else { perform(.publish(object)) }
        guard reply == .done else { throw error(reply, "publish", name(object.key)) }
    }

    private func writeTemporary(
        _ object: StoreImage.Object, of session: ID128?
    ) throws(StoreError) -> Temporary {
        let key = universe.keys[Int(object.key)]
        let temporary = Temporary(key, of: session, process: process, universe)
        let reply = perform(.put(.init(key: temporary.key, content: universe.content([]))))
        // If the temporary exists, this process wrote it in an earlier call that failed.
        guard reply == .done || reply == .taken else { throw error(reply, "write", key.description) }
        return temporary
    }

    private func name(_ object: StoreImage.Object, _ temporary: Temporary) -> StoreReply {
        let reply = perform(.name(object, temporary))
        if sweepFault == .unnoticed, reply == .missing || reply == .failed(.robbed) { return .done }
        return reply
    }

    func begin(_ session: ID128) { self.session = session }

    /// Removes the temporaries of sessions that are not living. Temporaries without a session stay, because a sweep
    /// removes those only when they are a day old.
    func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int {
        let early = sweepFault == .sessionsFirst ? try living() : nil
        let listed = try list(Temporary.folder).filter { Temporary.session(of: $0.key) != nil }
        if listed.isEmpty { return 0 }
        var kept = if let early { early } else { try living() }
        if sweepFault == .byClock { kept = [] }
        if sweepFault == .ofUndecided {
            kept.formIntersection(try list(ObjectNames.snapshots).compactMap { ObjectNames.id(in: $0.key) })
        }
        var removed = 0
        for info in listed where !(Temporary.session(of: info.key).map(kept.contains) ?? true) {
            try delete(info.key)
            removed += 1
        }
        return removed
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
        if OneFolderRandom.isEmpty(folder) || ignoresSpares && folder == ObjectNames.spares { return [] }
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

    /// Lists folder by folder, because a real listing may see the folders at different times.
    func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        precondition(folder == ObjectNames.packs)
        for folder in ObjectNames.packFolders {
            let found = try list(folder)
            if !found.isEmpty { page(found, []) }
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
            // All other replies count as a lost medium, because none of them means that stored bytes are lost.
            default: .lostMedium
            }
        return StoreError(kind: kind, operation: operation, object: object, message: "\(reply)")
    }
}

extension ActorStore {
    /// Returns a store that only one actor uses.
    static func alone(_ image: StoreImage, _ universe: Universe) -> ActorStore {
        var image = image
        return ActorStore(universe) { image.apply($0, universe) }
    }
}
