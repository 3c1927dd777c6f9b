// SmallFile: configuration, passwords and lists, read whole up to a limit or replaced whole.

import BakStorage
import CLinux
import Glibc

/// Files that fit into memory.
public enum SmallFile {
    /// Reads a file of at most `limit` bytes. Pipes and devices are read to their end.
    public static func read(path: String, limit: Int) throws(SourceError) -> [UInt8] {
        do throws(Errno) {
            let file = try Descriptor.open(path, O_RDONLY | O_NOCTTY)
            return try readToEnd(file.number, limit)
        } catch {
            throw SourceError(error, "read \(path)")
        }
    }

    /// Reads the standard input to its end, at most `limit` bytes.
    public static func readStandardInput(limit: Int) throws(SourceError) -> [UInt8] {
        do throws(Errno) {
            return try readToEnd(STDIN_FILENO, limit)
        } catch {
            throw SourceError(error, "read the standard input")
        }
    }

    private static func readToEnd(_ descriptor: Int32, _ limit: Int) throws(Errno) -> [UInt8] {
        var result: [UInt8] = []
        let part = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)
        defer { part.deallocate() }
        while true {
            let count = try system { Glibc.read(descriptor, part.baseAddress, part.count) }
            if count == 0 { return result }
            guard result.count + count <= limit else { throw Errno(code: EFBIG) }
            result.append(contentsOf: part[..<count])
        }
    }
}
