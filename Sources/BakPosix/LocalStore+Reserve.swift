// Reserve: a little room that is kept for what must be written before room can be made. A full disk refuses even the
// mark by which a snapshot is forgotten; so a repository holds some files of noise that are given up, one by one, for
// such small objects, and set aside again when there is room. Whatever lists objects does not see them.

import BakCore
import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// The folder of what is kept.
    static let reserveFolder = "reserve"
    /// So many files, since a disk may run out of them, too.
    static let reserveFiles = 16
    /// Each of so many bytes.
    static let reserveFileBytes = 64 << 10
    /// The reserve takes at most this part of what is free.
    private static let reserveShare: UInt64 = 16

    public func putFromReserve(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        while true {
            do throws(StoreError) {
                return try put(key, bytes)
            } catch {
                guard error.kind == .full, giveUpReserve() else { throw error }
            }
        }
    }

    /// Removes one file of the reserve; false when there is none left.
    private func giveUpReserve() -> Bool {
        guard let folder = try? openListed(Self.reserveFolder),
            let listing = try? FolderListing(folder.number)
        else { return false }
        for index in (0..<listing.count).reversed() {
            let isGone = listing.withName(index) { unlinkat(folder.number, $0, 0) == 0 }
            guard isGone else { continue }
            // Some file systems give room back only when they have written down that it is free.
            _ = syncfs(folder.number)
            return true
        }
        return false
    }

    public func renewReserve() {
        guard (try? sharing().makeFolder(Self.reserveFolder, in: root)) != nil,
            let folder = try? openListed(Self.reserveFolder),
            let listing = try? FolderListing(folder.number), listing.count < Self.reserveFiles
        else { return }
        var system = statfs()
        var most = Self.reserveFiles
        // A file system that knows no sizes says so by zeros.
        if fstatfs(root.number, &system) == 0, system.f_blocks > 0 {
            let free = UInt64(system.f_bavail).multipliedReportingOverflow(by: UInt64(max(system.f_bsize, 1)))
            let share = free.overflow ? .max : free.partialValue / Self.reserveShare
            most = Int(min(UInt64(most), share / UInt64(Self.reserveFileBytes)))
        }
        var noise = [UInt8](repeating: 0, count: Self.reserveFileBytes)
        for number in 0..<most {
            let name = String(number)
            do throws(Errno) {
                let file = try Descriptor.open(
                    at: folder.number, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
                sharing().apply(to: file, isFolder: false)
                // Zeros would take no room where they are compressed away.
                noise.withUnsafeMutableBytes { SystemRandom().fill($0) }
                do throws(Errno) {
                    try noise.withUnsafeBytes { bytes in
                        Result { () throws(Errno) in try writeAll(file.number, bytes) }
                    }.get()
                    try file.close()
                } catch {
                    unlinkat(folder.number, name, 0)
                    return
                }
            } catch {
                guard error.code == EEXIST else { return }
            }
        }
    }
}
