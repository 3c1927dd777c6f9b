// Repository: an open repository and the ways to read single objects of it. It holds no mutable state.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// An open repository. May be used from any thread.
public final class Repository: Sendable {
    /// Where the objects are.
    public let store: any ObjectStore
    /// What every reader and writer agrees on.
    public let config: RepositoryConfig
    /// This machine's rebuildable files for the repository.
    public let cache: any LocalCache
    /// Tells the time.
    public let time: any TimeSource
    /// Gives ids.
    public let random: any RandomSource
    /// What its objects are framed with.
    public let context: FrameContext
    /// Names chunks.
    public let chunkHasher: ContentHasher
    /// Names manifest segments and roots, in a domain of their own.
    public let manifestHasher: ContentHasher
    /// What it was opened with; nil in a plain repository.
    let unlocked: UnlockedKey?
    /// Salts of packs that have been read.
    let packSalts = PackSalts()
    /// Whether this machine's note of what it saw stays as it is.
    let olderHold = OlderHold()

    init(
        store: any ObjectStore, config: RepositoryConfig, sealer: Sealer, unlocked: UnlockedKey?,
        cache: any LocalCache, time: any TimeSource, random: any RandomSource
    ) {
        self.store = store
        self.config = config
        self.cache = cache
        self.time = time
        self.random = random
        context = FrameContext(repository: config.id, sealer: sealer)
        self.unlocked = unlocked
        chunkHasher = ContentHasher(config.idAlgorithm, secret: config.secret, domain: "chunk")
        manifestHasher = ContentHasher(config.idAlgorithm, secret: config.secret, domain: "manifest")
    }

    /// What a user may choose when a repository is made.
    public struct Options: Sendable {
        /// How chunks are named.
        public var idAlgorithm = IDAlgorithm.xxh3
        /// The chunk sizes for each class of content.
        public var classes: [ChunkClass]
        /// The size at which packs are closed, in bytes.
        public var packBytes = 32 << 20
        /// Files up to this length stand in the manifest, in bytes.
        public var inlineBytes = 512
        /// How chunks are compressed unless a run says otherwise.
        public var compression = CompressionMode.auto
        /// The secret of a repository whose content is to have the same ids here; nil for a new one.
        public var secret: [UInt8]?

        /// The id of the new repository; nil for a random one.
        public var id: ID128?

        /// How it is encrypted; nil to store everything as it is. Ids are then HMACs, whatever `idAlgorithm` says.
        public var encryption: Encryption?

        /// The defaults, but with the chunks and ids of another repository, so that both recognise the same content
        /// and one can take over what the other has stored.
        public init(like other: RepositoryConfig) {
            (classes, idAlgorithm, secret) = (other.classes, other.idAlgorithm, other.secret)
        }

        /// The defaults with the given chunk sizes.
        public init(classes: [ChunkClass]) { self.classes = classes }
    }

    /// How a new repository is encrypted.
    public struct Encryption: Sendable {
        /// The cipher.
        public var method: SealMethod
        /// What opens its first key slot.
        public var password: SecretBytes
        /// What it costs to try a password.
        public var cost: PasswordCost
        /// What is noted of the first slot.
        public var note: KeySlotNote

        /// Encrypts with a cipher and a password.
        public init(method: SealMethod, password: SecretBytes, cost: PasswordCost, note: KeySlotNote) {
            precondition(method != .none)
            (self.method, self.password, self.cost, self.note) = (method, password, cost, note)
        }
    }

    /// Makes a repository in an empty store.
    ///
    /// Throws `RepositoryError.alreadyExists` when there is one.
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
        // Where this throws, the configuration may be there: the slot stays. It goes only where it is of no use.
        if try !store.putOwn(ObjectNames.config, bytes) {
            if let unlocked { try? store.delete(ObjectNames.keySlot(unlocked.slot)) }
            throw RepositoryError.alreadyExists(location: store.location)
        }
        return Repository(
            store: store, config: config, sealer: sealer, unlocked: unlocked, cache: cache, time: time,
            random: random)
    }

    /// The id of the repository in a store and how it is sealed, which its configuration says without a key.
    ///
    /// Throws as `open` does.
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
            // Too large to be ours, and nothing else speaks for a repository.
            guard (try? startsAsOurs(store)) == true else {
                throw RepositoryError.notBakstore(location: store.location)
            }
            throw error
        }
        // Before any checksum: what is not ours at all is not called damaged. Where snapshots are, it is.
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

    /// Whether something has been committed in the store, as its names say.
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
    /// - Parameter password: asked for the password if the repository is encrypted.
    ///
    /// Throws `RepositoryError.noRepository` when there is no configuration, `wrongPassword` when the password opens
    /// no key slot, `CorruptionError` when the configuration is damaged or from a newer program.
    public static func open(
        _ store: any ObjectStore, cache: any LocalCache, time: any TimeSource, random: any RandomSource,
        password: (() throws -> SecretBytes)? = nil
    ) throws -> Repository {
        let bytes = try configBytes(store)
        let header = try header(bytes)
        var (sealer, unlocked): (Sealer, UnlockedKey?) = (.plain, nil)
        if header.seal != .none {
            guard let password else { throw RepositoryError.passwordNeeded(location: store.location) }
            let known = OpenedSlot.last(header.id, in: cache)
            let slots = try KeySlots(store, repository: header.id, known: known)
            let opened = try slots.unlock(known: known, password)
            if opened.slot != known { OpenedSlot.remember(opened.slot, header.id, in: cache) }
            sealer = Sealer(header.seal, key: opened.key, repository: header.id, random: random)
            unlocked = opened
        }
        let config = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try RepositoryConfig(decoding: bytes, object: ObjectNames.config.description, sealer: sealer)
        }
        return Repository(
            store: store, config: config, sealer: sealer, unlocked: unlocked, cache: cache, time: time,
            random: random)
    }

    /// Whether what is stored is sealed.
    public var isEncrypted: Bool { context.sealer.method != .none }

    /// The hasher that names the blobs of a kind of pack.
    public func hasher(for kind: ObjectKind) -> ContentHasher {
        kind == .manifestPack ? manifestHasher : chunkHasher
    }
}

extension ObjectStore {
    /// Whether there is an object of that name, as far as the medium says.
    func has(_ key: ObjectKey) -> Bool { (try? size(of: key)) != nil }

    /// Reads a whole object of at most `limit` bytes. A larger one is damage; one that the medium has lost is
    /// an error of that object alone.
    func readWhole(_ key: ObjectKey, upTo limit: Int) throws -> [UInt8] {
        do {
            if let bytes = try readAtOnce(key, upTo: min(limit, Self.trustedBytes)) { return bytes }
            return try readWhole(key, size: try size(of: key), upTo: limit)
        } catch let error as StoreError {
            throw error.unreadable(key, at: 0) ?? error
        }
    }

    /// Up to this many bytes an object is read whole before it is known to be one. Reading more twice costs less than
    /// memory for what is not there.
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

    /// How many threads should ask for objects at a time, where so many compute.
    package func readerCount(atLeast workerCount: Int) -> Int { max(1, workerCount, traits.requestsInFlight) }

    /// Hands `page` everything in the folders of packs.
    func listPackFolders(_ page: ([ObjectInfo], [Obstruction]) -> Void) throws(StoreError) {
        var misplaced: ObjectKey?
        try listAll(beneath: ObjectNames.packs) { objects, obstructions in
            for key in objects.map(\.key) + obstructions.filter({ !$0.isFolder }).map(\.key)
            where ObjectNames.isPackFolder(key) { misplaced = key }
            page(
                objects.filter { ObjectNames.isInPackFolder($0.key) },
                obstructions.filter { ObjectNames.isInPackFolder($0.key) })
        }
        // The store says what is wrong with something else in the place of a folder, if it is.
        if let misplaced { _ = try list(misplaced.description) }
    }

    /// Puts an object. False if another's is there. With `fromReserve` a full store gives up its reserve for it.
    func putOwn(_ key: ObjectKey, _ bytes: [UInt8], fromReserve: Bool = false) throws -> Bool {
        try bytes.withUnsafeBytes { fromReserve ? try putFromReserve(key, $0) : try put(key, $0) }.isOurs
    }

    /// Puts an object under a random name. Throws `CorruptionError` if another's is there all the same.
    func putUnderFreshName(_ key: ObjectKey, _ bytes: [UInt8], fromReserve: Bool = false) throws {
        guard try putOwn(key, bytes, fromReserve: fromReserve) else {
            throw CorruptionError(object: key.description, offset: 0, reason: "another has this name")
        }
    }
}
