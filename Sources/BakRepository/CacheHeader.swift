// CacheHeader: what files of the cache begin with, so that one of another kind, another version or another repository
// is not taken for what it is not.
//
//   magic 8 | version 4 | zero 4 | repository id 16

import BakCore

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
