// CacheHeader: the first bytes of each cache file. The header identifies the file's kind, version and repository, so
// that the program cannot mistake one file for another.
//
// Copies of a repository have the same id and therefore share one cache. So a cache file must be right for all copies.
// Some files describe only objects that are named by hashes or random ids and so are equal in all copies. Every other
// file has the place of one copy in its name.
//
//   magic 8 | version 4 | zero 4 | repository id 16

import BakCodec
import BakCore
import BakStorage

/// The files of a repository's cache.
public enum CacheFiles {
    private static let magics: [(name: String, start: String)] = [
        (IndexTable.cacheName, "bakindex"), (ReferenceCache.name, "bakrefs\0"),
        (ReadLog.cacheName, "bakreads"), (ForgottenRoots.cacheName, "bakgone\0"),
        (AncestryCache.cacheName, "bakkin\0\0"), (OpenedSlot.cacheName, "bakslot\0"),
        (SeenState.cacheName, "bakseen\0"), (WholeMarkers.cacheName, "bakmark\0"),
    ]

    /// True if a file with this name and these first bytes is a cache file.
    public static func isOne(_ name: String, _ start: some Sequence<UInt8>) -> Bool {
        magics.contains { file in
            (name == file.name || name.hasPrefix(file.name + "-")) && start.starts(with: file.start.utf8)
        }
    }
}

extension Repository {
    /// Returns the name of a cache file that belongs to this copy of the repository only.
    package func cacheNameHere(_ name: String) -> String {
        name + "-" + Hex.encode(Array(store.place.utf8).withUnsafeBytes(Checksum.xxh3_64))
    }
}

/// The first bytes of a file in the cache.
struct CacheHeader {
    static let byteCount = 32
    let bytes: [UInt8]

    init(magic: UInt64, version: UInt32, repository: ID128) {
        var writer = ByteWriter(reservingCapacity: Self.byteCount)
        writer.integer(magic)
        writer.integer(version)
        writer.integer(UInt32(0))
        writer.id(repository)
        bytes = writer.bytes
    }

    /// True if `file` begins with this header.
    func isAtStart(of file: UnsafeRawBufferPointer) -> Bool {
        file.prefix(Self.byteCount).elementsEqual(bytes)
    }
}

// MARK: - Small files

extension LocalCache {
    /// Passes the rows of a small cache file to `read` and returns the result. Returns nil if the file is missing or
    /// damaged. The rows lie between the header and a checksum, the XXH3-128 of all bytes before the checksum.
    func readRows<Rows>(_ name: String, _ header: CacheHeader, _ read: (UnsafeRawBufferPointer) -> Rows)
        -> Rows?
    {
        self.read(name)?.withUnsafeBytes { bytes in
            let end = bytes.count - ID128.byteCount
            guard end >= CacheHeader.byteCount, header.isAtStart(of: bytes),
                Checksum.xxh3_128(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
                    == ID128(loading: bytes.baseAddress! + end)
            else { return nil }
            return read(UnsafeRawBufferPointer(rebasing: bytes[CacheHeader.byteCount..<end]))
        }
    }

    /// Replaces a small cache file. A failure is ignored: the program only has to do again the work that the file would
    /// save.
    func writeRows(_ name: String, _ header: CacheHeader, _ write: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        writer.raw(header.bytes)
        write(&writer)
        writer.id(writer.bytes.withUnsafeBytes(Checksum.xxh3_128))
        try? replace(name) { append in try writer.bytes.withUnsafeBytes(append) }
    }
}
