// SnapshotFile: one file of a snapshot as a stream of verified bytes.

import BakCore
import BakFormat
import BakRepository

/// Reads a file's content from the repository, in order.
public struct SnapshotFile {
    private let repository: Repository
    private let index: BlobIndex
    private let reader: ManifestReader
    private let path: [UInt8]
    private let snapshot: CommitRecord
    /// What the snapshot says of the file.
    public let entry: ManifestEntry

    /// Finds a regular file in a snapshot.
    ///
    /// Throws `SnapshotPathError` when the path is not there or is no regular file.
    public init(_ path: [UInt8], in snapshot: CommitRecord, repository: Repository, index: BlobIndex) throws {
        self.repository = repository
        self.index = index
        self.path = path
        self.snapshot = snapshot
        reader = try ManifestReader(snapshot, repository: repository, index: index, from: path)
        while let record = try reader.next() {
            guard case .entry(let found) = record, !PathOrder.precedes(found.path, path) else { continue }
            guard found.path == path else { break }
            guard found.stat.type == .regular else { throw SnapshotPathError.notAFile(path, snapshot.id) }
            entry = found
            return
        }
        throw SnapshotPathError.notInSnapshot(path, snapshot.id)
    }

    /// Hands the content to `write` piece by piece; a hole comes as zeros.
    public func read(_ write: (UnsafeRawBufferPointer) throws -> Void) throws {
        let blobs = BlobReader(repository)
        var extents: [Extent]
        switch entry.content {
        case .inline(let bytes): return try bytes.withUnsafeBytes(write)
        case .extents(let first): extents = first
        case nil: extents = []
        }
        var length: UInt64 = 0
        while true {
            for extent in extents {
                length += extent.length
                guard length <= entry.stat.size else { throw wrongLength() }
                switch extent {
                case .chunk(let reference): try write(blobs.read(reference, kind: .chunkPack, index: index))
                case .hole(let count): try writeZeros(count, write)
                }
            }
            guard case .continuation(let more) = try reader.next() else { break }
            extents = more
        }
        if length != entry.stat.size { throw wrongLength() }
    }

    private func wrongLength() -> CorruptionError {
        CorruptionError(
            object: "snapshots/\(snapshot.id)", offset: 0,
            reason: "the chunks of /\(String(decoding: path, as: UTF8.self)) do not add up to its size")
    }

    private func writeZeros(_ count: UInt64, _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
        let zeros = [UInt8](repeating: 0, count: Int(min(count, 1 << 20)))
        var left = count
        while left > 0 {
            let step = min(left, UInt64(zeros.count))
            try zeros.withUnsafeBytes { try write(UnsafeRawBufferPointer(rebasing: $0[..<Int(step)])) }
            left -= step
        }
    }
}

/// A path that was asked for cannot be had from a snapshot.
public enum SnapshotPathError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The path is not there.
    case notInSnapshot([UInt8], ID128)
    /// It is no regular file.
    case notAFile([UInt8], ID128)

    /// One line for people.
    public var description: String {
        switch self {
        case .notInSnapshot(let path, let id):
            "/\(String(decoding: path, as: UTF8.self)) is not in snapshot \(id.short); "
                + "see what there is with: bakstore ls -R \(id.short)"
        case .notAFile(let path, let id):
            "/\(String(decoding: path, as: UTF8.self)) in snapshot \(id.short) is no regular file; "
                + "bring it back with: bakstore restore \(id.short):PATH --target FOLDER"
        }
    }
}
