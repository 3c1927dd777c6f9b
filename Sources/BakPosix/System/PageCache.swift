// PageCache: keeps a backup's reads from pushing out of memory what the machine's user works with.
//
// Always holds: pages that were in memory before a file was opened stay there.

import Glibc

enum PageCache {
    /// Below this the calls cost more than they gain.
    static let smallestFile: UInt64 = 1 << 20

    /// How much of a file's beginning tells whether the file is in memory, in bytes.
    private static let sampleBytes: UInt64 = 1 << 20

    /// Whether any of a file's beginning is in memory; yes where the system does not tell.
    static func holdsBeginning(of file: Int32, size: UInt64) -> Bool {
        let count = Int(min(size, sampleBytes))
        guard count > 0, let start = mmap(nil, count, PROT_READ, MAP_SHARED, file, 0), start != MAP_FAILED
        else {
            return true
        }
        defer { munmap(start, count) }
        let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
        var isResident = [UInt8](repeating: 0, count: (count + pageBytes - 1) / pageBytes)
        // A process that may not write to the file is told that all of it is.
        guard mincore(start, count, &isResident) == 0 else { return true }
        return isResident.contains { $0 & 1 != 0 }
    }

    /// Lets go of a file's pages from `offset` on, all of them for a count of 0; those that are not yet on the
    /// medium, or that others have mapped, stay.
    static func drop(_ file: Int32, from offset: UInt64 = 0, count: Int = 0) {
        posix_fadvise(file, off_t(offset), off_t(count), POSIX_FADV_DONTNEED)
    }
}
