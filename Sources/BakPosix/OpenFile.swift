// OpenFile: a regular file of the source, open for reading.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A file that `FileTree` opened. Its access time stays as it was where the system allows that.
final class OpenFile: SourceFile {
    private var file: Descriptor?
    private let tree: FileTree

    init(_ file: Descriptor, size: off_t, of tree: FileTree) {
        self.file = file
        self.tree = tree
        // For a small file the calls cost more than they gain.
        guard size >= 1 << 20 else { return }
        posix_fadvise(file.number, 0, 0, POSIX_FADV_SEQUENTIAL)
        // A backup's reads must not push out of memory what the machine's user works with.
        posix_fadvise(file.number, 0, 0, POSIX_FADV_NOREUSE)
    }

    func stat() throws(SourceError) -> FileStat {
        do throws(Errno) {
            guard let stat = FileStat(try fileStatus(try number)) else { throw Errno(code: EINVAL) }
            return stat
        } catch {
            throw SourceError(error, "look up")
        }
    }

    func attributes() throws(SourceError) -> FileAttributes {
        let stat = try stat()
        let holder = AttributeHolder(file!.number, isPathOnly: false)
        return try tree.attributes(holder, uid: stat.uid, gid: stat.gid)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        do throws(Errno) {
            return try readAll(try number, buffer, at: offset)
        } catch {
            throw SourceError(error, "read")
        }
    }

    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
        guard offset < size else { return nil }
        do throws(Errno) {
            let number = try number
            let start = UInt64(try system { lseek(number, off_t(offset), linux_SEEK_DATA.flag) })
            guard start < size else { return nil }
            let end = UInt64(try system { lseek(number, off_t(start), linux_SEEK_HOLE.flag) })
            // A file that shrank in between may answer an end before the start.
            return end > start ? start..<min(end, size) : nil
        } catch {
            switch error.code {
            case ENXIO: return nil
            // A file system without holes: all of it is data.
            case EINVAL, EOPNOTSUPP: return offset..<size
            default: throw SourceError(error, "look for data")
            }
        }
    }

    func close() { file = nil }

    private var number: Int32 {
        get throws(Errno) {
            guard let file else { throw Errno(code: EBADF) }
            return file.number
        }
    }
}
