// Temporary: files that are written beside their final place and renamed. Their names begin with
// `prefix` and end in 32 random hexadecimal digits; nothing of another name is ever swept away.

import BakCore
import CLinux
import Glibc

enum Temporary {
    /// What a temporary's name begins with. The dot keeps it from being an object's key.
    static let prefix = ".bakstore-"

    /// A fresh name.
    static func name() -> String { prefix + ID128(from: SystemRandom()).description }

    /// Whether `name` has the form that `name()` gives.
    static func isTemporary(_ name: ArraySlice<UInt8>) -> Bool {
        name.starts(with: prefix.utf8)
            && ID128(String(decoding: name.dropFirst(prefix.utf8.count), as: UTF8.self)) != nil
    }

    /// Makes a new file in `folder` for writing.
    static func create(in folder: Int32, mode: mode_t = 0o600) throws(Errno) -> (String, Descriptor) {
        while true {
            let name = name()
            do throws(Errno) {
                return (
                    name,
                    try Descriptor.open(
                        at: folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
                )
            } catch {
                guard error.code == EEXIST else { throw error }
            }
        }
    }

    /// Removes the temporaries in the folder that were last written more than `seconds` ago, by the
    /// system's clock. Returns how many there were.
    static func sweep(_ folder: Int32, olderThanSeconds seconds: Int64) throws(Errno) -> Int {
        let listing = try FolderListing(folder)
        let oldest = SystemTime().now().seconds - seconds
        var removed = 0
        for index in 0..<listing.count where isTemporary(listing.name(index)) {
            removed += listing.withName(index) { name in
                guard let status = try? linkStatus(at: folder, name),
                    Int64(status.st_mtim.tv_sec) < oldest
                else { return 0 }
                switch status.format {
                case S_IFREG: return unlinkat(folder, name, 0) == 0 ? 1 : 0
                case S_IFDIR: return removeFolder(name, in: folder) ? 1 : 0
                default: return 0
                }
            }
        }
        return removed
    }

    /// Removes a folder of temporaries that was to become a claim. It is taken first: its maker, were it still there,
    /// must not publish what is half removed.
    private static func removeFolder(_ path: UnsafePointer<CChar>, in folder: Int32) -> Bool {
        let taken = name()
        guard renameat(folder, path, folder, taken) == 0,
            let opened = try? Descriptor.open(at: folder, taken, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            let listing = try? FolderListing(opened.number)
        else { return false }
        for index in 0..<listing.count where isTemporary(listing.name(index)) {
            listing.withName(index) { _ = unlinkat(opened.number, $0, 0) }
        }
        return unlinkat(folder, taken, AT_REMOVEDIR) == 0
    }
}
