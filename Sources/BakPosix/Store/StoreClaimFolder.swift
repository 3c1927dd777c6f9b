// StoreClaimFolder: the calls of claims and locks in a store's folder. Like all of a store's calls, they follow no link
// on the way.

import CLinux
import Glibc

/// A store's folder for claims and locks.
struct StoreClaimFolder: ClaimFolder {
    let store: LocalStore

    /// The status of what is at a path. A link is not followed.
    func status(of path: String) throws(Errno) -> stat {
        // The variable keeps the folder open until the call has returned.
        let folder = try folder(of: path)
        return try linkStatus(at: folder.number, LocalStore.lastComponent(of: path))
    }

    func exists(_ path: String) throws(Errno) -> Bool {
        do throws(Errno) {
            _ = try status(of: path)
            return true
        } catch {
            guard error.code == ENOENT else { throw error }
            return false
        }
    }

    func makeFolder(_ path: String) throws(Errno) {
        let (folder, name) = (try folder(of: path), LocalStore.lastComponent(of: path))
        try system { mkdirat(folder.number, name, 0o700) }
        if let made = try? Descriptor.open(at: folder.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) {
            store.sharing().apply(to: made, isFolder: true)
        }
    }

    func makeFile(_ path: String) throws(Errno) {
        let folder = try folder(of: path)
        try Descriptor.open(
            at: folder.number, LocalStore.lastComponent(of: path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
            mode: 0o600
        ).close()
    }

    func rename(_ path: String, to other: String) throws(Errno) {
        let (from, to) = (try folder(of: path), try folder(of: other))
        try system {
            renameat(
                from.number, LocalStore.lastComponent(of: path), to.number,
                LocalStore.lastComponent(of: other))
        }
    }

    func remove(_ path: String) throws(Errno) { try unlink(path, 0) }

    func removeFolder(_ path: String) throws(Errno) { try unlink(path, AT_REMOVEDIR) }

    private func unlink(_ path: String, _ flags: Int32) throws(Errno) {
        let folder = try folder(of: path)
        try system { unlinkat(folder.number, LocalStore.lastComponent(of: path), flags) }
    }

    func names(in path: String) throws(Errno) -> [String]? {
        do throws(Errno) {
            let folder = try store.openFolder(path)
            let listing = try FolderListing(folder.number)
            return (0..<listing.count).map { String(decoding: listing.name($0), as: UTF8.self) }
        } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
    }

    func makeDurable(_ path: String, without token: String) throws(Errno) {
        try store.synchronize(folder: try store.openFolder(LocalStore.parent(of: path)))
        // On a file system without a journal, a power cut could bring the old name back beside the new one.
        try store.synchronize(folder: try store.temporaries())
    }

    /// Opens the folder that contains `path`. O_PATH is enough for looking up names, and costs no request on a network.
    private func folder(of path: String) throws(Errno) -> Descriptor {
        try store.openFolder(LocalStore.parent(of: path), linux_O_PATH.flag)
    }
}
