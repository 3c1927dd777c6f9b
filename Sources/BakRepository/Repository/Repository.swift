// Repository: creates and opens repositories, and reads and puts single objects. Any number of threads may share an
// open repository.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// An open repository. May be used from any thread.
public final class Repository: Sendable {
    /// The store that holds the objects.
    public let store: any ObjectStore
    /// The settings that all readers and writers share.
    public let config: RepositoryConfig
    /// This machine's rebuildable files for the repository.
    public let cache: any LocalCache
    /// The source of the time.
    public let time: any TimeSource
    /// The source of random ids.
    public let random: any RandomSource
    /// The context for the frames of objects: the repository's id and its sealer.
    public let context: FrameContext
    /// The hasher that names chunks.
    public let chunkHasher: ContentHasher
    /// The hasher that names manifest segments and roots. Its domain differs from that of chunks, so equal bytes get
    /// different ids.
    public let manifestHasher: ContentHasher
    /// The key that opens the repository without a password; nil if it is not encrypted.
    public let key: SecretBytes?
    /// The slot that opened the repository; nil if the caller had the key, or if the repository is not encrypted.
    let openedSlot: ID128?
    /// The salts of packs that have been read.
    let packSalts = PackSalts()
    /// Held while the store lacks a part of the seen state, which is the last state of the repository that this
    /// machine saw. The machine must not change its record of the seen state then.
    let olderHold = OlderHold()

    init(
        store: any ObjectStore, config: RepositoryConfig, sealer: Sealer, key: SecretBytes?,
        openedSlot: ID128?, cache: any LocalCache, time: any TimeSource, random: any RandomSource
    ) {
        self.store = store
        self.config = config
        self.cache = cache
        self.time = time
        self.random = random
        context = FrameContext(repository: config.id, sealer: sealer)
        self.key = key
        self.openedSlot = openedSlot
        chunkHasher = ContentHasher(config.idAlgorithm, secret: config.secret, domain: "chunk")
        manifestHasher = ContentHasher(config.idAlgorithm, secret: config.secret, domain: "manifest")
    }

    /// The user's choices for a new repository.
    public struct Options: Sendable {
        /// The algorithm that names chunks.
        public var idAlgorithm = IDAlgorithm.xxh3
        /// The chunk sizes for each content class.
        public var classes: [ChunkClass]
        /// The size at which a pack is closed, in bytes.
        public var packBytes = 32 << 20
        /// The length up to which a file's content is stored inline, in bytes.
        public var inlineBytes = 512
        /// The compression of chunks, unless a run chooses another.
        public var compression = CompressionMode.auto
        /// The secret of another repository, to give equal content equal ids in both; nil for a new secret.
        public var secret: [UInt8]?

        /// The id of the new repository; nil for a random one.
        public var id: ID128?

        /// The encryption; nil for none. With encryption, ids are HMACs, whatever `idAlgorithm` says.
        public var encryption: Encryption?

        /// Makes the default options with the chunk sizes and ids of another repository. Both then recognise the same
        /// content, and one can take over stored blobs from the other.
        public init(like other: RepositoryConfig) {
            (classes, idAlgorithm, secret) = (other.classes, other.idAlgorithm, other.secret)
        }

        /// Makes the default options with the given chunk sizes.
        public init(classes: [ChunkClass]) { self.classes = classes }
    }

    /// How a new repository is encrypted.
    public struct Encryption: Sendable {
        /// The cipher.
        public var method: SealMethod
        /// The password that opens the first key slot.
        public var password: SecretBytes
        /// The cost of trying a password.
        public var cost: PasswordCost
        /// The note in the first key slot.
        public var note: KeySlotNote

        /// Makes the encryption from a cipher and a password.
        public init(method: SealMethod, password: SecretBytes, cost: PasswordCost, note: KeySlotNote) {
            precondition(method != .none)
            (self.method, self.password, self.cost, self.note) = (method, password, cost, note)
        }
    }

    /// Makes a repository in an empty store.
    ///
    /// - Throws: `RepositoryError.alreadyExists` if the store has a repository, `.outsideLimits` if the configuration
    ///   would be unreadable, and errors of the store and of the password's hash.
    public static func create(
        in store: any ObjectStore, options: Options, cache: any LocalCache, time: any TimeSource,
        random: some RandomSource
    ) throws -> Repository {
        var secret = options.secret ?? [UInt8](repeating: 0, count: RepositoryConfig.secretBytes)
        if options.secret == nil { secret.withUnsafeMutableBytes { random.fill($0) } }
        var config = RepositoryConfig(
            id: options.id ?? ID128(from: random), idAlgorithm: options.idAlgorithm, classes: options.classes,
            secret: secret, packBytes: min(options.packBytes, store.traits.mostPackBytes),
            inlineBytes: options.inlineBytes,
            compression: options.compression, created: time.now())
        var (sealer, unlocked): (Sealer, UnlockedKey?) = (.plain, nil)
        if let encryption = options.encryption {
            config.encryption = encryption.method
            config.idAlgorithm = .sha256
            let key = SecretBytes(count: Sealer.keyBytes) { random.fill($0) }
            sealer = Sealer(encryption.method, key: key, repository: config.id, random: random)
            unlocked = UnlockedKey(key: key, slot: ID128(from: random))
        }
        let bytes = config.encode(sealer)
        try RepositoryError.refuseUnreadable("the configuration", bytes) { bytes throws(CorruptionError) in
            try RepositoryConfig(decoding: bytes, object: "", sealer: sealer)
        }
        // The key is durable before anything is sealed with it.
        if let encryption = options.encryption, let unlocked {
            guard !store.has(ObjectNames.config) else {
                throw RepositoryError.alreadyExists(location: store.location)
            }
            try KeySlots.put(
                unlocked, encryption.method, password: encryption.password, cost: encryption.cost,
                note: encryption.note, repository: config.id, in: store, random: random)
        }
        // If this throws, the configuration may have been stored all the same. That configuration needs the slot, so
        // the slot stays. The slot is deleted only if the store already has another configuration.
        let isOurs: Bool
        do {
            isOurs = try store.putOwn(ObjectNames.config, bytes)
        } catch let error as StoreError {
            let place = "the repository \(store.location)"
            throw StoreError(kind: error.kind, operation: "create", object: place, message: error.message)
        }
        if !isOurs {
            if let unlocked { try? store.delete(ObjectNames.keySlot(unlocked.slot)) }
            throw RepositoryError.alreadyExists(location: store.location)
        }
        return Repository(
            store: store, config: config, sealer: sealer, key: unlocked?.key, openedSlot: unlocked?.slot,
            cache: cache, time: time, random: random)
    }

    /// Returns the id of the repository in a store and its cipher. The configuration shows both without a key.
    ///
    /// - Throws: as `open` does.
    public static func identity(of store: any ObjectStore) throws -> (id: ID128, method: SealMethod) {
        let header = try header(configBytes(store))
        return (header.id, header.seal)
    }

    private static func configBytes(_ store: any ObjectStore) throws -> [UInt8] {
        let bytes: [UInt8]
        do {
            bytes = try store.readWhole(ObjectNames.config, upTo: FormatLimits.recordBytes)
        } catch let error as StoreError where error.kind == .notFound {
            throw RepositoryError.noRepository(location: store.location)
        } catch let error as CorruptionError where !holdsSnapshots(store) {
            // Either the file is too large for a configuration, or it cannot be read. The store shows no snapshots, so
            // nothing else proves that it has a repository. If the file's start can be read and is not ours, the file
            // belongs to another program.
            if !error.isRefused, (try? startsAsOurs(store)) == false {
                throw RepositoryError.notBakstore(location: store.location)
            }
            throw error
        }
        // This check comes before any checksum. So another program's file is not reported as damage, unless the store
        // has snapshots.
        guard ObjectHeader.isOurs(bytes) || holdsSnapshots(store) else {
            throw RepositoryError.notBakstore(location: store.location)
        }
        return bytes
    }

    private static func startsAsOurs(_ store: any ObjectStore) throws -> Bool {
        var start = [UInt8](repeating: 0, count: ObjectHeader.byteCount)
        try start.withUnsafeMutableBytes { try store.read(ObjectNames.config, at: 0, into: $0) }
        return ObjectHeader.isOurs(start)
    }

    /// True if the store lists names of commit records or tombstones.
    private static func holdsSnapshots(_ store: any ObjectStore) -> Bool {
        guard let listing = try? store.list(ObjectNames.snapshots) else { return false }
        return listing.contains { ObjectNames.id(in: $0.key) != nil }
    }

    private static func header(_ config: [UInt8]) throws(CorruptionError) -> ObjectHeader {
        try config.withUnsafeBytes { bytes in
            Result { () throws(CorruptionError) in
                try RepositoryConfig.frame(bytes, object: ObjectNames.config.description)
            }
        }.get()
    }

    /// Opens the repository in a store.
    ///
    /// - Parameters:
    ///   - key: a key that may be the repository's, such as one that an earlier command unlocked. If it opens the
    ///     configuration, no password is needed; otherwise it is ignored.
    ///   - password: asked for the password if the repository is encrypted.
    /// - Throws: `RepositoryError.noRepository` if there is no configuration, `.wrongPassword` if the password opens no
    ///   key slot, `CorruptionError` if the configuration is damaged or from a newer program.
    public static func open(
        _ store: any ObjectStore, cache: any LocalCache, time: any TimeSource, random: any RandomSource,
        key: SecretBytes? = nil, password: (() throws -> SecretBytes)? = nil
    ) throws -> Repository {
        let bytes = try configBytes(store)
        let header = try header(bytes)
        func open(_ key: SecretBytes?, _ slot: ID128?) throws -> Repository {
            let sealer =
                key.map { Sealer(header.seal, key: $0, repository: header.id, random: random) } ?? .plain
            let config = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
                try RepositoryConfig(decoding: bytes, object: ObjectNames.config.description, sealer: sealer)
            }
            return Repository(
                store: store, config: config, sealer: sealer, key: key, openedSlot: slot, cache: cache,
                time: time, random: random)
        }
        guard header.seal != .none else { return try open(nil, nil) }
        // If the key does not open the configuration, one of the two is not this repository's, or the configuration is
        // damaged. Opening with the password tells which.
        if let key, key.count == Sealer.keyBytes, let repository = try? open(key, nil) { return repository }
        guard let password else { throw RepositoryError.passwordNeeded(location: store.location) }
        let known = OpenedSlot.last(header.id, in: cache)
        let slots = try KeySlots(store, repository: header.id, known: known)
        let unlocked = try slots.unlock(known: known, password)
        if unlocked.slot != known { OpenedSlot.remember(unlocked.slot, header.id, in: cache) }
        return try open(unlocked.key, unlocked.slot)
    }

    /// True if objects are encrypted.
    public var isEncrypted: Bool { context.sealer.method != .none }

    /// Returns the hasher that names the blobs in packs of this kind.
    public func hasher(for kind: ObjectKind) -> ContentHasher {
        kind == .manifestPack ? manifestHasher : chunkHasher
    }
}

extension ObjectStore {
    /// True if the store shows an object of this name.
    func has(_ key: ObjectKey) -> Bool { (try? size(of: key)) != nil }

    /// Reads a whole object of at most `limit` bytes. A larger object counts as damaged, and so does an object that the
    /// medium has lost.
    func readWhole(_ key: ObjectKey, upTo limit: Int) throws -> [UInt8] {
        do {
            if let bytes = try readAtOnce(key, upTo: min(limit, Self.trustedBytes)) { return bytes }
            return try readWhole(key, size: try size(of: key), upTo: limit)
        } catch let error as StoreError {
            throw error.unreadable(key, at: 0) ?? error
        }
    }

    /// The length up to which an object is read whole before its frame is checked. A larger object is first checked
    /// piece by piece, so that no memory is taken for an object that is damaged. It is then read a second time.
    private static var trustedBytes: Int { 32 << 20 }

    private func readWhole(_ key: ObjectKey, size: Int, upTo limit: Int) throws -> [UInt8] {
        guard size <= limit else {
            throw CorruptionError(
                object: key.description, offset: limit,
                reason: "it has \(size) bytes, over the limit of \(limit)")
        }
        if size > Self.trustedBytes {
            try ObjectFrame.checkPieces(size: size, object: key.description) {
                try read(key, at: $0, into: $1)
            }
        }
        Memory.require(size)
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            try read(key, at: 0, into: UnsafeMutableRawBufferPointer(buffer))
            count = size
        }
    }

    /// Returns how many threads should request objects at a time while `workerCount` threads compute.
    package func readerCount(atLeast workerCount: Int) -> Int { max(1, workerCount, traits.requestsInFlight) }

    /// Passes all objects and obstructions in the folders of packs to `page`.
    func listPackFolders(_ page: ([ObjectInfo], [Obstruction]) -> Void) throws(StoreError) {
        var misplaced: ObjectKey?
        try listAll(beneath: ObjectNames.packs) { objects, obstructions in
            for key in objects.map(\.key) + obstructions.filter({ !$0.isFolder }).map(\.key)
            where ObjectNames.isPackFolder(key) { misplaced = key }
            page(
                objects.filter { ObjectNames.isInPackFolder($0.key) },
                obstructions.filter { ObjectNames.isInPackFolder($0.key) })
        }
        // If an item is in the place of a pack folder, this listing makes the store report it.
        if let misplaced { _ = try list(misplaced.description) }
    }

    /// Puts an object. Returns false if another object has the name. If `fromReserve` is true, a full store may use its
    /// reserve, a little space that it keeps for such objects.
    func putOwn(_ key: ObjectKey, _ bytes: [UInt8], fromReserve: Bool = false) throws -> Bool {
        try bytes.withUnsafeBytes { fromReserve ? try putFromReserve(key, $0) : try put(key, $0) }.isOurs
    }

    /// Puts an object under a random name.
    ///
    /// - Throws: `CorruptionError` if another object already has the name.
    func putUnderFreshName(_ key: ObjectKey, _ bytes: [UInt8], fromReserve: Bool = false) throws {
        guard try putOwn(key, bytes, fromReserve: fromReserve) else {
            throw CorruptionError(object: key.description, offset: 0, reason: "another has this name")
        }
    }
}
