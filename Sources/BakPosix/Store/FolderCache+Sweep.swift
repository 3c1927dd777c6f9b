// FolderCache+Sweep: removes caches that were not used for a long time. It also removes caches of earlier versions of
// the program, which named a cache after the path of its repository. The sweep does not ask whether a repository
// exists, because its disk may not be connected. It removes a folder only if all files in it are those of a cache.

import BakCore
import CLinux
import Glibc

extension FolderCache {
    /// The number of bytes at a file's start that show whether the file belongs to a cache.
    private static let startBytes = 8
    /// A folder with more files than this is not a cache.
    private static let fileLimit = 1000

    /// Removes caches in the folder `path` that are no longer needed. A cache's name is the id of its repository.
    ///
    /// - Parameters:
    ///   - seconds: how long a cache must have been unused, by the system's clock.
    ///   - isFile: true if a file with that name and those first bytes belongs to a cache.
    /// - Returns: the number of removed caches.
    @discardableResult
    public static func sweep(
        in path: String, unusedForSeconds seconds: Int64, _ isFile: (String, ArraySlice<UInt8>) -> Bool
    ) -> Int {
        guard let base = try? Descriptor.open(path, O_RDONLY | O_DIRECTORY),
            let listing = try? FolderListing(base.number)
        else { return 0 }
        let oldest = SystemTime().now().seconds - seconds
        var removed = 0
        for index in 0..<listing.count {
            let name = String(decoding: listing.name(index), as: UTF8.self)
            guard let status = try? linkStatus(at: base.number, name), status.format == S_IFDIR,
                ID128(name) == nil || Int64(status.st_mtim.tv_sec) < oldest
            else { continue }
            if remove(name, in: base, isNamedByID: ID128(name) != nil, isFile) { removed += 1 }
        }
        return removed
    }

    /// Removes a folder if it is a cache.
    private static func remove(
        _ name: String, in base: Descriptor, isNamedByID: Bool, _ isFile: (String, ArraySlice<UInt8>) -> Bool
    ) -> Bool {
        guard
            let folder = try? Descriptor.open(at: base.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            let listing = try? FolderListing(folder.number), listing.count <= fileLimit,
            isNamedByID || listing.count > 0
        else { return false }
        let names = (0..<listing.count).map { listing.name($0) }
        guard
            names.allSatisfy({
                Temporary.isTemporary($0)
                    || isFile(String(decoding: $0, as: UTF8.self), start(of: $0, in: folder))
            })
        else { return false }
        for index in 0..<listing.count { listing.withName(index) { _ = unlinkat(folder.number, $0, 0) } }
        return unlinkat(base.number, name, AT_REMOVEDIR) == 0
    }

    /// The first bytes of a regular file.
    private static func start(of name: ArraySlice<UInt8>, in folder: Descriptor) -> ArraySlice<UInt8> {
        let path = String(decoding: name, as: UTF8.self)
        guard
            let file = try? Descriptor.open(at: folder.number, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let status = try? file.status(), status.format == S_IFREG
        else { return [] }
        var bytes = [UInt8](repeating: 0, count: startBytes)
        let count = try? bytes.withUnsafeMutableBytes { bytes in
            Result { () throws(Errno) in try readAll(file.number, bytes, at: 0) }
        }.get()
        return bytes[..<(count ?? 0)]
    }
}
