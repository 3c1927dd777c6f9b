// LocalStore: keeps a repository's objects as files in one folder. A key is a path in that folder.
//
// Always holds: a file is whole before it gets an object's name. It is also durable before that, unless `putUnsynced`
// wrote it. The store never overwrites an object: it gives names by a call that fails if the name is taken, or under a
// claim or a lock. Only an unguarded store (`Naming`) cannot promise that. Files that are still being written lie in
// `tmp/` under names that cannot be keys. After a failed sync the store discards the object and never syncs it again.
// Every call is relative to the descriptor of the folder that the store opened first. So it remains the same store if
// its folder is moved, and calls fail if its drive is swapped.

import BakCore
import BakStorage
import CLinux
import Glibc

/// An object store in a folder of a local or network file system.
public final class LocalStore: ObjectStore, @unchecked Sendable {
    /// The folder's path, as the caller gave it.
    let path: String
    /// The folder.
    public var location: StoreLocation { .folder(path) }

    let root: Descriptor
    /// The same folder, for opening objects beneath it.
    let objects: FixedFolder
    /// The medium, if a test named it.
    private let givenMedium: SourceMedium?
    private let headMonitor = Monitor()
    /// The value of `head`, guarded by `headMonitor`; nil until it is known.
    private var knownHead: Monitor??
    let monitor = Monitor()
    // Guarded by `monitor`:
    /// How objects get their names; nil until that is known.
    var way: Naming?
    var temporaryFolder: Descriptor?
    var knownSharing: Sharing?
    var knownNames: PlaceNames?
    /// The session that the temporaries of puts belong to now.
    var session: ID128?
    /// True if folders could be synced before anything was written; nil until that is known.
    var syncsFolders: Bool?
    var existingFolders: Set<String> = []
    /// The folders whose own names are durable.
    var durableFolders: Set<String> = []
    /// The folders that were in the store's own folder before the first write.
    var foundFolders: Set<String> = []
    var readers = RecentlyUsed<ObjectKey, Descriptor>(capacity: 16)

    /// Opens the store in an existing folder. Throws `StoreError` if it cannot be opened.
    public convenience init(path: String) throws(StoreError) { try self.init(path: path, medium: nil) }

    /// Opens the store as `init(path:)` does. A test may name the medium.
    init(path: String, medium: SourceMedium?) throws(StoreError) {
        self.path = path
        do throws(Errno) {
            root = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
        } catch {
            throw StoreError(error, "open", path)
        }
        objects = FixedFolder(root)
        givenMedium = medium
    }

    /// The head of a spinning disk, which serves one read at a time; nil on any other medium. The medium is looked up
    /// at the first use, because a command that reads no pack need not know it.
    var head: Monitor? {
        headMonitor.locked {
            if let knownHead { return knownHead }
            let head = (givenMedium ?? MediumProbe.medium(root)) == .rotational ? Monitor() : nil
            knownHead = .some(head)
            return head
        }
    }

    /// The traits of the medium. On a spinning disk, reading a gap of 1 MiB takes about as long as a seek.
    public var traits: StoreTraits {
        var traits = StoreTraits()
        if head != nil { traits.coalescingGapBytes = 1 << 20 }
        return traits
    }

    /// Makes the folder and its missing parents durably, opens the store in it and finds out how objects get their
    /// names there. Throws `StoreError` if the folder cannot be made, opened or shared.
    ///
    /// - Parameter isShared: true if the folder's group may use the store as its owner does.
    public static func create(path: String, isShared: Bool = false) throws(StoreError) -> LocalStore {
        do throws(Errno) {
            try Folders.create(path, mode: 0o700, durably: true)
        } catch {
            throw StoreError(error, "make the folder", path, isWriting: true)
        }
        let store = try LocalStore(path: path)
        if isShared {
            do throws(Errno) {
                try Sharing.shareWithGroup(store.root)
            } catch {
                throw StoreError(error, "share with its group the folder", path, isWriting: true)
            }
        }
        // If the store cannot be written to, the first write reports it.
        _ = try? store.prepareNaming()
        return store
    }

    /// True if a folder can become a store. The folder may contain files that an interrupted `create` left and files
    /// that operating systems put on every medium, but nothing else. Nil if there is no such folder or it cannot be
    /// read.
    public static func canBegin(inFolder path: String) -> Bool? {
        guard let folder = try? Descriptor.open(path, O_RDONLY | O_DIRECTORY),
            let listing = try? FolderListing(folder.number)
        else { return nil }
        defer { withExtendedLifetime(folder) {} }
        for index in 0..<listing.count {
            let name = String(decoding: listing.name(index), as: UTF8.self)
            switch name {
            case "tmp": guard holdsOnly(Temporary.isTemporary, name, in: folder.number) else { return false }
            case ClaimNames.folder, ClaimNames.locks:
                guard holdsOnly(isClaim, name, in: folder.number) else { return false }
            case reserveFolder: guard holdsOnly({ _ in true }, name, in: folder.number) else { return false }
            case unguardedMark:
                guard (try? linkStatus(at: folder.number, name))?.format == S_IFREG else { return false }
            // An encrypted repository's key is stored before the repository is made.
            case "keys": guard holdsOnly(isID, name, in: folder.number) else { return false }
            default: guard isLeaving(name, in: folder.number) else { return false }
            }
        }
        return true
    }

    /// True if an operating system makes this entry by itself at the top of a medium. A store uses none of these names.
    private static func isLeaving(_ name: String, in folder: Int32) -> Bool {
        let kind = (try? linkStatus(at: folder, name))?.format
        switch name.lowercased() {
        case ".ds_store", "._.trashes": return kind == S_IFREG
        case "system volume information", "$recycle.bin", ".trashes", ".spotlight-v100", ".fseventsd":
            return kind == S_IFDIR
        // A file system check may have saved files here, which the owner should look through first, so the folder must
        // be empty. If this user cannot read the folder, as is usual, the files are ignored.
        case "lost+found":
            return kind == S_IFDIR
                && (faccessat(folder, name, R_OK, 0) != 0 || holdsOnly({ _ in false }, name, in: folder))
        case let name where name == ".trash" || name.hasPrefix(".trash-"): return kind == S_IFDIR
        default: return false
        }
    }

    private static func isClaim(_ name: ArraySlice<UInt8>) -> Bool {
        ClaimNames.key(ofClaim: String(decoding: name, as: UTF8.self)) != nil
    }

    private static func isID(_ name: ArraySlice<UInt8>) -> Bool {
        ID128(String(decoding: name, as: UTF8.self)) != nil
    }

    /// True if every name in the folder is of that kind; false if the folder cannot be read.
    private static func holdsOnly(
        _ isKind: (ArraySlice<UInt8>) -> Bool, _ name: String, in folder: Int32
    ) -> Bool {
        guard
            let part = try? Descriptor.open(at: folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            let listing = try? FolderListing(part.number)
        else { return false }
        return (0..<listing.count).allSatisfy { isKind(listing.name($0)) }
    }

    /// Writes the object to `tmp/`, syncs it, gives it its name and syncs the folder. Throws `.obstructed` if something
    /// other than an object has the name, else what the medium reports.
    public func put(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> PutOutcome {
        try againIfRemoved { () throws(StoreError) in
            let object = try writeTemporary(key, bytes, of: puttingSession)
            do throws(StoreError) {
                try synchronize(object)
                let folder = try openFolder(of: key)
                let result = try publish(object, in: folder, bytes)
                // Sync the folder even if another process took the name. The name of that process's object may not be
                // durable yet, and the caller may rely on that object.
                try synchronizeFolders([key: folder])
                return try outcome(result, of: key, bytes, in: folder)
            } catch {
                discard(object)
                throw error
            }
        }
    }

    /// Writes the object to `tmp/` and gives it its name. Throws as `put` does.
    public func putUnsynced(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        try againIfRemoved { () throws(StoreError) in
            let object = try writeTemporary(key, bytes, of: puttingSession)
            do throws(StoreError) {
                let folder = try openFolder(of: key)
                return try outcome(try publish(object, in: folder), of: key, bytes, in: folder)
            } catch {
                discard(object)
                throw error
            }
        }
    }

    /// Removes the file. Throws what the medium reports; a missing file is not an error.
    public func delete(_ key: ObjectKey) throws(StoreError) {
        monitor.locked { readers.remove(key) }
        do throws(Errno) {
            let folder = try openFolder(Self.folder(of: key))
            try system { unlinkat(folder.number, Self.lastComponent(of: key), 0) }
        } catch {
            guard error.code != ENOENT else { return }
            throw failure(error, "delete", key.description, isWriting: true)
        }
    }

    /// Removes the file and syncs its folder. Throws what the medium reports; a missing file is not an error.
    public func deleteDurably(_ key: ObjectKey) throws(StoreError) {
        let folder: Descriptor?
        do throws(Errno) {
            // `temporaries` finds out whether the medium can sync folders, before the first write.
            _ = try temporaries()
            folder = try openListed(Self.folder(of: key))
        } catch {
            throw failure(error, "delete", key.description, isWriting: true)
        }
        try delete(key)
        do throws(Errno) {
            if let folder { try synchronize(folder: folder) }
        } catch {
            throw failure(error, "sync the removal of", key.description, isWriting: true)
        }
    }

    /// Names the temporaries of later puts after the session.
    public func begin(_ session: ID128) { monitor.locked { self.session = session } }

    /// Removes temporaries that were last written more than a day ago by the medium's clock, except those of living
    /// sessions. Throws what the medium reports and what `living` throws.
    @discardableResult
    public func removeLeavings(living: () throws(StoreError) -> Set<ID128>) throws(StoreError) -> Int {
        try removeLeavings(olderThanSeconds: 24 * 3600, living: living)
    }

    func removeLeavings(
        olderThanSeconds seconds: Int64, living: () throws(StoreError) -> Set<ID128>
    ) throws(StoreError) -> Int {
        let folder: Descriptor
        do throws(Errno) {
            guard let opened = try openListed("tmp") else { return 0 }
            folder = opened
            try tidyClaims(olderThanSeconds: seconds)
        } catch {
            throw StoreError(error, "tidy", "tmp")
        }
        return try Temporary.sweep(folder.number, olderThanSeconds: seconds, living: living)
    }

    /// The session that puts are made for.
    private var puttingSession: ID128? { monitor.locked { session } }

    /// Returns a fresh name for a temporary of that session.
    func temporaryName() -> String { Temporary.name(of: puttingSession) }
}

// MARK: - Names

extension LocalStore {
    static func folder(of key: ObjectKey) -> String { parent(of: key.description) }

    static func lastComponent(of key: ObjectKey) -> String { lastComponent(of: key.description) }

    /// The folder that contains `path`; "" for the store's own folder.
    static func parent(of path: String) -> String {
        lastSlash(of: path).map { String(path[..<$0]) } ?? ""
    }

    /// Searches the bytes, because searching characters takes longer than opening the file.
    private static func lastSlash(of path: String) -> String.Index? {
        path.utf8.lastIndex(of: UInt8(ascii: "/"))
    }

    static func lastComponent(of path: String) -> String {
        lastSlash(of: path).map { String(path[path.utf8.index(after: $0)...]) } ?? path
    }

    /// The folder and its parents, from the store's own folder ("") down.
    static func lineage(_ folder: String) -> [String] {
        var paths = [""]
        for component in folder.split(separator: "/") {
            paths.append(paths.last!.isEmpty ? String(component) : paths.last! + "/" + component)
        }
        return paths
    }
}

// MARK: - Failures

extension LocalStore {
    /// Turns a failed call on an object into a `StoreError`. If the user lacks the rights, the message names the owner
    /// and says what to do.
    func failure(
        _ error: Errno, _ operation: String, _ object: String, isWriting: Bool = false
    ) -> StoreError {
        var failure = StoreError(error, operation, object, isWriting: isWriting)
        if error.code == EACCES || error.code == EPERM { failure.message += advice(on: object) }
        if error.code == ENOTDIR {
            // A folder was expected on the way to the object, in the place of its claim or lock, or under the object's
            // own name. Look under that name last: a regular file there is usually the object itself, and no
            // obstruction.
            let claims = [ClaimNames.claim(on: object), ClaimNames.lock(on: object)]
            let places = Self.lineage(object).dropFirst().dropLast() + Self.ownFolders + claims + [object]
            let found = places.lazy.compactMap { self.obstruction(at: $0) }.first
            failure.message += ". " + (found ?? "Something else is in the place of a folder")
            failure.message += Self.obstructionAdvice
        }
        if error.code == EBUSY, let found = obstruction(at: ClaimNames.lock(on: object)) {
            failure.message += ". " + found + Self.obstructionAdvice
        } else if error.code == EBUSY {
            let folder = Machine.realPath(path) ?? path
            // If `config` itself is locked, `prune` cannot open the repository to remove the lock.
            let way =
                object == "config"
                ? "delete '\(folder)/\(ClaimNames.lock(on: object))' and run the command again"
                : "run: bakstore prune --alone"
            failure.message +=
                ". Another program is storing it, or was killed while storing it. When nothing else is running, \(way)"
        }
        return failure
    }

    /// The group of the store's folder.
    public var groupName: String {
        guard let status = try? root.status() else { return "" }
        let name = AccountNames().group(status.st_gid)
        return name.isEmpty ? String(status.st_gid) : String(decoding: name, as: UTF8.self)
    }

    /// Says who owns the object, or its nearest parent that can be looked at, and how the user gets access again.
    private func advice(on object: String) -> String {
        var (path, found) = (object.isEmpty ? "." : object, try? root.status())
        while true {
            if let status = try? linkStatus(at: root.number, path) {
                found = status
                break
            }
            guard let slash = path.lastIndex(of: "/") else { break }
            path = String(path[..<slash])
        }
        guard let found else { return "" }
        let names = AccountNames()
        func name(_ name: [UInt8], _ number: UInt32) -> String {
            name.isEmpty ? String(number) : String(decoding: name, as: UTF8.self)
        }
        func user(_ id: uid_t) -> String { name(names.user(id), id) }
        let folder = "'" + (Machine.realPath(self.path) ?? self.path) + "'"
        let model = (try? linkStatus(at: root.number, "config")) ?? found
        if sharing().fileMode & 0o060 == 0o060 {
            let group = name(names.group(model.st_gid), model.st_gid)
            return
                ". It belongs to \(user(found.st_uid)), and the repository is shared by the group \(group). Join this "
                + "group, or run: sudo chgrp -R \(group) \(folder) && sudo chmod -R g+rwX \(folder)"
        }
        if found.st_uid == geteuid() {
            return ". It is yours, but its mode does not allow this. Run: chmod -R u+rwX \(folder)"
        }
        if model.st_uid == geteuid() {
            let group = name(names.group(model.st_gid), model.st_gid)
            return
                ". It belongs to \(user(found.st_uid)). Run: sudo chown -R \(user(model.st_uid)):\(group) \(folder)"
        }
        return
            ". It belongs to \(user(found.st_uid)), and the repository to \(user(model.st_uid)). To make it yours, run: "
            + "sudo chown -R \(user(geteuid())) \(folder)"
    }
}
