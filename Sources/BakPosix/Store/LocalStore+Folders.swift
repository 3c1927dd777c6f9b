// Folders of a store: opened one beneath the other, made when they are missing, and never reached through a link.

import BakCore
import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// The folders that are the store's own, beside those of objects.
    static let ownFolders = [ClaimNames.temporaries, ClaimNames.folder, ClaimNames.locks, reserveFolder]
    /// What to do about an obstruction.
    static let obstructionAdvice =
        "; nothing there is used and no link is followed: put the real folder back, or mount it there (mount --bind)"

    /// Throws if something else than a folder has the name of one.
    public func expectFolders(_ folders: [String]) throws(StoreError) {
        let wanted = Set(folders + Self.ownFolders)
        // Those above come first: nothing behind a link is looked at.
        for parent in Set(wanted.map { Self.parent(of: $0) }).sorted() {
            let found: [String]
            do throws(Errno) {
                found = try obstructions(in: parent, to: wanted)
            } catch {
                throw failure(error, "list", parent.isEmpty ? self.path : parent)
            }
            guard found.isEmpty else {
                throw StoreError(
                    kind: .obstructedFolder, operation: "use",
                    object: parent.isEmpty ? "the repository" : parent,
                    message: found.joined(separator: ", and ") + Self.obstructionAdvice)
            }
        }
    }

    /// What is in the place of folders in `parent`, in words.
    private func obstructions(in parent: String, to wanted: Set<String>) throws(Errno) -> [String] {
        guard let folder = try openListed(parent) else { return [] }
        var listing = try FolderListing(folder.number)
        listing.sort()
        return (0..<listing.count).compactMap { index in
            let name = String(decoding: listing.name(index), as: UTF8.self)
            let path = parent.isEmpty ? name : parent + "/" + name
            if path == Self.unguardedMark { return obstruction(at: path, of: S_IFREG) }
            return wanted.contains(path) && !listing.isFolder(index) ? obstruction(at: path) : nil
        }
    }

    /// The folder `tmp`, made when it is missing.
    func temporaries() throws(Errno) -> Descriptor {
        if let known = monitor.locked({ temporaryFolder }) { return known }
        try sharing().makeFolder("tmp", in: root)
        // Before anything is written: what fails then is the call and not the medium.
        monitor.locked { syncsFolders = fsync(root.number) == 0 }
        let opened = try Descriptor.open(at: root.number, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        monitor.locked { temporaryFolder = opened }
        return opened
    }

    /// Opens a folder of the store. A link is not followed on the way: what is deleted or written lies in this store
    /// and in no other. Throws ENOTDIR where a link or a file is in a folder's place.
    ///
    /// - Parameter access: O_RDONLY, or O_PATH for a folder that names are only looked up in.
    /// - Parameter above: the folder that the path begins in; the store's own without it.
    func openFolder(
        _ folder: String, _ access: Int32 = O_RDONLY, in above: Descriptor? = nil
    ) throws(Errno) -> Descriptor {
        var opened = above ?? root
        // Most have one component; to split costs as much as to open.
        let components =
            folder.utf8.contains(UInt8(ascii: "/"))
            ? folder.split(separator: "/") : [folder.isEmpty ? "." : folder[...]]
        for component in components {
            opened = try Descriptor.open(
                at: opened.number, String(component), access | O_DIRECTORY | O_NOFOLLOW)
        }
        return opened
    }

    /// Opens a folder to list it; nil when it does not exist.
    func openListed(_ folder: String, in above: Descriptor? = nil) throws(Errno) -> Descriptor? {
        do throws(Errno) {
            return try openFolder(folder, in: above)
        } catch {
            // Where the store itself is gone, no folder of it may pass for empty.
            guard error.code == ENOENT, try root.status().st_nlink > 0 else { throw error }
            return nil
        }
    }

    /// Whose new files and folders are.
    func sharing() -> Sharing {
        if let known = monitor.locked({ knownSharing }) { return known }
        let sharing = Sharing(root: root)
        monitor.locked { knownSharing = sharing }
        return sharing
    }

    /// Makes the names in a folder durable. A medium that could not do so before it was written to is taken as it is.
    func synchronize(folder: Descriptor) throws(Errno) {
        do throws(Errno) {
            try folder.synchronizeFolder()
        } catch {
            guard !error.isFull, monitor.locked({ syncsFolders }) == false else { throw error }
        }
    }

    /// Opens the folder that `key` goes to, made with those above it when it is missing. No symbolic link is followed:
    /// what root writes and gives away must lie in the store.
    func openFolder(of key: ObjectKey) throws(StoreError) -> Descriptor {
        let folder = Self.folder(of: key)
        do throws(Errno) {
            if monitor.locked({ existingFolders.contains(folder) }) { return try openFolder(folder) }
            var opened = try openFolder("")
            for component in folder.split(separator: "/") {
                try sharing().makeFolder(String(component), in: opened)
                opened = try Descriptor.open(
                    at: opened.number, String(component), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            }
            monitor.locked { _ = existingFolders.insert(folder) }
            return opened
        } catch {
            throw failure(error, "make the folder of", key.description, isWriting: true)
        }
    }

    /// Makes the names in the given objects' folders durable, each folder once, and with them every
    /// folder above one that this process uses for the first time (it may be new).
    func synchronizeFolders(_ folders: [ObjectKey: Descriptor]) throws(StoreError) {
        var opened: [String: Descriptor] = [:]
        for (key, descriptor) in folders { opened[Self.folder(of: key)] = descriptor }
        let fresh = monitor.locked { opened.keys.filter { !durableFolders.contains($0) } }
        var path = ""
        do throws(Errno) {
            for folder in fresh {
                for parent in Self.lineage(folder).dropLast() where opened[parent] == nil {
                    path = parent
                    opened[parent] = try openFolder(parent)
                }
            }
            for (folder, descriptor) in opened {
                path = folder
                try synchronize(folder: descriptor)
            }
        } catch {
            throw StoreError(error, "sync the folder", path.isEmpty ? self.path : path, isWriting: true)
        }
        monitor.locked { durableFolders.formUnion(fresh) }
    }
}
