// What a check finds, and how it tells.

import BakCore
import BakFormat

/// How much a check reads.
public enum CheckDepth: Sendable {
    /// Listings, every index segment and manifest, every pack's header and footer.
    case structure
    /// That, and every byte of every pack.
    case readData
}

/// A finding or a step of a check.
public enum CheckEvent: Sendable {
    /// A step begins.
    case step(String)
    /// An object is damaged or missing.
    case damage(object: String, reason: String)
    /// A file of a snapshot cannot be restored as it was.
    case affectedFile(snapshot: ID128, path: [UInt8], reason: String)
    /// A snapshot cannot be read, or not as a whole.
    case affectedSnapshot(snapshot: ID128, reason: String)
    /// Something is there that nothing refers to; it does no harm.
    case unused(object: String, reason: String)
    /// So many of so many bytes of packs have been verified.
    case progress(doneBytes: UInt64, totalBytes: UInt64)
}

/// What a check looked at and found.
public struct CheckReport: Sendable, Equatable {
    /// Snapshots looked at.
    public var snapshots = 0
    /// Packs that the index names.
    public var packs = 0
    /// Blobs in them.
    public var blobs = 0
    /// Bytes of packs read and verified.
    public var verifiedBytes: UInt64 = 0
    /// Packs that nothing refers to, left by interrupted runs.
    public var unusedPacks = 0
    /// Their bytes.
    public var unusedBytes: UInt64 = 0
    /// Damaged or missing objects.
    public var damagedObjects = 0
    /// Files that cannot be restored as they were, counted in each snapshot that has them.
    public var affectedFiles = 0
    /// Snapshots that have such files or cannot be read.
    public var affectedSnapshots = 0
    /// Whether the user ended it before its end.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}

    /// Whether nothing is wrong.
    public var isClean: Bool { damagedObjects == 0 && affectedFiles == 0 && affectedSnapshots == 0 }
}
