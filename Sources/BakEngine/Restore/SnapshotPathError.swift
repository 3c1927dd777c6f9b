// SnapshotPathError: why a path that the user named cannot be read from a snapshot.

import BakCore

/// A path that the user named cannot be read from a snapshot.
public enum SnapshotPathError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The snapshot does not have the path.
    case notInSnapshot([UInt8], ID128)
    /// The path is not a regular file.
    case notAFile([UInt8], ID128)

    /// The message in one line.
    public var description: String {
        switch self {
        case .notInSnapshot(let path, let id):
            "/\(String(decoding: path, as: UTF8.self)) is not in snapshot \(id.short). "
                + "List the files with: bakstore ls -R \(id.short)"
        case .notAFile(let path, let id):
            "/\(String(decoding: path, as: UTF8.self)) in snapshot \(id.short) is not a regular file. "
                + "Restore it with: bakstore restore \(id.short):PATH --target FOLDER"
        }
    }
}
