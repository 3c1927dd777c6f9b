// PageCache: keeps a backup's reads from displacing the pages that other programs use.
//
// Always holds: pages that were in memory before a file was opened stay there.

import Glibc

enum PageCache {
    /// For smaller files the calls cost more than they gain.
    static let smallestFile: UInt64 = 1 << 20

    /// How many bytes of a file's beginning tell whether the file is in memory.
    private static let sampleBytes: UInt64 = 1 << 20

    /// True if any page of a file's beginning is in memory, or if the system does not tell.
    static func holdsBeginning(of file: Int32, size: UInt64) -> Bool {
        let count = Int(min(size, sampleBytes))
        guard count > 0, let start = mmap(nil, count, PROT_READ, MAP_SHARED, file, 0), start != MAP_FAILED
        else {
            return true
        }
        defer { munmap(start, count) }
        let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
        var isResident = [UInt8](repeating: 0, count: (count + pageBytes - 1) / pageBytes)
        // For a process that may not write to the file, mincore reports every page as in memory.
        guard mincore(start, count, &isResident) == 0 else { return true }
        return isResident.contains { $0 & 1 != 0 }
    }

    /// Drops `count` bytes of a file's pages from `offset` on, or all of them if the count is 0. Pages that are not yet
    /// on the medium, or that other programs have mapped, stay.
    static func drop(_ file: Int32, from offset: UInt64 = 0, count: Int = 0) {
        posix_fadvise(file, off_t(offset), off_t(count), POSIX_FADV_DONTNEED)
    }
}
