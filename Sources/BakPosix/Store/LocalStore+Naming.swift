// Naming: how a store gives an object its name so that only one of several writers succeeds. All writers to a store
// must use the same way, so the store itself records it: a folder `claims` means claims, a folder `locks` means locks,
// and a file `unguarded` means that a writer only checks that the name is free. If none of the three exists, a writer
// uses a system call that refuses a taken name: a rename or a hard link. Some file systems do not do what such a call
// promises. There, the store first tries the call out in `tmp/`.

import BakCore
import BakStorage
import CLinux
import Glibc

/// How objects get their names in a store.
public enum Naming: Sendable {
    /// By a rename that refuses a taken name.
    case rename
    /// By a hard link, which is refused if the name is taken.
    case link
    /// By a claim on the name; see `Claims`.
    case claim
    /// Under a lock on the name; see `Locks`.
    case lock
    /// After a check that the name is free. Two writers that check at the same time may both take the name.
    case unguarded
}

/// The result of an attempt to give an object its name.
enum NamingResult {
    /// The object has the name.
    case named
    /// Another object has the name.
    case taken
}

extension LocalStore {
    /// The file that marks a store whose medium cannot guard names.
    static let unguardedMark = "unguarded"
    /// File systems that a program or another machine provides. Their calls may not do what Linux promises: FUSE, CIFS,
    /// SMB 2, NFS, 9P.
    private static let doubtfulTypes: Set<UInt32> = [
        0x6573_5546, 0xff53_4d42, 0xfe53_4d42, 0x6969, 0x0102_1997,
    ]

    /// How objects get their names here; nil if that cannot be known without writing.
    public var naming: Naming? { (try? settledNaming()) ?? monitor.locked { way } }

    /// How this store ensures that only one of several writers gets a name.
    public var nameGuard: NameGuard {
        switch naming {
        case .unguarded: .never
        case .lock: .locks
        case .rename, .link, .claim, nil: .always
        }
    }

    /// Finds out how objects get their names here, and records it in the store if other writers must know.
    @discardableResult
    func prepareNaming() throws(Errno) -> Naming {
        if let known = try settledNaming() { return known }
        return remember(try probe())
    }

    /// Returns the way to name the next object.
    func currentNaming() throws(Errno) -> Naming {
        if let known = monitor.locked({ way }), known != .rename, known != .link { return known }
        // Another machine may have recorded meanwhile that it needs a weaker way, which all writers must then use.
        if let settled = try settledNaming() { return remember(settled) }
        if let known = monitor.locked({ way }) { return known }
        var system = statfs()
        let isDoubtful =
            fstatfs(root.number, &system) == 0
            && Self.doubtfulTypes.contains(UInt32(truncatingIfNeeded: system.f_type))
        return remember(isDoubtful ? try probe() : .rename)
    }

    private func remember(_ naming: Naming) -> Naming { monitor.locked { way = naming }; return naming }

    /// Returns the way that the store records; nil if it records none. Throws ENOTDIR if something else has the name of
    /// such a record. The way is then unknown, and writers that use different ways could overwrite objects.
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

    /// Returns the way to try next when a call to name an object has failed; nil if there is no other way.
    func naming(after error: Errno, of way: Naming) throws(Errno) -> Naming? {
        guard way == .rename || way == .link, Self.mayBeMissing(error) else { return nil }
        let found = try probe()
        return found == way ? nil : remember(found)
    }

    private static func mayBeMissing(_ error: Errno) -> Bool {
        [EINVAL, ENOSYS, ENOTSUP, EPERM, EMLINK, EXDEV, EIO, ENOTTY].contains(error.code)
    }

    // MARK: Trying out

    /// Tries the ways out in `tmp/`, from best to worst, and returns the first that works.
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

    /// True if `call` gives a file a free name, and refuses a taken name without changing the file that has it.
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
            // An error such as a full disk does not say whether the call works here.
            let error = Errno(code: errno)
            if error.isFull || [EROFS, EACCES, ENOMEM].contains(error.code) { throw error }
            return false
        }
        guard try firstByte(second) == 2, call(first, free) == 0 else { return false }
        return try firstByte(free) == 1
    }

    /// True if the medium refuses to make a folder that exists.
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

    /// True if the medium refuses to rename a folder onto a folder that is not empty, and refuses to remove a folder
    /// that is not empty.
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
        // Some media merge the two folders, others replace the second one.
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
    /// Gives a finished file its object's name unless the name is taken. In both cases the temporary name is gone when
    /// this returns.
    ///
    /// - Parameter bytes: the file's content, needed if another writer may store other content under the name. Nil if
    ///   that cannot happen, or if it does not matter whose object gets the name.
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
                var failure = failure(error, "store", key, isWriting: true)
                if error.code == ENOENT, isGone(object) {
                    failure.message += ". Its file in tmp was removed before it was stored"
                }
                throw failure
            }
            discard(object)
            // Every object is a regular file, so anything else that has the name is an obstruction.
            if let found = Self.obstruction(of: object.key, in: folder) {
                throw StoreError(kind: .obstructed, operation: "store", object: key, message: "\(found)")
            }
            return .taken
        }
    }

    /// Returns the outcome of a put. Throws `.notFound` if the file that had the name is gone meanwhile.
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

    /// True if the object's temporary no longer exists.
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
            // Another writer may have replaced the object since, so compare the content.
            if let bytes, try !holds(bytes, name, in: folder) { return .taken }
        }
        return .named
    }

    /// Gives the file its name after a check that the name is free. Only for a name that no other writer uses, or if it
    /// does not matter whose object gets the name, or on a medium that cannot guard names.
    private func lookAndName(
        _ temporary: String, _ name: String, in folder: Descriptor
    ) throws(Errno) -> NamingResult {
        let temporaries = try temporaries()
        if (try? linkStatus(at: folder.number, name)) != nil { throw Errno(code: EEXIST) }
        try system { renameat(temporaries.number, temporary, folder.number, name) }
        return .named
    }

    /// How often `publish` waits for a lock, and how long each time.
    private static let (lockPauses, lockPauseMicroseconds) = (100, UInt32(100_000))

    /// Removes every lock.
    public func breakLocks() {
        let folder = claimFolder()
        for name in (try? folder.names(in: ClaimNames.locks)) ?? [] {
            try? folder.removeFolder(ClaimNames.locks + "/" + name)
        }
    }

    /// Gives the file its name on a file system without RENAME_NOREPLACE: makes a hard link, then removes the first
    /// name.
    func link(_ temporary: String, to name: String, in folder: Descriptor) throws(Errno) {
        let temporaries = try temporaries()
        do throws(Errno) {
            try system { linkat(temporaries.number, temporary, folder.number, name, 0) }
        } catch {
            // A network file system may repeat a request whose reply was lost, and then report the link that it has
            // just made. A link count of 2 shows that the link is this file's own.
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

    /// The store's folder for claims and locks.
    func claimFolder() -> StoreClaimFolder { StoreClaimFolder(store: self) }

    /// Removes the claims of crashed writers that are older than `seconds` by the medium's clock. It removes only
    /// decided claims: the claimed name is taken, or the content for it is gone. To remove such a claim is safe at any
    /// time.
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
