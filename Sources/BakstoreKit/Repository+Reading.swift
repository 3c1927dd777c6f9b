// Repository+Reading: reads snapshots without restoring them.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension Repository {
    /// Returns the entries directly in a folder of a snapshot, ordered by the bytes of their names.
    ///
    /// - Parameters:
    ///   - folder: an absolute path. `/` is the top of the snapshot; it has the folders above the backed-up paths if
    ///     the snapshot has entries for them.
    ///   - snapshot: the snapshot that has the folder.
    /// - Throws: `BakstoreError` of kind `notFound` if the snapshot has no such folder, `damaged`, `storage`.
    public func entries(in folder: String = "/", of snapshot: Snapshot) throws(BakstoreError) -> [Entry] {
        try entries(in: Array(folder.utf8), of: snapshot)
    }

    /// Returns the entries directly in a folder whose path need not be UTF-8.
    ///
    /// - Throws: `BakstoreError` of kind `notFound` if the snapshot has no such folder, `damaged`, `storage`.
    public func entries(in folder: Entry, of snapshot: Snapshot) throws(BakstoreError) -> [Entry] {
        try entries(in: folder.pathBytes, of: snapshot)
    }

    private func entries(in folder: [UInt8], of snapshot: Snapshot) throws(BakstoreError) -> [Entry] {
        try BakstoreError.wrapping {
            let path = PathText.stored(folder)
            let view = try view(of: snapshot)
            var entries: [Entry] = []
            let isThere = try view.list(path, .children) { entry in
                if entry.path != path { entries.append(Entry(entry)) }
                return true
            }
            guard isThere || path.isEmpty else {
                throw SnapshotPathError.notInSnapshot(path, snapshot.record.id)
            }
            return entries
        }
    }

    private func view(of snapshot: Snapshot) throws -> SnapshotView {
        try SnapshotView(snapshot.record, repository: engine, index: try BlobIndex(engine) { _ in })
    }

    /// Returns the entry at an absolute path of a snapshot; nil if there is none.
    ///
    /// - Throws: `BakstoreError` of kind `damaged`, `storage`.
    public func entry(at path: String, of snapshot: Snapshot) throws(BakstoreError) -> Entry? {
        try BakstoreError.wrapping {
            try view(of: snapshot).entry(at: PathText.stored(path.utf8)).map(Entry.init)
        }
    }

    /// Passes the content of a file to `body`, piece by piece and in order. Every piece is verified first. Memory stays
    /// bounded, whatever the file's size.
    ///
    /// - Parameters:
    ///   - file: the file to read.
    ///   - snapshot: the snapshot that has it.
    ///   - body: called with each piece. The bytes are valid during the call only. An error from `body` ends the
    ///     reading.
    /// - Throws: what `body` throws, or `BakstoreError` of kind `notFound`, `damaged`, `storage`.
    public func read(
        _ file: Entry, of snapshot: Snapshot, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceBytes, alignment: 16)
        defer { buffer.deallocate() }
        let content = try BakstoreError.wrapping {
            let path = file.record.path
            guard let content = try view(of: snapshot).content(of: path) else {
                throw file.kind == .file
                    ? SnapshotPathError.notInSnapshot(path, snapshot.record.id)
                    : SnapshotPathError.notAFile(path, snapshot.record.id)
            }
            return content
        }
        var offset: UInt64 = 0
        while offset < content.entry.stat.size {
            let count = try BakstoreError.wrapping {
                let count = try content.read(into: buffer, at: offset)
                // A file with fewer bytes than its entry says is damaged.
                guard count > 0 else {
                    throw BakstoreError(.damaged, "\(file.path) ends after \(offset) of \(file.size) bytes")
                }
                return count
            }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += UInt64(count)
        }
    }

    /// The number of bytes that are read at a time.
    private static let pieceBytes = 1 << 20

    /// Returns the whole content of a file.
    ///
    /// - Parameters:
    ///   - file: the file to read.
    ///   - snapshot: the snapshot that has it.
    ///   - limit: the largest number of bytes to return.
    /// - Throws: `BakstoreError` of kind `refused` if the file is larger than `limit`, `notFound`, `damaged`,
    ///   `storage`.
    public func contents(
        of file: Entry, of snapshot: Snapshot, upTo limit: Int = 64 << 20
    ) throws(BakstoreError) -> [UInt8] {
        guard file.size <= UInt64(limit) else {
            throw BakstoreError(.refused, "\(file.path) has \(file.size) bytes, over the limit of \(limit)")
        }
        return try BakstoreError.wrapping {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Int(file.size))
            try read(file, of: snapshot) { bytes.append(contentsOf: $0) }
            return bytes
        }
    }
}
