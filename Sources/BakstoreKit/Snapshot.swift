// Snapshot and Entry: the content of a repository, as values.

import BakCore
import BakFormat

/// One backup: the state of some folders at one time.
public struct Snapshot: Sendable, Identifiable {
    let record: CommitRecord

    init(_ record: CommitRecord) { self.record = record }

    /// The id, as 32 hexadecimal digits.
    public var id: String { record.id.description }
    /// When the backup began, in seconds since 1970-01-01 00:00 UTC.
    public var time: Int64 { record.time.seconds }
    /// The machine that made the backup.
    public var host: String { record.host }
    /// The phone or host that the files belong to. Successive snapshots of the same folders have the same device and
    /// paths.
    public var device: String { record.device }
    /// The absolute paths that were backed up, as text.
    public var paths: [String] { record.paths.map(PathText.absolute) }
    /// The labels that the backup was given.
    public var tags: [String] { record.tags }
    /// The number of regular files.
    public var files: UInt64 { record.counters.files }
    /// The size of those files in bytes, before compression and deduplication.
    public var bytes: UInt64 { record.counters.bytes }
    /// False if the backup was interrupted. The snapshot then lacks some files.
    public var isComplete: Bool { record.isComplete }
    /// True if the snapshot also keeps files that the source no longer has.
    public var isArchive: Bool { record.isArchive }
}

/// A file, folder or link of a snapshot.
public struct Entry: Sendable {
    /// The kind of an entry.
    public enum Kind: Sendable, Equatable {
        /// A regular file.
        case file
        /// A folder.
        case folder
        /// A symbolic link, with its target as text.
        case symbolicLink(target: String)
        /// A device, a pipe or a socket.
        case special
    }

    let record: ManifestEntry

    init(_ record: ManifestEntry) { self.record = record }

    /// The absolute path, as text. Bytes that are not UTF-8 become replacement characters; `pathBytes` has the
    /// original.
    public var path: String { PathText.absolute(record.path) }
    /// The absolute path in the file system's bytes, which need not be UTF-8.
    public var pathBytes: [UInt8] { [UInt8(ascii: "/")] + record.path }
    /// The last component of the path, as text.
    public var name: String { String(decoding: record.path[nameStart...], as: UTF8.self) }
    /// The kind of entry.
    public var kind: Kind {
        switch record.stat.type {
        case .regular: .file
        case .directory: .folder
        case .symlink: .symbolicLink(target: String(decoding: record.attributes.linkTarget, as: UTF8.self))
        default: .special
        }
    }
    /// The content's length in bytes; 0 for other entries than regular files.
    public var size: UInt64 { record.stat.size }
    /// When the content last changed, in seconds since 1970-01-01 00:00 UTC.
    public var modificationTime: Int64 { record.stat.mtime.seconds }
    /// The low twelve bits of the POSIX mode.
    public var permissions: UInt16 { record.stat.mode }
    /// True if an archive keeps the entry although its source no longer had it.
    public var isGone: Bool { record.goneSince != nil }

    private var nameStart: Int { (record.path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1 }
}

/// Conversions between the paths of callers and those of manifests, which are bytes without the leading slash.
enum PathText {
    /// Returns an absolute path for messages. Bytes that are not UTF-8 become replacement characters.
    static func absolute(_ path: [UInt8]) -> String { "/" + String(decoding: path, as: UTF8.self) }

    /// Returns the components, joined by single slashes; empty for the root.
    static func stored(_ path: some Collection<UInt8>) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        return Array(path.split(separator: slash).joined(separator: [slash]))
    }
}
