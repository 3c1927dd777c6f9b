// Naming: how a store gives an object its name so that of several writers one wins. Which way is taken is the store's
// own affair and must be the same for everyone who writes to it: a store with a folder `claims` is written with claims,
// one with a folder `locks` with locks, one with a file `unguarded` has nothing better than to look first, and any
// other by a call that refuses names that are taken. Calls are tried out in `tmp/` before they are relied upon where a
// file system may do as it likes.

import BakCore
import BakStorage
import CLinux
import Glibc

/// How objects get their names in a store.
public enum Naming: Sendable {
    /// By a rename that refuses a taken name.
    case rename
    /// By a second name that is refused where it is taken.
    case link
    /// By a claim on the name, see `Claims`.
    case claim
    /// Under a lock on the name, see `Locks`.
    case lock
    /// By looking whether the name is free: of two who look at once both may take it.
    case unguarded
}

/// What became of an attempt to give an object its name.
enum NamingResult {
    /// It has the name.
    case named
    /// Another object has it.
    case taken
}

extension LocalStore {
    /// The mark of a store that has nothing to guard names with.
    static let unguardedMark = "unguarded"
    /// File systems that are programs or lie elsewhere, and may do as they like with calls: FUSE, CIFS, SMB 2, NFS, 9P.
    private static let doubtfulTypes: Set<UInt32> = [
        0x6573_5546, 0xff53_4d42, 0xfe53_4d42, 0x6969, 0x0102_1997,
    ]

    /// How objects get their names here, as far as it is known without writing.
    public var naming: Naming? { (try? settledNaming()) ?? monitor.locked { way } }

    /// What the way in which this folder gives names can promise.
    public var nameGuard: NameGuard {
        switch naming {
        case .unguarded: .never
        case .lock: .locks
        case .rename, .link, .claim, nil: .always
        }
    }

    /// Finds out how objects get their names here, and notes it in the store where others must know.
    @discardableResult
    func prepareNaming() throws(Errno) -> Naming {
        if let known = try settledNaming() { return known }
        return remember(try probe())
    }

    /// The way to name the next object.
    func currentNaming() throws(Errno) -> Naming {
        if let known = monitor.locked({ way }), known != .rename, known != .link { return known }
        // Another machine may have found out since that it has no better way.
        if let settled = try settledNaming() { return remember(settled) }
        if let known = monitor.locked({ way }) { return known }
        var system = statfs()
        let isDoubtful =
            fstatfs(root.number, &system) == 0
            && Self.doubtfulTypes.contains(UInt32(truncatingIfNeeded: system.f_type))
        return remember(isDoubtful ? try probe() : .rename)
    }

    private func remember(_ naming: Naming) -> Naming { monitor.locked { way = naming }; return naming }

    /// The way that is noted in the store. Throws ENOTDIR where it cannot be told, since something else is in the place
    /// of what says so: with another way than the other writers have, objects could be overwritten.
    private func settledNaming() throws(Errno) -> Naming? {
        if try isThere(ClaimNames.folder, S_IFDIR) { return .claim }
        if try isThere(ClaimNames.locks, S_IFDIR) { return .lock }
        return try isThere(Self.unguardedMark, S_IFREG) ? .unguarded : nil
    }

    private func isThere(_ name: String, _ format: mode_t) throws(Errno) -> Bool {
        do throws(Errno) {
            guard try linkStatus(at: root.number, name).format == format else { throw Errno(code: ENOTDIR) }
            return true
        } catch {
            guard error.code == ENOENT else { throw error }
            return false
        }
    }

    /// What to do after a call that names an object has failed: the way to try instead; nil if there is no other.
    func naming(after error: Errno, of way: Naming) throws(Errno) -> Naming? {
        guard way == .rename || way == .link, Self.mayBeMissing(error) else { return nil }
        let found = try probe()
        return found == way ? nil : remember(found)
    }

    private static func mayBeMissing(_ error: Errno) -> Bool {
        [EINVAL, ENOSYS, ENOTSUP, EPERM, EMLINK, EXDEV, EIO, ENOTTY].contains(error.code)
    }

    // MARK: Trying out

    /// Tries the calls out in `tmp/`; the first that works is the way.
    private func probe() throws(Errno) -> Naming {
        let folder = try temporaries()
        if try refuses({ renameat2(folder.number, $0, folder.number, $1, UInt32(linux_RENAME_NOREPLACE)) }) {
            return .rename
        }
        if try refuses({ linkat(folder.number, $0, folder.number, $1, 0) }) { return .link }
        if try refusesFolders() {
            try sharing().makeFolder(ClaimNames.folder, in: root)
            try synchronize(folder: root)
            return .claim
        }
        if try refusesSecondFolder() {
            try sharing().makeFolder(ClaimNames.locks, in: root)
            try synchronize(folder: root)
            return .lock
        }
        let mark = try Descriptor.open(
            at: root.number, Self.unguardedMark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
        guard try mark.status().format == S_IFREG else { throw Errno(code: ENOTDIR) }
        sharing().apply(to: mark, isFolder: false)
        try mark.close()
        try synchronize(folder: root)
        return .unguarded
    }

    /// True if a call gives a file a name that is free, and refuses one that is taken without a change to what has it.
    private func refuses(_ call: (String, String) -> Int32) throws(Errno) -> Bool {
        let folder = try temporaries()
        var made: [String] = []
        defer { for name in made { unlinkat(folder.number, name, 0) } }
        func make(_ byte: UInt8) throws(Errno) -> String {
            let (name, file) = try Temporary.create(in: folder.number)
            made.append(name)
            try Swift.withUnsafeBytes(of: byte) { bytes in
                Result { () throws(Errno) in try writeAll(file.number, bytes) }
            }.get()
            try file.close()
            return name
        }
        let (first, second, free) = (try make(1), try make(2), Temporary.name())
        made.append(free)
        guard call(first, second) != 0 else { return false }
        guard errno == EEXIST else {
            // No answer to the question.
            let error = Errno(code: errno)
            if error.isFull || [EROFS, EACCES, ENOMEM].contains(error.code) { throw error }
            return false
        }
        guard try firstByte(second) == 2, call(first, free) == 0 else { return false }
        return try firstByte(free) == 1
    }

    /// True if a folder that is there is not made again.
    private func refusesSecondFolder() throws(Errno) -> Bool {
        let (folder, name) = (claimFolder(), ClaimNames.content(Temporary.name()))
        try folder.makeFolder(name)
        defer { try? folder.removeFolder(name) }
        return (try? folder.makeFolder(name)) == nil
    }

    private func firstByte(_ name: String) throws(Errno) -> UInt8? {
        let file = try Descriptor.open(at: try temporaries().number, name, O_RDONLY | O_NOFOLLOW)
        var byte: UInt8 = 0
        return try withUnsafeMutableBytes(of: &byte) { bytes in
            Result { () throws(Errno) in try readAll(file.number, bytes, at: 0) }
        }.get() == 1 ? byte : nil
    }

    /// True if a folder is neither renamed onto one that is not empty, nor removed while it is not.
    private func refusesFolders() throws(Errno) -> Bool {
        let folder = claimFolder()
        let names = (0..<3).map { _ in ClaimNames.content(Temporary.name()) }
        func content(_ number: Int) throws(Errno) -> [String]? { try folder.names(in: names[number]) }
        defer {
            for name in names {
                for entry in (try? folder.names(in: name)) ?? [] { try? folder.remove(name + "/" + entry) }
                try? folder.removeFolder(name)
            }
        }
        for number in 0..<2 {
            try folder.makeFolder(names[number])
            try folder.makeFile(names[number] + "/\(number)")
        }
        // Some put what is in both together, some take the other's place.
        if (try? folder.rename(names[0], to: names[1])) != nil { return false }
        guard try content(0) == ["0"], try content(1) == ["1"] else { return false }
        guard (try? folder.rename(names[0], to: names[2])) != nil else { return false }
        guard try content(0) == nil, try content(2) == ["0"] else { return false }
        if (try? folder.removeFolder(names[2])) != nil { return false }
        return try content(2) == ["0"]
    }
}

// MARK: - Giving names

extension LocalStore {
    /// Gives a durable file its object's name unless that is taken; the temporary is gone in any case when this
    /// returns.
    ///
    /// - Parameter bytes: what is in the file, if others may want the name for something else. Without, the name must
    ///   be one that nobody else uses.
    func publish(
        _ object: StagedObject, in folder: Descriptor, _ bytes: UnsafeRawBufferPointer? = nil
    ) throws(StoreError) -> NamingResult {
        let key = object.key.description
        do throws(Errno) {
            var way = try currentNaming()
            while true {
                do throws(Errno) {
                    guard try name(object, in: folder, bytes, way) == .named else {
                        throw Errno(code: EEXIST)
                    }
                    return .named
                } catch {
                    guard let next = try naming(after: error, of: way) else { throw error }
                    way = next
                }
            }
        } catch {
            guard error.code == EEXIST else {
                var failure = failure(error, "publish", key, isWriting: true)
                if error.code == ENOENT, isGone(object) {
                    failure.message += "; its file in tmp was removed before it was published"
                }
                throw failure
            }
            discard(object)
            // Nobody has stored what cannot be read as an object.
            if let found = Self.obstruction(of: object.key, in: folder) {
                throw StoreError(kind: .obstructed, operation: "publish", object: key, message: "\(found)")
            }
            return .taken
        }
    }

    /// What a put came to. Throws `.notFound` when what had the name is gone meanwhile.
    func outcome(
        _ result: NamingResult, of key: ObjectKey, _ bytes: UnsafeRawBufferPointer, in folder: Descriptor
    ) throws(StoreError) -> PutOutcome {
        guard result == .taken else { return .created }
        do throws(Errno) {
            return try holds(bytes, Self.lastComponent(of: key), in: folder)
                ? .alreadyHasThese : .takenByOthers
        } catch {
            throw failure(error, "read", key.description)
        }
    }

    /// True if what was written for an object is not there any more.
    private func isGone(_ object: StagedObject) -> Bool {
        do throws(Errno) {
            _ = try linkStatus(at: try temporaries().number, object.temporary)
            return false
        } catch { return error.code == ENOENT }
    }

    private func name(
        _ object: StagedObject, in folder: Descriptor, _ bytes: UnsafeRawBufferPointer?, _ way: Naming
    ) throws(Errno) -> NamingResult {
        let (temporary, temporaries) = (object.temporary, try temporaries())
        let key = object.key.description
        let name = Self.lastComponent(of: object.key)
        switch way {
        case .rename:
            try system {
                renameat2(
                    temporaries.number, temporary, folder.number, name, UInt32(linux_RENAME_NOREPLACE))
            }
        case .link: try link(temporary, to: name, in: folder)
        case .claim:
            guard let bytes else { return try lookAndName(temporary, name, in: folder) }
            return try Claims(claimFolder(), makeName: temporaryName).publish(temporary, as: key) {
                () throws(Errno) in
                try holds(bytes, name, in: folder)
            }
        case .lock:
            guard bytes != nil else { return try lookAndName(temporary, name, in: folder) }
            var pauses = 0
            return try Locks(claimFolder()).publish(temporary, as: key) {
                pauses += 1
                usleep(Self.lockPauseMicroseconds)
                return pauses < Self.lockPauses
            }
        case .unguarded:
            _ = try lookAndName(temporary, name, in: folder)
            // Another may have put something in its place since.
            if let bytes, try !holds(bytes, name, in: folder) { return .taken }
        }
        return .named
    }

    /// Gives a name that nobody else uses, or that nothing can guard.
    private func lookAndName(
        _ temporary: String, _ name: String, in folder: Descriptor
    ) throws(Errno) -> NamingResult {
        let temporaries = try temporaries()
        if (try? linkStatus(at: folder.number, name)) != nil { throw Errno(code: EEXIST) }
        try system { renameat(temporaries.number, temporary, folder.number, name) }
        return .named
    }

    /// So often, and for so long each time, a lock is waited for.
    private static let (lockPauses, lockPauseMicroseconds) = (100, UInt32(100_000))

    /// Removes every lock.
    public func breakLocks() {
        let folder = claimFolder()
        for name in (try? folder.names(in: ClaimNames.locks)) ?? [] {
            try? folder.removeFolder(ClaimNames.locks + "/" + name)
        }
    }

    /// What a file system without RENAME_NOREPLACE offers: a second name, then the first one removed.
    func link(_ temporary: String, to name: String, in folder: Descriptor) throws(Errno) {
        let temporaries = try temporaries()
        do throws(Errno) {
            try system { linkat(temporaries.number, temporary, folder.number, name, 0) }
        } catch {
            // A network file system may repeat a request whose reply was lost and then find its own link.
            guard error.code == EEXIST, try linkStatus(at: temporaries.number, temporary).st_nlink == 2
            else { throw error }
        }
        unlinkat(temporaries.number, temporary, 0)
    }

    /// True if a file has exactly these bytes.
    private func holds(
        _ bytes: UnsafeRawBufferPointer, _ name: String, in folder: Descriptor
    ) throws(Errno) -> Bool {
        let file = try Descriptor.open(at: folder.number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        let status = try file.status()
        guard status.format == S_IFREG, status.st_size == bytes.count else { return false }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 16)
        defer { copy.deallocate() }
        let part = UnsafeMutableRawBufferPointer(rebasing: copy[..<bytes.count])
        guard try readAll(file.number, part, at: 0) == bytes.count else { return false }
        return bytes.isEmpty || memcmp(part.baseAddress!, bytes.baseAddress!, bytes.count) == 0
    }

    /// The store's folder, as claims use it.
    func claimFolder() -> StoreClaimFolder { StoreClaimFolder(store: self) }

    /// Removes what claims of crashed writers left, a day old by the medium's clock. It only ends what is decided,
    /// which is safe at any time.
    func tidyClaims(olderThanSeconds seconds: Int64) throws(Errno) {
        let folder = claimFolder()
        guard let names = try folder.names(in: ClaimNames.folder), !names.isEmpty else { return }
        let oldest = try Temporary.mediumSeconds(try temporaries().number) - seconds
        for name in names {
            guard let key = ClaimNames.key(ofClaim: name),
                let status = try? folder.status(of: ClaimNames.folder + "/" + name),
                status.format == S_IFDIR, Int64(status.st_mtim.tv_sec) < oldest
            else { continue }
            try Claims(folder).tidy(name, on: key)
        }
    }
}
