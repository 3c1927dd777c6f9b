// Temporary: files that are written under a temporary name and renamed. The name is `prefix` and 32 hexadecimal digits.
// In a file of a session, the first 16 digits are those of the session's id and the other 16 are random. In any other
// file all are random. A sweep removes no file with another name, and no file of a living session.

import BakCore
import BakStorage
import CLinux
import Glibc

enum Temporary {
    /// The beginning of a temporary's name. The dot keeps it from being an object's key.
    static let prefix = ".bakstore-"

    /// Returns a fresh name.
    static func name() -> String { prefix + ID128(from: SystemRandom()).description }

    /// Returns a fresh name for a file of a session.
    static func name(of session: ID128?) -> String {
        guard let session else { return name() }
        return prefix + tag(of: session) + ID128(from: SystemRandom()).description.suffix(tagLength)
    }

    /// The part of a temporary's name that identifies the session. Such names are as long as all others, so every
    /// version recognises them.
    private static func tag(of session: ID128) -> Substring { session.description.prefix(tagLength) }
    private static let tagLength = 16

    /// True if `name` is the name of a temporary.
    static func isTemporary(_ name: ArraySlice<UInt8>) -> Bool {
        name.starts(with: prefix.utf8)
            && ID128(String(decoding: name.dropFirst(prefix.utf8.count), as: UTF8.self)) != nil
    }

    /// Makes a new file in `folder` for writing.
    static func create(
        in folder: Int32, mode: mode_t = 0o600, of session: ID128? = nil
    ) throws(Errno) -> (String, Descriptor) {
        while true {
            let name = name(of: session)
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

    /// Returns the time by the clock that gives the folder's files their times. A server's clock may differ from this
    /// machine's.
    static func mediumSeconds(_ folder: Int32) throws(Errno) -> Int64 {
        let (name, file) = try create(in: folder)
        defer { unlinkat(folder, name, 0) }
        return Int64(try file.status().st_mtim.tv_sec)
    }

    /// Removes the temporaries in the folder that were last written more than `seconds` ago by the medium's clock.
    /// Returns how many it removed.
    ///
    /// - Parameter living: returns the sessions whose temporaries stay, however old. The sweep calls it after it has
    ///   listed the folder. A session is in the store before its first temporary is made, so a session that begins
    ///   after the listing loses nothing.
    static func sweep(
        _ folder: Int32, olderThanSeconds seconds: Int64,
        living: () throws(StoreError) -> Set<ID128> = { () throws(StoreError) in [] }
    ) throws(StoreError) -> Int {
        let (listing, oldest): (FolderListing, Int64)
        do throws(Errno) {
            listing = try FolderListing(folder)
            guard (0..<listing.count).contains(where: { isTemporary(listing.name($0)) }) else { return 0 }
            oldest = try mediumSeconds(folder) - seconds
        } catch {
            throw StoreError(error, "tidy", "tmp")
        }
        let kept = Set(try living().map { String(tag(of: $0)) })
        var removed = 0
        for index in 0..<listing.count where isTemporary(listing.name(index)) {
            let digits = listing.name(index).dropFirst(prefix.utf8.count)
            if kept.contains(String(decoding: digits.prefix(tagLength), as: UTF8.self)) { continue }
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

    /// Removes a folder that was to become a claim. It renames the folder first, so that a maker that still runs cannot
    /// turn a half-removed folder into a claim.
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
