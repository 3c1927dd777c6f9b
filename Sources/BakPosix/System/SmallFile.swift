// SmallFile: reads small files, such as configuration, passwords and lists, as a whole up to a limit, and replaces them
// as a whole.

import BakCore
import BakStorage
import CLinux
import Glibc

/// Files that fit into memory.
public enum SmallFile {
    /// Reads a file of at most `limit` bytes. Pipes and devices are read to their end, or until `stop` is requested.
    /// Throws `SourceError` if the file cannot be read or is larger.
    public static func read(
        path: String, limit: Int, stop: StopSignal = .never
    ) throws(SourceError) -> [UInt8] {
        try read(path: Array(path.utf8), limit: limit, stop: stop)
    }

    /// Reads a file as the other `read` does. The path need not be valid text. Throws `SourceError` if the file cannot
    /// be read or is larger.
    public static func read(
        path: [UInt8], limit: Int, stop: StopSignal = .never
    ) throws(SourceError) -> [UInt8] {
        do throws(Errno) {
            guard !path.contains(0) else { throw Errno(code: ENOENT) }
            let file = try withCPath(path) { path throws(Errno) in
                // Opening a pipe would wait for its writer. `readToEnd` waits instead, because a signal can end its
                // wait.
                try Descriptor.open(at: AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK)
            }
            return try readToEnd(file.number, limit, waiting: stop)
        } catch {
            throw SourceError(error, "read \(String(decoding: path, as: UTF8.self))")
        }
    }

    /// Reads a file of at most `limit` bytes that the user did not name. It refuses a pipe or device in the file's
    /// place, because a read might wait for a writer forever. Throws `SourceError` if the file is not regular, cannot
    /// be read or is larger.
    public static func readRegular(path: String, limit: Int) throws(SourceError) -> [UInt8] {
        do throws(Errno) {
            let file = try Descriptor.open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK)
            switch try file.status().format {
            case S_IFREG: return try readToEnd(file.number, limit)
            case S_IFDIR: throw Errno(code: EISDIR)
            default: break
            }
        } catch {
            throw SourceError(error, "read \(path)")
        }
        throw SourceError(operation: "read \(path)", message: "it is not a regular file")
    }

    /// Reads at most the first `count` bytes of a file. Throws `SourceError` if the file cannot be read.
    public static func readStart(path: String, count: Int) throws(SourceError) -> [UInt8] {
        do throws(Errno) {
            let file = try Descriptor.open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK)
            // Memory that the read does not fill stays untouched. Most such files are far smaller than `count`.
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
            defer { buffer.deallocate() }
            let filled = try system { Glibc.read(file.number, buffer.baseAddress, count) }
            return Array(buffer[..<filled])
        } catch {
            throw SourceError(error, "read \(path)")
        }
    }

    /// Reads the standard input to its end, at most `limit` bytes.
    ///
    /// Throws `SourceError` if it cannot be read or is longer, and soon after `stop` is requested.
    public static func readStandardInput(
        limit: Int, stop: StopSignal
    ) throws(SourceError) -> [UInt8] {
        do throws(Errno) {
            return try readToEnd(STDIN_FILENO, limit, waiting: stop)
        } catch {
            throw SourceError(error, "read the standard input")
        }
    }

    /// Throws `SourceError` unless `replace` could begin here: the folder exists and is writable, and the name is free
    /// or a regular file's.
    public static func expectReplaceable(path: String) throws(SourceError) {
        do throws(Errno) {
            let (folder, name) = Folders.split(path)
            var status = Glibc.stat()
            if lstat(path, &status) == 0, status.format != S_IFREG { throw Errno(code: EEXIST) }
            if name.isEmpty { throw Errno(code: EISDIR) }
            try system { access(folder, W_OK | X_OK) }
        } catch {
            throw SourceError(error, "write \(path)")
        }
    }

    /// Writes a file, or replaces a regular one. A reader sees either all of the old content or all of the new. Throws
    /// `SourceError` if the file is not regular or cannot be written.
    public static func replace(path: String, _ bytes: [UInt8]) throws(SourceError) {
        try expectReplaceable(path: path)
        do throws(Errno) {
            let (folderPath, name) = Folders.split(path)
            let folder = try Descriptor.open(folderPath, O_RDONLY | O_DIRECTORY)
            let (temporary, file) = try Temporary.create(in: folder.number, mode: 0o666)
            do throws(Errno) {
                try bytes.withUnsafeBytes { bytes in
                    Result { () throws(Errno) in try writeAll(file.number, bytes) }
                }.get()
                try file.close()
                try system { renameat(folder.number, temporary, folder.number, name) }
            } catch {
                unlinkat(folder.number, temporary, 0)
                throw error
            }
        } catch {
            throw SourceError(error, "write \(path)")
        }
    }

    /// Makes the file's folder if it is missing, for this user only, then replaces the file as `replace` does. Throws
    /// `SourceError` if the folder cannot be made, and as `replace` does.
    public static func replaceMakingFolder(path: String, _ bytes: [UInt8]) throws(SourceError) {
        do throws(Errno) {
            try Folders.create(Folders.split(path).folder, mode: 0o700, durably: false)
        } catch {
            throw SourceError(error, "write \(path)")
        }
        try replace(path: path, bytes)
    }

    private static func readToEnd(
        _ descriptor: Int32, _ limit: Int, waiting stop: StopSignal = .never
    ) throws(Errno) -> [UInt8] {
        var result: [UInt8] = []
        let part = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)
        defer { part.deallocate() }
        while true {
            // Poll in short steps, so that a signal to stop is noticed within a fraction of a second.
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            while poll(&wait, 1, 200) <= 0 { if stop.isRequested { throw Errno(code: ECANCELED) } }
            let count: Int
            do throws(Errno) {
                count = try system { Glibc.read(descriptor, part.baseAddress, part.count) }
            } catch {
                if error.code == EAGAIN { continue }
                throw error
            }
            if count == 0 { return result }
            guard result.count + count <= limit else { throw Errno(code: EFBIG) }
            result.append(contentsOf: part[..<count])
        }
    }
}
