// Sharing: whose a store's new files and folders are, and who else may use them. The mode of the repository's `config`
// is the authority, so that what one member of a group or root stores stays usable for the others.
//
// Always holds: owner and mode are set through the descriptor of what was just made, never by a path, and before the
// file is published. A medium that has neither is no failure.

import CLinux
import Glibc

/// What new files and folders of a store get.
struct Sharing: Equatable {
    /// The mode of a new file.
    var fileMode: mode_t = 0o600
    /// The mode of a new folder.
    var folderMode: mode_t = 0o700
    /// The owner that root gives; nil for one's own.
    var owner: uid_t?
    /// The group that is given; nil for that of the folder or process.
    var group: gid_t?

    /// One's own, for nobody else.
    init() {}

    /// As `config` in the store's folder says, or the folder itself where there is none yet.
    init(root: Descriptor) {
        guard let folder = try? root.status() else { return }
        var model = folder
        var rights: mode_t = folder.st_mode & 0o2020 == 0o2020 ? 0o060 : 0
        if let config = try? linkStatus(at: root.number, "config"), config.format == S_IFREG {
            model = config
            rights = config.st_mode & 0o064
        }
        fileMode |= rights
        // Whoever may write must be able to make names, and whoever may read to look them up.
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

    /// Lets a store's folder be used by its group, and gives what is made in it to that group.
    static func shareWithGroup(_ root: Descriptor) throws(Errno) {
        let mode = try root.status().st_mode & 0o7777
        let wanted = mode | 0o2070
        if mode != wanted {
            let result = fchmod(root.number, wanted)
            let code = errno
            // A medium without modes may let everyone in as it is.
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
        // Also where nobody else may: the mask of the process may have taken away the owner's own rights.
        _ = fchmod(descriptor.number, isFolder ? folderMode : fileMode)
    }

    /// Makes a folder beneath another one. One that is there stays as it is.
    func makeFolder(_ name: String, in parent: Descriptor) throws(Errno) {
        if mkdirat(parent.number, name, 0o700) != 0 {
            guard errno == EEXIST else { throw Errno(code: errno) }
            return
        }
        // The mask may be such that not even the owner can open it.
        if let made = try? Descriptor.open(at: parent.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) {
            apply(to: made, isFolder: true)
        }
    }

    /// Gives a new folder or file the owner of the folder that it lies in, where root makes it: a cache or a folder
    /// above one that belongs to a user stays that user's.
    static func inheritOwner(_ descriptor: Descriptor, from parent: Descriptor) {
        guard geteuid() == 0, let status = try? parent.status(), status.st_uid != 0 else { return }
        _ = fchown(descriptor.number, status.st_uid, status.st_gid)
    }
}
