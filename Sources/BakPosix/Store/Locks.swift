// Locks: put-if-absent on media where not even the rename of a folder is reliable, such as some FAT drivers over FUSE.
// Such media still refuse to make a folder that exists. A writer makes the folder `locks/NAME`, checks that NAME is
// free, gives its file the name, makes the name durable, and removes the folder.
//
// Always holds: a lock never expires, so a writer that was only paused overwrites nothing. A writer that is killed
// before it removes the folder leaves its lock. Then no writer can put that name until the user says that no program is
// running.

import BakStorage
import Glibc

/// Publishes a file under a name that it locks while it does so.
struct Locks<Folder: ClaimFolder> {
    let folder: Folder
    private let omitted: ClaimRule?

    /// Prepares locks in a folder. Tests may leave out a rule.
    init(_ folder: Folder, omitting rule: ClaimRule? = nil) { (self.folder, omitted) = (folder, rule) }

    /// Gives the durable file tmp/`token` the name `key` unless the name is taken. The file is gone from `tmp/` when
    /// this returns.
    ///
    /// - Parameter wait: lets some time pass, or returns false to give up with EBUSY.
    func publish(_ token: String, as key: String, wait: () -> Bool) throws(Errno) -> NamingResult {
        let (lock, content) = (ClaimNames.lock(on: key), ClaimNames.content(token))
        while true {
            if try folder.exists(key) {
                try? folder.remove(content)
                return .taken
            }
            if omitted == .claimFirst { break }
            do throws(Errno) {
                try folder.makeFolder(lock)
                break
            } catch {
                let isLocked = error.code == EEXIST ? true : try folder.exists(lock)
                guard isLocked else { throw error }
                guard wait() else { throw Errno(code: EBUSY) }
            }
        }
        if omitted != .lookAgain, try folder.exists(key) {
            try? folder.remove(content)
            try? folder.removeFolder(lock)
            return .taken
        }
        do throws(Errno) {
            try folder.rename(content, to: key)
        } catch {
            // A network may lose the reply to a rename that succeeded. If the name is taken now, this rename took it,
            // because no other writer can while the lock exists.
            if try !folder.exists(key) {
                // The rename may still succeed late, when the lock is gone. So remove the content first. If that fails,
                // the lock stays.
                do throws(Errno) {
                    try folder.remove(content)
                } catch {
                    guard error.code == ENOENT else { throw error }
                }
                // If the content was gone already, either another program removed it or the rename has just taken the
                // name.
                guard try folder.exists(key) else {
                    try? folder.removeFolder(lock)
                    throw error
                }
            }
        }
        try folder.makeDurable(key, without: token)
        try? folder.removeFolder(lock)
        return .named
    }
}
