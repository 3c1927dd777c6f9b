// Locks: put-if-absent where not even a folder's rename is to be relied upon, as with some drivers of FAT over FUSE.
// What is left there is that of two who make one folder, one is refused. The folder `locks/NAME` is made, the name is
// looked at, given, made durable, and the folder removed.
//
// Always holds: a lock is never broken by time, so that one who was only paused overwrites nothing. One who is killed
// between the two leaves the lock. Then the name cannot be put any more until the user says that no program is running.

import BakStorage
import Glibc

/// Publishes under names that are locked meanwhile.
struct Locks<Folder: ClaimFolder> {
    let folder: Folder
    private let omitted: ClaimRule?

    /// Locks in a folder; a test leaves out a rule.
    init(_ folder: Folder, omitting rule: ClaimRule? = nil) { (self.folder, omitted) = (folder, rule) }

    /// Gives the durable file tmp/`token` the name `key` unless that is taken. The file is gone from `tmp/` when this
    /// returns.
    ///
    /// - Parameter wait: lets some time pass; false to give up, with EBUSY.
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
            // A network may lose the reply to what was done. Nobody else can have done it.
            if try !folder.exists(key) {
                // It must not take the name later. If that cannot be made sure, the lock stays.
                do throws(Errno) {
                    try folder.remove(content)
                } catch {
                    guard error.code == ENOENT else { throw error }
                }
                // Where it was gone it has been removed, or has taken the name since.
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
