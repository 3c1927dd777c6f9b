// Where a repository's objects lie in its store. The names are the format's; see docs/format.md.

import BakCore
import BakFormat
import BakStorage

/// Object keys, by what they name.
public enum Layout {
    /// The configuration.
    public static let config = ObjectKey("config")
    /// The folder of commit records.
    public static let snapshots = "snapshots"
    /// The folder of begun sessions.
    public static let sessions = "sessions"
    /// The folder of index segments.
    public static let index = "index"
    /// The folder of what prune writes.
    public static let collections = "gc"
    /// The 256 folders of packs, by the first two digits of a pack's id.
    public static let packFolders = (0..<256).map { "packs/" + String(Hex.encode([UInt8($0)])) }

    /// A pack.
    public static func pack(_ id: ID128) -> ObjectKey {
        let name = id.description
        return ObjectKey("packs/\(name.prefix(2))/\(name)")
    }

    /// A session's index segment.
    public static func indexSegment(_ session: ID128) -> ObjectKey { ObjectKey("index/\(session)") }

    /// A session's commit record.
    public static func snapshot(_ session: ID128) -> ObjectKey { ObjectKey("snapshots/\(session)") }

    /// A begun session.
    public static func session(_ session: ID128) -> ObjectKey { ObjectKey("sessions/\(session)") }

    /// The id in the last component of a key; nil when it is none.
    public static func id(in key: ObjectKey) -> ID128? {
        guard let name = key.description.split(separator: "/").last else { return nil }
        return ID128(name)
    }
}
