// FolderCache: this machine's rebuildable files, mapped into memory. Files are replaced whole by rename
// and never changed in place, so a mapping stays valid as long as it is held. Nothing is synced: whoever
// owns the content has checksums in it and rebuilds it from the store.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A cache in a folder. Without a usable folder nothing is found and `replace` throws.
public final class FolderCache: LocalCache {
    /// The folder's path.
    public let path: String
    private let folder: Descriptor?
    private let isReadOnly: Bool

    /// Opens the folder, made when it is missing, and removes what crashed writers left there a day ago. When
    /// `isReadOnly`, nothing is made or removed, and `replace` throws.
    public init(path: String, isReadOnly: Bool = false) {
        self.path = path
        self.isReadOnly = isReadOnly
        if !isReadOnly { try? Folders.create(path, mode: 0o700, durably: false) }
        folder = try? Descriptor.open(path, O_RDONLY | O_DIRECTORY)
        if let folder, !isReadOnly {
            _ = try? Temporary.sweep(folder.number, olderThanSeconds: 24 * 3600)
            // Its time says when it was used last.
            let now = SystemTime().now().systemValue
            _ = futimens(folder.number, [now, now])
        }
    }

    /// Whether there is a folder to keep files in.
    public var isUsable: Bool { folder != nil }

    public func map(_ name: String) -> MappedBytes? {
        guard let folder, Self.isName(name),
            let file = try? Descriptor.open(at: folder.number, name, O_RDONLY | O_NOFOLLOW),
            let status = try? file.status(), status.format == S_IFREG
        else { return nil }
        let count = Int(status.st_size)
        if count == 0 { return MappedBytes(copying: []) }
        guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, file.number, 0), start != MAP_FAILED else {
            return nil
        }
        return MappedBytes(UnsafeRawBufferPointer(start: start, count: count)) {
            munmap(UnsafeMutableRawPointer(mutating: $0.baseAddress!), $0.count)
        }
    }

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
                try system { renameat(folder.number, temporary!, folder.number, name) }
            }
        } catch {
            if let temporary { unlinkat(folder.number, temporary, 0) }
            throw error
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
