// FolderCache: this machine's rebuildable files, mapped into memory. A file is replaced as a whole by a rename and
// never changed in place, so a mapping stays valid for as long as it is held. Nothing is synced: each kind of file has
// checksums, and its reader rebuilds a damaged file from the store.
//
// Always holds: the cache reads only regular files that only their owner may write to. The owner is this user, root,
// or, if the process runs as root, the owner of the folder above. No call waits for a FIFO or a device. No call follows
// a link within the cache. A reader ignores anything else under a file's name, and `replace` replaces it or moves it
// away.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A cache in a folder. Without a usable folder, `map` finds nothing and `replace` throws.
public final class FolderCache: LocalCache {
    /// The folder's path.
    public let path: String
    /// True if the folder exists, but other users may have written to it. Then the cache uses nothing in it.
    public let isDistrusted: Bool
    private let folder: Descriptor?
    private let isReadOnly: Bool

    /// Opens the folder, makes it if it is missing, and removes temporaries that crashed writers left more than a day
    /// ago. If `isReadOnly`, it makes and removes nothing, and `replace` throws.
    public init(path: String, isReadOnly: Bool = false) {
        self.path = path
        self.isReadOnly = isReadOnly
        let (parent, name) = Folders.split(path)
        if !isReadOnly { try? Folders.create(parent, mode: 0o700, durably: false) }
        let above = try? Descriptor.open(parent, O_RDONLY | O_DIRECTORY)
        if !isReadOnly, let above { Self.make(path, name, in: above) }
        let found = above.flatMap {
            try? Descriptor.open(at: $0.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        }
        folder = found.flatMap { Self.isTrusted($0, in: above, isReadOnly: isReadOnly) ? $0 : nil }
        isDistrusted = found != nil && folder == nil
        if let folder, !isReadOnly {
            _ = try? Temporary.sweep(folder.number, olderThanSeconds: 24 * 3600)
            // The folder's time records the last use.
            let now = SystemTime().now().systemValue
            _ = futimens(folder.number, [now, now])
        }
    }

    /// True if there is a folder that may be used.
    public var isUsable: Bool { folder != nil }

    /// Maps a file that a trusted user has written; nil if there is none.
    public func map(_ name: String) -> MappedBytes? {
        guard let folder, Self.isName(name),
            let file = try? Descriptor.open(
                at: folder.number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY),
            let status = try? file.status(), status.format == S_IFREG, status.st_mode & 0o022 == 0,
            let its = try? folder.status(), Self.trusts(status, from: its)
        else { return nil }
        return MappedFile.map(file, status)
    }

    /// True if the file belongs to the user, to root, or, if the process runs as root, to the owner of `folder`.
    private static func trusts(_ status: stat, from folder: stat) -> Bool {
        let user = geteuid()
        return status.st_uid == user || status.st_uid == 0 || user == 0 && status.st_uid == folder.st_uid
    }

    /// Makes the folder if it is missing. If anything but a folder has its name, moves that item away first. Another
    /// user's folder stays.
    private static func make(_ path: String, _ name: String, in above: Descriptor) {
        if let status = try? linkStatus(at: above.number, name), status.format != S_IFDIR {
            renameat(above.number, name, above.number, Temporary.name())
        }
        try? Folders.create(path, mode: 0o700, durably: false)
    }

    /// Takes the right to write to the folder from its group and from others. Returns true if only trusted users may
    /// write to it from now on. Another user may have made files there before, so `map` checks each file as well.
    private static func isTrusted(_ folder: Descriptor, in above: Descriptor?, isReadOnly: Bool) -> Bool {
        guard let its = try? above?.status(), let status = try? folder.status(), trusts(status, from: its)
        else { return false }
        if status.st_mode & 0o022 == 0 { return true }
        guard !isReadOnly, fchmod(folder.number, status.st_mode & 0o7755) == 0,
            let now = try? folder.status()
        else { return false }
        return now.st_mode & 0o022 == 0
    }

    /// Writes a temporary file and renames it. Throws `StoreError` if there is no usable folder or the file cannot be
    /// written, and what `write` throws.
    public func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws {
        guard let folder, !isReadOnly, Self.isName(name) else {
            throw StoreError(
                Errno(code: isReadOnly ? EROFS : folder == nil ? ENOENT : EINVAL), "write the cache file",
                named(name))
        }
        var temporary: String?
        do {
            let output = try attempt(name) { () throws(Errno) in
                let (made, file) = try Temporary.create(in: folder.number)
                temporary = made
                Sharing.inheritOwner(file, from: folder)
                return BufferedOutput(file)
            }
            try write { bytes throws(StoreError) in
                try self.attempt(name) { () throws(Errno) in try output.append(bytes) }
            }
            try attempt(name) { () throws(Errno) in
                try output.close()
                try rename(temporary!, name, in: folder)
            }
        } catch {
            if let temporary { unlinkat(folder.number, temporary, 0) }
            throw error
        }
    }

    private func rename(_ temporary: String, _ name: String, in folder: Descriptor) throws(Errno) {
        do throws(Errno) {
            try system { renameat(folder.number, temporary, folder.number, name) }
        } catch {
            // A folder has the name. Move it away with everything in it.
            guard error.code == EISDIR else { throw error }
            try system { renameat(folder.number, name, folder.number, Temporary.name()) }
            try system { renameat(folder.number, temporary, folder.number, name) }
        }
    }

    private func attempt<Result>(
        _ name: String, _ body: () throws(Errno) -> Result
    ) throws(StoreError) -> Result {
        do throws(Errno) {
            return try body()
        } catch {
            throw StoreError(error, "write the cache file", named(name), isWriting: true)
        }
    }

    private func named(_ name: String) -> String { path + "/" + name }

    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix(".") && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
    }
}

/// Collects small appends into large writes.
private final class BufferedOutput {
    private let file: Descriptor
    private var pending: [UInt8] = []
    private static let capacity = 256 << 10

    init(_ file: Descriptor) { self.file = file }

    func append(_ bytes: UnsafeRawBufferPointer) throws(Errno) {
        if pending.count + bytes.count > Self.capacity { try flush() }
        if bytes.count >= Self.capacity {
            try writeAll(file.number, bytes)
        } else {
            pending.append(contentsOf: bytes)
        }
    }

    func close() throws(Errno) {
        try flush()
        try file.close()
    }

    private func flush() throws(Errno) {
        try pending.withUnsafeBytes { bytes in
            Result { () throws(Errno) in try writeAll(file.number, bytes) }
        }.get()
        pending.removeAll(keepingCapacity: true)
    }
}
