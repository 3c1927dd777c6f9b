// CacheHeader: what files of the cache begin with, so that one of another kind, another version or another repository
// is not taken for what it is not. Copies of a repository have one id and so one cache: what a file says must be true
// of all of them, because it follows from content that is named by hashes or random ids, or it has a name of its own
// for each place.
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

    /// True if a file with that name and those first bytes is one of a cache.
    public static func isOne(_ name: String, _ start: some Sequence<UInt8>) -> Bool {
        magics.contains { file in
            (name == file.name || name.hasPrefix(file.name + "-")) && start.starts(with: file.start.utf8)
        }
    }
}

extension Repository {
    /// The name of a cache file that is about this copy of the repository and no other.
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

    /// Whether a file begins with it.
    func isAtStart(of file: UnsafeRawBufferPointer) -> Bool {
        file.prefix(Self.byteCount).elementsEqual(bytes)
    }
}

// MARK: - Small files

extension LocalCache {
    /// What a small file of the cache says between its header and the XXH3-128 of all before it; nil where there is
    /// none that is whole.
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

    /// Writes such a file anew. One that cannot be written only costs what it would have spared.
    func writeRows(_ name: String, _ header: CacheHeader, _ write: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        writer.raw(header.bytes)
        write(&writer)
        writer.id(writer.bytes.withUnsafeBytes(Checksum.xxh3_128))
        try? replace(name) { append in try writer.bytes.withUnsafeBytes(append) }
    }
}
