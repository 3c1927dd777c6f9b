// SnapshotPathError: why a path that a user named cannot be had from a snapshot.

import BakCore

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
