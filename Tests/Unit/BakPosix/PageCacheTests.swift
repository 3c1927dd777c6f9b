// A backup leaves the page cache as it found it.

import BakCore
import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct PageCacheTests {
        let scratch = Scratch()

        /// Returns the number of a file's pages that are in memory.
        private func residentPages(_ name: String) -> Int {
            let file = open(scratch[name], O_RDWR)
            defer { close(file) }
            var status = Glibc.stat()
            fstat(file, &status)
            let count = Int(status.st_size)
            let start = mmap(nil, count, PROT_READ, MAP_SHARED, file, 0)!
            defer { munmap(start, count) }
            var pages = [UInt8](repeating: 0, count: (count + 4095) / 4096)
            mincore(start, count, &pages)
            return pages.count { $0 & 1 != 0 }
        }

        /// Reads a file as a backup does, in pieces that end in the middle of pages.
        private func readWhole(_ name: String) throws {
            let tree = try FileTree(roots: [scratch.bytes(name)])
            let file = try tree.open(tree.roots[0])
            defer { file.close() }
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 700_001, alignment: 16)
            defer { buffer.deallocate() }
            var offset: UInt64 = 0
            while case let count = try file.read(into: buffer, at: offset), count > 0 {
                offset += UInt64(count)
            }
            #expect(offset == 5 << 20)
        }

        @Test func whatWasNotInMemoryIsNotAfterwardsAndWhatWasStays() throws {
            scratch.write("f", String(repeating: "0123456789abcdef", count: 5 << 16))
            let file = open(scratch["f"], O_RDONLY)
            fsync(file)
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
            close(file)
            // The test is skipped if the file system is in memory (tmpfs), because pages cannot be dropped there.
            guard residentPages("f") == 0 else { try Test.cancel("\(scratch.path) lies in memory alone") }
            try readWhole("f")
            #expect(residentPages("f") == 0)
            _ = scratch.read("f")
            let before = residentPages("f")
            #expect(before > 0)
            try readWhole("f")
            #expect(residentPages("f") >= before)
        }
    }
}
