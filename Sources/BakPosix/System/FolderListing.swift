// FolderListing: the names in a folder, read with getdents64 into one buffer. A listing has all names of the folder but
// "." and ".."; if they cannot all be read, it throws.

import CLinux
import Glibc

/// The names of a folder's entries in one block of memory, each with a NUL after it.
struct FolderListing {
    /// The place of a name in `bytes`.
    private struct Span {
        var start: Int
        var count: Int
        /// True if the listing itself says that the entry is not a folder.
        var isNoFolder: Bool
        /// True if the listing itself says that the entry is a folder.
        var isFolder: Bool
    }

    private var bytes: [UInt8] = []
    private var spans: [Span] = []

    /// The number of names.
    var count: Int { spans.count }

    /// Makes a listing without names.
    init() {}

    /// Lists the folder that is open as `descriptor`, from the descriptor's position on.
    init(_ descriptor: Int32) throws(Errno) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            let filled = try system { getdents64(descriptor, buffer.baseAddress, buffer.count) }
            if filled == 0 { return }
            appendRecords(UnsafeRawBufferPointer(rebasing: buffer[..<filled]))
        }
    }

    /// Adds the names in `struct linux_dirent64` records: inode (8 bytes), offset (8), record length (2), type (1),
    /// name with NUL.
    private mutating func appendRecords(_ records: UnsafeRawBufferPointer) {
        var position = 0
        while position < records.count {
            let length = Int(records.loadUnaligned(fromByteOffset: position + 16, as: UInt16.self))
            let type = records[position + 18]
            let name = records.baseAddress! + position + 19
            position += length
            let count = strlen(name.assumingMemoryBound(to: CChar.self))
            let slice = UnsafeRawBufferPointer(start: name, count: count)
            if slice.elementsEqual(".".utf8) || slice.elementsEqual("..".utf8) { continue }
            let isFolder = type == UInt8(DT_DIR)
            append(slice, isNoFolder: type != UInt8(DT_UNKNOWN) && !isFolder, isFolder: isFolder)
        }
    }

    /// Adds a name.
    mutating func append(_ name: some Collection<UInt8>, isNoFolder: Bool = false, isFolder: Bool = false) {
        spans.append(
            Span(start: bytes.count, count: name.count, isNoFolder: isNoFolder, isFolder: isFolder))
        bytes.append(contentsOf: name)
        bytes.append(0)
    }

    /// Sorts the names bytewise.
    mutating func sort() {
        bytes.withUnsafeBufferPointer { all in
            let base = all.baseAddress
            spans.sort { left, right in
                let order = memcmp(base! + left.start, base! + right.start, min(left.count, right.count))
                return order != 0 ? order < 0 : left.count < right.count
            }
        }
    }

    /// True if the listing says that the entry is not a folder. Not every file system reports the type.
    func isNoFolder(_ index: Int) -> Bool { spans[index].isNoFolder }

    /// True if the listing says that the entry is a folder. Not every file system reports the type.
    func isFolder(_ index: Int) -> Bool { spans[index].isFolder }

    /// The bytes of a name.
    func name(_ index: Int) -> ArraySlice<UInt8> {
        let span = spans[index]
        return bytes[span.start..<span.start + span.count]
    }

    /// Lends a name with the NUL after it.
    func withName<Result, Failure: Error>(
        _ index: Int, _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let start = spans[index].start
        return try bytes.withUnsafeBufferPointer { all throws(Failure) in
            try (all.baseAddress! + start).withMemoryRebound(to: CChar.self, capacity: 1, body)
        }
    }
}
