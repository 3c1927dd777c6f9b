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
    /// Btrfs keeps names and content apart: where there is room for the one there may be none for the other. There each
    /// file has attributes of noise, too, which lie where names do. A name is given only while some MiB are free for
    /// it, far more than it takes.
    private static let typeWithRoomForNames = 0x9123_683e
    private static let (reserveAttributes, reserveAttributeBytes) = (68, 3800)
    /// The reserve takes at most this part of what is free.
    private static let reserveShare: UInt64 = 16

    /// Puts; where the disk is full, removes the reserve and puts again. Throws as `put` does.
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

    /// Writes the reserve again where there is room for it.
    public func renewReserve() {
        guard (try? sharing().makeFolder(Self.reserveFolder, in: root)) != nil,
            let folder = try? openListed(Self.reserveFolder)
        else { return }
        var system = statfs()
        var most = Self.reserveFiles
        var attributes = 0
        // A file system that knows no sizes says so by zeros.
        if fstatfs(root.number, &system) == 0, system.f_blocks > 0 {
            if system.f_type == Self.typeWithRoomForNames { attributes = Self.reserveAttributes }
            let free = UInt64(system.f_bavail).multipliedReportingOverflow(by: UInt64(max(system.f_bsize, 1)))
            let share = free.overflow ? .max : free.partialValue / Self.reserveShare
            most = Int(min(UInt64(most), share / UInt64(Self.reserveFileBytes)))
        }
        for number in 0..<most {
            guard (try? fill(String(number), in: folder, attributes: attributes)) != nil else { return }
        }
    }

    /// Makes a file of the reserve, or what a stopped program or an older one left out of it.
    private func fill(_ name: String, in folder: Descriptor, attributes: Int) throws(Errno) {
        let file = try Descriptor.open(
            at: folder.number, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
        // Noise goes into no device and no FIFO.
        let status = try file.status()
        guard status.format == S_IFREG else { throw Errno(code: EEXIST) }
        let hasBytes = status.st_size >= Self.reserveFileBytes
        let last = Self.attribute(attributes - 1)
        let hasAttributes = attributes == 0 || fgetxattr(file.number, last, nil, 0) >= 0
        if hasBytes, hasAttributes { return }
        sharing().apply(to: file, isFolder: false)
        do throws(Errno) {
            // Zeros would take no room where they are compressed away.
            var noise = [UInt8](repeating: 0, count: Self.reserveFileBytes)
            noise.withUnsafeMutableBytes { SystemRandom().fill($0) }
            if !hasBytes {
                try noise.withUnsafeBytes { bytes in
                    Result { () throws(Errno) in try writeAll(file.number, bytes, at: 0) }
                }.get()
            }
            for number in 0..<(hasAttributes ? 0 : attributes) {
                try system {
                    fsetxattr(file.number, Self.attribute(number), noise, Self.reserveAttributeBytes, 0)
                }
            }
            try file.close()
        } catch {
            unlinkat(folder.number, name, 0)
            throw error
        }
    }

    private static func attribute(_ number: Int) -> String { "user.bakstore.\(number)" }
}
