// Sharing: decides the owner, group and mode of a store's new files and folders. It copies them from the repository's
// `config`, so that files stored by root or by one member of a group stay usable for the others.
//
// Always holds: owner and mode are set through the new file's descriptor, never by a path, and before the file is
// published. If the medium has no owners or modes, that is not a failure.

import CLinux
import Glibc

/// The owner, group and modes of a store's new files and folders.
struct Sharing: Equatable {
    /// The mode of a new file.
    var fileMode: mode_t = 0o600
    /// The mode of a new folder.
    var folderMode: mode_t = 0o700
    /// The owner that root sets; nil to leave the owner.
    var owner: uid_t?
    /// The group to set; nil for the group of the folder or process.
    var group: gid_t?

    /// Makes the rights of files that only the process's own user may use.
    init() {}

    /// Copies the rights of `config` in the store's folder, or of the folder itself if there is no `config` yet.
    init(root: Descriptor) {
        guard let folder = try? root.status() else { return }
        var model = folder
        var rights: mode_t = folder.st_mode & 0o2020 == 0o2020 ? 0o060 : 0
        if let config = try? linkStatus(at: root.number, "config"), config.format == S_IFREG {
            model = config
            rights = config.st_mode & 0o064
        }
        fileMode |= rights
        // In a folder, a writer needs the right to make names, and a reader the right to look names up.
        if rights & 0o060 == 0o060 {
            folderMode |= 0o2070
        } else if rights & 0o040 != 0 {
            folderMode |= 0o2050
        }
        if rights & 0o004 != 0 { folderMode |= 0o005 }
        if geteuid() == 0 {
            if model.st_uid != 0 { owner = model.st_uid }
            if model.st_gid != getegid() { group = model.st_gid }
        } else if rights & 0o060 != 0, model.st_gid != getegid() {
            group = model.st_gid
        }
    }

    /// Lets the folder's group use the store, and makes new files in the folder belong to that group.
    static func shareWithGroup(_ root: Descriptor) throws(Errno) {
        let mode = try root.status().st_mode & 0o7777
        let wanted = mode | 0o2070
        if mode != wanted {
            let result = fchmod(root.number, wanted)
            let code = errno
            // A medium without modes refuses the change, but may give the group access already.
            guard try root.status().st_mode & 0o070 == 0o070 else {
                throw Errno(code: result == 0 ? ENOTSUP : code)
            }
        }
    }

    /// Sets owner and mode of a file or folder that was just made.
    func apply(to descriptor: Descriptor, isFolder: Bool) {
        if owner != nil || group != nil {
            _ = fchown(descriptor.number, owner ?? uid_t.max, group ?? gid_t.max)
        }
        // Needed for private files, too: the process's umask may have removed the owner's own rights.
        _ = fchmod(descriptor.number, isFolder ? folderMode : fileMode)
    }

    /// Makes a folder in `parent` and returns true. Returns false if it exists; it then stays as it is.
    @discardableResult
    func makeFolder(_ name: String, in parent: Descriptor) throws(Errno) -> Bool {
        if mkdirat(parent.number, name, 0o700) != 0 {
            guard errno == EEXIST else { throw Errno(code: errno) }
            return false
        }
        // With some umasks not even the owner can open the new folder.
        if let made = try? Descriptor.open(at: parent.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) {
            apply(to: made, isFolder: true)
        }
        return true
    }

    /// If root made the file or folder, gives it the owner of its parent. So a cache that root makes in a user's folder
    /// belongs to that user.
    static func inheritOwner(_ descriptor: Descriptor, from parent: Descriptor) {
        guard geteuid() == 0, let status = try? parent.status(), status.st_uid != 0 else { return }
        _ = fchown(descriptor.number, status.st_uid, status.st_gid)
    }
}
