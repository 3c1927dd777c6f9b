// LocalStore+Reserve: keeps a little space for the objects that must be written before a user can free space. A full
// disk refuses even the marker that forgets a snapshot. So a repository contains some files of random bytes, the
// reserve. When the disk is full, the store removes them one by one until such an object fits. It writes them again
// when there is space. Listings do not show them.

import BakCore
import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// The folder that holds the reserve.
    static let reserveFolder = "reserve"
    /// The number of files in the reserve. A disk may run out of inodes, too.
    static let reserveFiles = 16
    /// The size of each file.
    static let reserveFileBytes = 64 << 10
    /// Btrfs keeps metadata and content in separate areas, and one may be full when the other is not. There, each file
    /// of the reserve therefore also has attributes of random bytes, which lie in the area for metadata, as names do.
    /// They take some MiB together, because Btrfs adds a name only while some MiB of that area are free.
    private static let typeWithRoomForNames = 0x9123_683e
    private static let (reserveAttributes, reserveAttributeBytes) = (68, 3800)
    /// The reserve takes at most the free space divided by this number.
    private static let reserveShare: UInt64 = 16

    /// Puts the object. While the disk is full, removes a file of the reserve and puts again. Throws as `put` does.
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

    /// Removes one file of the reserve. False if none is left.
    private func giveUpReserve() -> Bool {
        guard let folder = try? openListed(Self.reserveFolder),
            let listing = try? FolderListing(folder.number)
        else { return false }
        for index in (0..<listing.count).reversed() {
            let isGone = listing.withName(index) { unlinkat(folder.number, $0, 0) == 0 }
            guard isGone else { continue }
            // Sync, because some file systems free the space only when they commit the removal.
            _ = syncfs(folder.number)
            return true
        }
        return false
    }

    /// Writes the missing files of the reserve, as many as there is space for.
    public func renewReserve() {
        guard (try? sharing().makeFolder(Self.reserveFolder, in: root)) != nil,
            let folder = try? openListed(Self.reserveFolder)
        else { return }
        var system = statfs()
        var most = Self.reserveFiles
        var attributes = 0
        // A file system that does not know its size reports zero blocks.
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

    /// Makes a file of the reserve, or completes one that a stopped program or an older version left incomplete.
    private func fill(_ name: String, in folder: Descriptor, attributes: Int) throws(Errno) {
        let file = try Descriptor.open(
            at: folder.number, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
        // Never write noise to a device or a FIFO.
        let status = try file.status()
        guard status.format == S_IFREG else { throw Errno(code: EEXIST) }
        let hasBytes = status.st_size >= Self.reserveFileBytes
        let last = Self.attribute(attributes - 1)
        let hasAttributes = attributes == 0 || fgetxattr(file.number, last, nil, 0) >= 0
        if hasBytes, hasAttributes { return }
        sharing().apply(to: file, isFolder: false)
        do throws(Errno) {
            // A file system that compresses would store zeros in no space.
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
