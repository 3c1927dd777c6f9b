// LocalStore+Folders: opens a store's folders and makes missing ones. It opens a path component by component and never
// follows a link.

import BakCore
import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// The folders that the store keeps for itself, beside those of objects.
    static let ownFolders = [ClaimNames.temporaries, ClaimNames.folder, ClaimNames.locks, reserveFolder]
    /// What to do about an obstruction.
    static let obstructionAdvice =
        ". Nothing there is used, and no link is followed. Put the real folder back, or mount it there (mount --bind)"

    /// Throws `.obstructedFolder` if something other than a folder has the name of one of `folders` or of the store's
    /// own folders, else what the medium reports.
    public func expectFolders(_ folders: [String]) throws(StoreError) {
        let wanted = Set(folders + Self.ownFolders)
        // Check parents first, so that no link is followed.
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

    /// Describes the items in `parent` that have the name of a wanted folder but are not folders.
    private func obstructions(in parent: String, to wanted: Set<String>) throws(Errno) -> [String] {
        guard let folder = try openListed(parent) else { return [] }
        var listing = try FolderListing(folder.number)
        listing.sort()
        if parent.isEmpty { noteFolders(listing) }
        return (0..<listing.count).compactMap { index in
            let name = String(decoding: listing.name(index), as: UTF8.self)
            let path = parent.isEmpty ? name : parent + "/" + name
            if path == Self.unguardedMark { return obstruction(at: path, of: S_IFREG) }
            return wanted.contains(path) && !listing.isFolder(index) ? obstruction(at: path) : nil
        }
    }

    /// Notes which folders the store's own folder has before the first write.
    private func noteFolders(_ listing: FolderListing) {
        let folders = (0..<listing.count).filter(listing.isFolder).map {
            String(decoding: listing.name($0), as: UTF8.self)
        }
        monitor.locked { if temporaryFolder == nil { foundFolders = Set(folders) } }
    }

    /// Opens the folder `tmp` and makes it if it is missing.
    func temporaries() throws(Errno) -> Descriptor {
        if let known = monitor.locked({ temporaryFolder }) { return known }
        try sharing().makeFolder("tmp", in: root)
        // Nothing has been written yet, so a failure means that the medium lacks the call, not that it lost data.
        let hasSynced = fsync(root.number) == 0
        monitor.locked {
            syncsFolders = hasSynced
            // These names were there before the sync.
            if hasSynced { durableFolders.formUnion(foundFolders) }
        }
        let opened = try Descriptor.open(at: root.number, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        monitor.locked { temporaryFolder = opened }
        return opened
    }

    /// Opens a folder of the store. It follows no link, so everything that is deleted or written lies in this store.
    /// Throws ENOTDIR if a link or a file is in a folder's place.
    ///
    /// - Parameter access: O_RDONLY, or O_PATH if the caller only looks up names in the folder.
    /// - Parameter above: the folder that the path is relative to; nil for the store's own.
    func openFolder(
        _ folder: String, _ access: Int32 = O_RDONLY, in above: Descriptor? = nil
    ) throws(Errno) -> Descriptor {
        var opened = above ?? root
        // Most paths have one component, and splitting costs as much as opening.
        let components =
            folder.utf8.contains(UInt8(ascii: "/"))
            ? folder.split(separator: "/") : [folder.isEmpty ? "." : folder[...]]
        for component in components {
            opened = try Descriptor.open(
                at: opened.number, String(component), access | O_DIRECTORY | O_NOFOLLOW)
        }
        return opened
    }

    /// Opens a folder for listing; nil if it does not exist.
    func openListed(_ folder: String, in above: Descriptor? = nil) throws(Errno) -> Descriptor? {
        do throws(Errno) {
            return try openFolder(folder, in: above)
        } catch {
            // If the store itself is gone, its folders must not seem empty.
            guard error.code == ENOENT, try root.status().st_nlink > 0 else { throw error }
            return nil
        }
    }

    /// Returns the owner, group and modes of new files and folders.
    func sharing() -> Sharing {
        if let known = monitor.locked({ knownSharing }) { return known }
        let sharing = Sharing(root: root)
        monitor.locked { knownSharing = sharing }
        return sharing
    }

    /// Makes the names in a folder durable. It ignores a failure if the medium could not sync folders even before the
    /// first write.
    func synchronize(folder: Descriptor) throws(Errno) {
        do throws(Errno) {
            try folder.synchronizeFolder()
        } catch {
            guard !error.isFull, monitor.locked({ syncsFolders }) == false else { throw error }
        }
    }

    /// Opens the folder of `key`, and makes it and its parents if they are missing. It follows no symbolic link, so
    /// that a file which root writes and gives to another user always lies in the store.
    func openFolder(of key: ObjectKey) throws(StoreError) -> Descriptor {
        let folder = Self.folder(of: key)
        do throws(Errno) {
            if monitor.locked({ existingFolders.contains(folder) }) { return try openFolder(folder) }
            var opened = try openFolder("")
            for path in Self.lineage(folder).dropFirst() {
                let component = Self.lastComponent(of: path)
                if try sharing().makeFolder(component, in: opened) {
                    monitor.locked { _ = durableFolders.remove(path) }
                }
                opened = try Descriptor.open(
                    at: opened.number, component, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            }
            monitor.locked { _ = existingFolders.insert(folder) }
            return opened
        } catch {
            throw failure(error, "make the folder of", key.description, isWriting: true)
        }
    }

    /// Makes the names in the objects' folders durable, each folder once. A folder whose own name may not be durable is
    /// synced together with its parent.
    func synchronizeFolders(_ folders: [ObjectKey: Descriptor]) throws(StoreError) {
        var opened: [String: Descriptor] = [:]
        for (key, descriptor) in folders { opened[Self.folder(of: key)] = descriptor }
        let lineages = Set(opened.keys.flatMap { Self.lineage($0).dropFirst() })
        let fresh = monitor.locked { lineages.subtracting(durableFolders) }
        var path = ""
        do throws(Errno) {
            for parent in Set(fresh.map { Self.parent(of: $0) }) where opened[parent] == nil {
                path = parent
                opened[parent] = try openFolder(parent)
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
