// OpenFile: a regular file of the source that is open for reading.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A file that `FileTree` opened. Its access time stays the same if the system allows that.
final class OpenFile: SourceFile {
    private var file: Descriptor?
    private let tree: FileTree
    private let path: [UInt8]
    /// The size of the file when it was opened.
    private let size: UInt64
    /// True if the file was not in memory before, so its pages may be dropped.
    private let dropsPages: Bool
    /// The stat from the opening, for the first call of `stat`.
    private var opening: FileStat?

    /// Takes over a regular file that was just opened and had this stat.
    init(_ file: Descriptor, _ path: [UInt8], _ opening: FileStat, of tree: FileTree) {
        self.file = file
        self.path = path
        size = opening.size
        self.opening = opening
        self.tree = tree
        let isLarge = opening.size >= PageCache.smallestFile
        dropsPages = isLarge && !PageCache.holdsBeginning(of: file.number, size: opening.size)
        if isLarge { posix_fadvise(file.number, 0, 0, POSIX_FADV_SEQUENTIAL) }
    }

    func stat() throws(SourceError) -> FileStat {
        if let opening = opening.take() { return opening }
        do throws(Errno) {
            guard let stat = FileStat(try fileStatus(try number)) else { throw Errno(code: EINVAL) }
            return stat
        } catch {
            throw SourceError(error, "look up")
        }
    }

    func attributes(_ stat: FileStat) throws(SourceError) -> FileAttributes {
        let holder: AttributeHolder
        do throws(Errno) {
            holder = AttributeHolder(try number, isPathOnly: false)
        } catch {
            throw SourceError(error, "read the extended attributes")
        }
        return try tree.attributes(holder, path, stat)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        do throws(Errno) {
            let number = try number
            let count = try readAll(number, buffer, at: offset, expectedEnd: size)
            if dropsPages { PageCache.drop(number, from: offset, count: count) }
            return count
        } catch {
            throw SourceError(error, "read")
        }
    }

    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
        guard offset < size else { return nil }
        do throws(Errno) {
            let number = try number
            // FUSE may return an offset that lies before the requested one.
            let start = max(
                offset, UInt64(try system { lseek(number, off_t(offset), linux_SEEK_DATA.flag) }))
            guard start < size else { return nil }
            let end = UInt64(try system { lseek(number, off_t(start), linux_SEEK_HOLE.flag) })
            // If the file shrank in between, the end may lie before the start.
            return end > start ? start..<min(end, size) : nil
        } catch {
            switch error.code {
            case ENXIO: return nil
            // The file system has no holes: all of the file is data.
            case EINVAL, EOPNOTSUPP: return offset..<size
            default: throw SourceError(error, "look for data")
            }
        }
    }

    func close() {
        // `read` drops only the pages of its own range. Drop all others, which the system read ahead or two reads
        // shared.
        if dropsPages, let file { PageCache.drop(file.number) }
        file = nil
    }

    private var number: Int32 {
        get throws(Errno) {
            guard let file else { throw Errno(code: EBADF) }
            return file.number
        }
    }
}
