// Repository+Reading: looks into snapshots without restoring them.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension Repository {
    /// What lies directly in a folder of a snapshot, in the order of names' bytes.
    ///
    /// - Parameters:
    ///   - folder: an absolute path; `/` for the top, where the folders above the backed-up paths are shown if the snapshot has them.
    ///   - snapshot: where to look.
    /// - Throws: `BakstoreError` of kind `notFound` if the snapshot has no such folder, `damaged`, `storage`.
    public func entries(in folder: String = "/", of snapshot: Snapshot) throws(BakstoreError) -> [Entry] {
        try entries(in: Array(folder.utf8), of: snapshot)
    }

    /// The same of a folder whose path need not be UTF-8.
    public func entries(in folder: Entry, of snapshot: Snapshot) throws(BakstoreError) -> [Entry] {
        try entries(in: folder.pathBytes, of: snapshot)
    }

    private func entries(in folder: [UInt8], of snapshot: Snapshot) throws(BakstoreError) -> [Entry] {
        try BakstoreError.wrapping {
            let path = PathText.stored(folder)
            let index = try BlobIndex(engine) { _ in }
            let reader = try ManifestReader(snapshot.record, repository: engine, index: index, from: path)
            var entries: [Entry] = []
            var isThere = path.isEmpty
            while let next = try reader.next() {
                guard case .entry(let entry) = next, !PathOrder.precedes(entry.path, path) else { continue }
                guard PathOrder.isAtOrBeneath(entry.path, path) else { break }
                isThere = true
                if entry.path.isDirectly(in: path) { entries.append(Entry(entry)) }
            }
            guard isThere else { throw SnapshotPathError.notInSnapshot(path, snapshot.record.id) }
            return entries
        }
    }

    /// The entry at an absolute path of a snapshot; nil if the snapshot has none there.
    ///
    /// - Throws: `BakstoreError` of kind `damaged`, `storage`.
    public func entry(at path: String, of snapshot: Snapshot) throws(BakstoreError) -> Entry? {
        try BakstoreError.wrapping {
            let path = PathText.stored(path.utf8)
            let index = try BlobIndex(engine) { _ in }
            let reader = try ManifestReader(snapshot.record, repository: engine, index: index, from: path)
            while let next = try reader.next() {
                guard case .entry(let entry) = next, !PathOrder.precedes(entry.path, path) else { continue }
                return entry.path == path ? Entry(entry) : nil
            }
            return nil
        }
    }

    /// Hands the content of a file to `body`, piece by piece and in order. Every piece was verified before; memory stays bounded
    /// whatever the file's size.
    ///
    /// - Parameters:
    ///   - file: which file.
    ///   - snapshot: the snapshot that has it.
    ///   - body: called with each piece; the bytes are valid during the call only. What it throws ends the reading.
    /// - Throws: what `body` throws, or `BakstoreError` of kind `notFound`, `damaged`, `storage`.
    public func read(
        _ file: Entry, of snapshot: Snapshot, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var failure: (any Error)?
        do {
            let index = try BlobIndex(engine) { _ in }
            let file = try SnapshotFile(
                file.record.path, in: snapshot.record, repository: engine, index: index)
            try file.read { bytes in
                do {
                    try body(bytes)
                } catch {
                    failure = error
                    throw error
                }
            }
        } catch {
            throw failure ?? BakstoreError(error)
        }
    }

    /// The whole content of a file.
    ///
    /// - Parameters:
    ///   - file: which file.
    ///   - snapshot: the snapshot that has it.
    ///   - limit: the most bytes to return.
    /// - Throws: `BakstoreError` of kind `refused` if the file is larger than `limit`, `notFound`, `damaged`, `storage`.
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

extension [UInt8] {
    /// True if the path lies in `folder` itself and in no folder of that.
    fileprivate func isDirectly(in folder: [UInt8]) -> Bool {
        guard count > folder.count else { return false }
        return !self[(folder.isEmpty ? 0 : folder.count + 1)...].contains(UInt8(ascii: "/"))
    }
}
