// Repository: makes or opens a repository in a folder and holds everything that its calls need.
//
// Always holds: any thread may make a call. A call blocks until it is done and throws only `BakstoreError`. Several
// calls may run at the same time, on this object, on others, and in other programs.

import BakCodec
import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage

/// A store for backups in a folder.
///
/// Open one, or make one in an empty folder:
///
/// ```swift
/// let repository = try Repository.create(at: "/media/backup", password: "correct horse")
/// let result = try repository.backUp(["/home/ann/Pictures"])
/// print(result.newFiles, "new files,", result.storedBytes, "bytes stored")
/// ```
public final class Repository: Sendable {
    /// The repository's folder.
    public let path: String
    /// True if the repository can be opened only with a password.
    public var isEncrypted: Bool { engine.isEncrypted }
    /// 32 hexadecimal digits that stay the same if the folder is moved.
    public var id: String { engine.config.id.description }

    let engine: BakRepository.Repository
    /// The program name in the records that this library writes.
    static let program = "BakstoreKit"

    private init(_ engine: BakRepository.Repository, path: String) {
        (self.engine, self.path) = (engine, path)
    }

    /// Makes a repository in a folder that does not exist or is empty.
    ///
    /// - Parameters:
    ///   - path: the folder. Missing folders above it are made as well.
    ///   - password: encrypts everything. Without the password the files can never be read again. Nil stores them
    ///     unencrypted.
    ///   - cacheFolder: the folder for files that can be rebuilt from the repository; nil for the user's cache folder.
    /// - Throws: `BakstoreError` of kind `alreadyExists` if something is in the folder, `storage` if it cannot be
    ///   written.
    public static func create(
        at path: String, password: String? = nil, cacheFolder: String? = nil
    ) throws(BakstoreError) -> Repository {
        try BakstoreError.wrapping {
            if Machine.isFolder(path) == false || LocalStore.canBegin(inFolder: path) == false {
                throw BakstoreError(.alreadyExists, "\(path) is not an empty folder")
            }
            try expectNoRepository(around: path)
            let time = SystemTime()
            var options = BakRepository.Repository.Options(classes: defaultChunkClasses)
            options.id = ID128(from: SystemRandom())
            if let password {
                options.encryption = BakRepository.Repository.Encryption(
                    method: .fastest, password: try secret(password), cost: try .calibrated(by: time),
                    note: KeySlotNote(
                        name: Machine.userName, host: Machine.hostName, program: program, created: time.now())
                )
            }
            let store = try LocalStore.create(path: path)
            let cache = cache(of: options.id!, at: path, cacheFolder, isEncrypted: password != nil)
            let engine = try BakRepository.Repository.create(
                in: store, options: options, cache: cache, time: time, random: SystemRandom())
            store.renewReserve()
            return Repository(engine, path: path)
        }
    }

    /// Opens the repository in a folder.
    ///
    /// - Parameters:
    ///   - path: the repository's folder.
    ///   - password: the password of an encrypted repository; ignored for others.
    ///   - cacheFolder: the folder for files that can be rebuilt from the repository; nil for the user's cache folder.
    ///   - acceptsOlder: true to open the repository even if it is older than when this machine last saw it. The
    ///     repository's current state then counts as the newest.
    /// - Throws: `BakstoreError` of kind `noRepository`, `passwordNeeded`, `wrongPassword`, `olderThanSeen`, `damaged`
    ///   or `storage`.
    public static func open(
        at path: String, password: String? = nil, cacheFolder: String? = nil, acceptsOlder: Bool = false
    ) throws(BakstoreError) -> Repository {
        try BakstoreError.wrapping {
            if Machine.isFolder(path) != true {
                throw BakstoreError(.noRepository, "there is no folder \(path); is its disk connected?")
            }
            let store = try LocalStore(path: path)
            let (id, method) = try BakRepository.Repository.identity(of: store)
            let engine = try BakRepository.Repository.open(
                store, cache: cache(of: id, at: path, cacheFolder, isEncrypted: method != .none),
                time: SystemTime(), random: SystemRandom(), password: try password.map(passwordSource))
            if let older = try engine.olderState() {
                guard acceptsOlder else {
                    throw BakstoreError(
                        .olderThanSeen,
                        "the repository \(path) is older than when this machine last saw it: "
                            + "\(older.lost.count) snapshots are missing; was an old copy of it put back?")
                }
                engine.forgetSeenState()
            }
            return Repository(engine, path: path)
        }
    }

    /// Returns the snapshots, oldest first. Interrupted backups are included; see `Snapshot.isComplete`.
    ///
    /// - Throws: `BakstoreError` of kind `damaged` if a snapshot's record cannot be read, `storage`.
    public func snapshots() throws(BakstoreError) -> [Snapshot] {
        try BakstoreError.wrapping {
            let list = try engine.snapshotList()
            if let unreadable = list.unreadable.first { throw BakstoreError(.damaged, "\(unreadable.error)") }
            return list.readable.sorted(by: list.order.precedes).map(Snapshot.init)
        }
    }

    /// Finds one snapshot.
    ///
    /// - Parameter name: `latest`, `latest~1` for the one before, or the first digits of an id.
    /// - Throws: `BakstoreError` of kind `notFound`, or `damaged` if that snapshot cannot be read.
    public func snapshot(_ name: String = "latest") throws(BakstoreError) -> Snapshot {
        try BakstoreError.wrapping { Snapshot(try engine.findSnapshot(name)) }
    }
}

// MARK: Helpers for opening

extension Repository {
    private static func secret(_ password: String) throws(BakstoreError) -> SecretBytes {
        guard !password.isEmpty else { throw BakstoreError(.refused, "the password is empty") }
        return SecretBytes(copying: Array(password.utf8))
    }

    private static func passwordSource(_ password: String) throws(BakstoreError) -> () -> SecretBytes {
        let secret = try secret(password)
        return { secret }
    }

    /// Returns the cache that the command line uses, too. So the library also knows which state of the repository the
    /// command line saw last.
    private static func cache(
        of id: ID128, at path: String, _ folder: String?, isEncrypted: Bool
    ) -> any LocalCache {
        func variable(_ name: String, beneath: String) -> String? {
            guard let value = Machine.variable(name), value.first == UInt8(ascii: "/") else { return nil }
            return String(validating: value, as: UTF8.self).map { $0 + beneath }
        }
        let base =
            folder ?? variable("XDG_CACHE_HOME", beneath: "/bakstore")
            ?? variable("HOME", beneath: "/.cache/bakstore")
        if let base { return FolderCache(path: "\(base)/\(id)") }
        return isEncrypted ? NullCache() : FolderCache(path: path + "/cache")
    }

    /// Prepares the repository for a change. Removes unpublished files of crashed runs. Throws if something else, such
    /// as a link, has the place of one of the repository's folders.
    func prepareToChange() throws {
        try engine.store.expectFolders(ObjectNames.folders)
        _ = try? engine.removeLeavings()
    }

    /// True if the folder is a repository.
    @Sendable static func isRepository(_ folder: String) -> Bool {
        guard Machine.isThere(Array("\(folder)/\(ObjectNames.config)".utf8)),
            let store = try? LocalStore(path: folder)
        else { return false }
        return (try? BakRepository.Repository.identity(of: store)) != nil
    }

    /// Throws if `path` is a repository's folder or lies in one.
    static func expectNoRepository(around path: String) throws(BakstoreError) {
        var next = Machine.realPath(Machine.nearestFolder(path))
        while let folder = next {
            guard !isRepository(folder) else {
                throw BakstoreError(
                    .refused, "\(path) is inside the repository \(folder). Name a folder outside of it")
            }
            next = Machine.folder(above: folder)
        }
    }
}
