// LocalStore+Reading: reads sizes, objects and listings.
//
// Always holds: only regular files are objects, and no call follows a link.

import BakCore
import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// The file's length, in bytes. Throws `.notFound` if there is no such file, else what the medium reports.
    public func size(of key: ObjectKey) throws(StoreError) -> Int {
        // One call usually suffices. If it fails, the steps below find out why.
        if let object = try? objects.open(key.description.utf8, linux_O_PATH.flag | O_NOFOLLOW),
            let status = try? object.status(), status.format == S_IFREG
        {
            return status.contentBytes
        }
        do throws(Errno) {
            let folder = try openFolder(Self.folder(of: key))
            let status = try linkStatus(at: folder.number, Self.lastComponent(of: key))
            guard status.format == S_IFREG else { throw Errno(code: ENOENT) }
            return status.contentBytes
        } catch {
            throw failure(error, "look up", key.description)
        }
    }

    /// Reads from the file and keeps it open as one of the few that were read last. Throws `.notFound` if there is no
    /// such file, `.shortRead` if it ends too early, else what the medium reports.
    public func read(
        _ key: ObjectKey, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        let (count, size): (Int, Int)
        do throws(Errno) {
            let file = try reader(key)
            count = try oneAtATime { () throws(Errno) in
                try readAll(file.number, buffer, at: UInt64(offset))
            }
            size = count == buffer.count ? 0 : try file.status().contentBytes
        } catch {
            throw failure(error, "read", key.description)
        }
        guard count == buffer.count else {
            throw StoreError.short(key, size: size, wanted: offset + buffer.count)
        }
    }

    /// Runs `body`. On a spinning disk, it runs only one at a time: threads that read different packs would make the
    /// head move back and forth between them.
    private func oneAtATime<Result>(_ body: () throws(Errno) -> Result) throws(Errno) -> Result {
        guard let head else { return try body() }
        return try head.locked(body)
    }

    /// Reads the whole file; nil if it is longer than `limit`. Throws `.notFound` if there is no such file, else what
    /// the medium reports.
    public func readAtOnce(_ key: ObjectKey, upTo limit: Int) throws(StoreError) -> [UInt8]? {
        let bytes: [UInt8]
        let size: Int
        do throws(Errno) {
            let (file, status) = try openObject(key)
            size = status.contentBytes
            guard size <= limit else { return nil }
            Memory.require(size)
            var result: Result<Int, Errno> = .success(0)
            bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                result = Result { () throws(Errno) in
                    try readAll(
                        file.number, UnsafeMutableRawBufferPointer(buffer), at: 0, expectedEnd: UInt64(size))
                }
                count = (try? result.get()) ?? 0
            }
            _ = try result.get()
        } catch {
            throw failure(error, "read", key.description)
        }
        guard bytes.count == size else { throw StoreError.short(key, size: bytes.count, wanted: size) }
        return bytes
    }

    /// Lists one folder. Throws what the medium reports.
    public func list(_ folder: String) throws(StoreError) -> [ObjectInfo] {
        try listWithObstructions(folder).objects
    }

    /// Lists one folder. Anything but a regular file is an obstruction. Throws what the medium reports.
    public func listWithObstructions(
        _ folder: String
    ) throws(StoreError) -> (objects: [ObjectInfo], obstructions: [Obstruction]) {
        do throws(Errno) {
            guard let descriptor = try openListed(folder) else { return ([], []) }
            return try contents(of: folder, descriptor)
        } catch {
            throw failure(error, "list", folder)
        }
    }

    /// Lists folder by folder, with one or more pages for each. Throws what the medium reports; `page` may have
    /// received some pages by then.
    public func listAll(
        beneath folder: String, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        let descriptor: Descriptor?
        do throws(Errno) {
            descriptor = try openListed(folder)
        } catch {
            throw failure(error, "list", folder)
        }
        if let descriptor { try walk(folder, descriptor, page) }
    }

    /// Lists the entries directly in `folder`, which is open as `descriptor`.
    private func contents(
        of folder: String, _ descriptor: Descriptor
    ) throws(Errno) -> (objects: [ObjectInfo], obstructions: [Obstruction]) {
        var listing = try FolderListing(descriptor.number)
        listing.sort()
        var found: (objects: [ObjectInfo], obstructions: [Obstruction]) = ([], [])
        for index in 0..<listing.count {
            let name = String(decoding: listing.name(index), as: UTF8.self)
            let text = folder.isEmpty ? name : "\(folder)/\(name)"
            guard ObjectKey.isValid(text) else { continue }
            let key = ObjectKey(text)
            do throws(Errno) {
                let status = try linkStatus(at: descriptor.number, name)
                if status.format == S_IFREG {
                    found.objects.append(ObjectInfo(key: key, size: status.contentBytes))
                } else {
                    found.obstructions.append(
                        Obstruction(
                            key: key, what: Self.noun(of: status), isFolder: status.format == S_IFDIR))
                }
            } catch {
                // The entry was deleted after the folder was read. Any other error fails the listing.
                guard error.code == ENOENT else { throw error }
            }
        }
        return found
    }

    /// Passes everything in and beneath `folder`, which is open as `descriptor`, to `page`, sorted by key.
    private func walk(
        _ folder: String, _ descriptor: Descriptor, _ page: ([ObjectInfo], [Obstruction]) -> Void
    ) throws(StoreError) {
        let found: (objects: [ObjectInfo], obstructions: [Obstruction])
        do throws(Errno) {
            found = try contents(of: folder, descriptor)
        } catch {
            throw failure(error, "list", folder)
        }
        var (objects, obstructions) = (found.objects[...], found.obstructions[...])
        let folders = found.obstructions.filter(\.isFolder)
        for below in folders.sorted(by: { $0.key.description + "/" < $1.key.description + "/" }) {
            // The keys in this subfolder begin with its name and a slash. First pass on the entries that sort before
            // them.
            let start = below.key.description + "/"
            let first = objects.prefix { $0.key.description < start }
            let others = obstructions.prefix { $0.key.description < start }
            page(Array(first), Array(others))
            (objects, obstructions) = (objects.dropFirst(first.count), obstructions.dropFirst(others.count))
            let opened: Descriptor?
            do throws(Errno) {
                opened = try openListed(Self.lastComponent(of: below.key), in: descriptor)
            } catch {
                throw failure(error, "list", below.key.description)
            }
            if let opened { try walk(below.key.description, opened, page) }
        }
        if !objects.isEmpty || !obstructions.isEmpty { page(Array(objects), Array(obstructions)) }
    }

    /// Opens an object for reading, or takes it from the few that were read last.
    private func reader(_ key: ObjectKey) throws(Errno) -> Descriptor {
        if let open = monitor.locked({ readers[key] }) { return open }
        let (opened, _) = try openObject(key)
        // An evicted file is closed here, after the monitor is released.
        let evicted = monitor.locked { readers.insert(key, opened) }
        _ = evicted
        return opened
    }

    /// Opens an object for reading. Anything but a regular file counts as missing, as it does in a listing.
    private func openObject(_ key: ObjectKey) throws(Errno) -> (Descriptor, stat) {
        // O_NONBLOCK: a FIFO must not make the reader wait.
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
        // One call usually suffices. If it fails, the steps below find what is in the way.
        if let file = try? objects.open(key.description.utf8, flags),
            let status = try? file.status(), status.format == S_IFREG
        {
            return (file, status)
        }
        let folder = try openFolder(Self.folder(of: key))
        do throws(Errno) {
            let file = try Descriptor.open(at: folder.number, Self.lastComponent(of: key), flags)
            let status = try file.status()
            if status.format == S_IFREG { return (file, status) }
        } catch {
            // Links, sockets and some devices cannot be opened; they count as missing.
            guard Self.obstruction(of: key, in: folder) != nil else { throw error }
        }
        throw Errno(code: ENOENT)
    }
}
