// Folders: makes a folder and its missing parents.

import CLinux
import Glibc

enum Folders {
    /// Makes the folder at `path` and its missing parents. If `durably`, syncs the parent of each new folder. An
    /// existing folder, or a symbolic link to one, stays as it is.
    static func create(_ path: String, mode: mode_t, durably: Bool) throws(Errno) {
        var parent = path.hasPrefix("/") ? "/" : "."
        for component in path.split(separator: "/") where component != "." {
            let folder = parent + "/" + component
            if !isFolder(folder) {
                let above = try? Descriptor.open(parent, O_RDONLY | O_DIRECTORY)
                // Try a sync before making the folder. If that fails, the medium cannot sync folders, so do not try
                // later.
                let syncs = durably && above.map { fsync($0.number) == 0 } == true
                if mkdir(folder, mode) == 0 {
                    if let above { inheritOwner(folder, above) }
                    if syncs { try above?.synchronizeFolder() }
                } else {
                    let code = errno
                    // If the parent is read-only or another user's, `mkdir` fails with EROFS or EACCES even if the
                    // folder exists.
                    guard isFolder(folder) else { throw Errno(code: code == EEXIST ? ENOTDIR : code) }
                }
            }
            parent = folder
        }
    }

    /// Splits a path into its folder and its name there.
    static func split(_ path: String) -> (folder: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        let folder = slash == path.startIndex ? "/" : String(path[..<slash])
        return (folder, String(path[path.index(after: slash)...]))
    }

    /// Gives a folder that root made in a user's folder to that user.
    private static func inheritOwner(_ folder: String, _ above: Descriptor) {
        if let made = try? Descriptor.open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) {
            Sharing.inheritOwner(made, from: above)
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.format == S_IFDIR
    }
}
