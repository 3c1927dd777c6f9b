// FakeEntry: an entry of a fake source, with its content and its fault.

import BakCore
import BakStorage

/// An entry of a source in memory.
public struct FakeEntry: Sendable {
    /// The entry's path.
    public var path: [UInt8]
    /// The stat that a walk reports.
    public var stat: FileStat
    /// A regular file's content.
    public var content: [UInt8] = []
    /// The extended attributes, the link's target and all other data of variable size.
    public var attributes = FileAttributes()
    /// The name of the operation that fails: "stat", "fstat", "open", "read", "list" or "attributes". With "an
    /// attribute", one extended attribute cannot be read besides those in `attributes`. With "vanish", the entry is
    /// gone when it is opened. Nil if nothing fails.
    public var fault: String?
    /// The offset from which reads fail if the fault is "read".
    public var faultOffset: UInt64 = 0
    /// The file that `open` finds in the entry's place; nil for the entry's own.
    public var replacement: (stat: FileStat, content: [UInt8])?

    /// Makes a regular file with settled times and an inode of its own, and lets `change` change it.
    public static func file(
        _ path: String, _ content: [UInt8] = [], _ change: (inout FakeEntry) -> Void = { _ in }
    )
        -> FakeEntry
    {
        var stat = FileStat(type: .regular)
        (stat.mode, stat.inode, stat.device) = (0o644, UInt64(path.hashValue.magnitude), 1)
        (stat.mtime, stat.ctime) = (
            Timestamp(seconds: 1000, nanoseconds: 1), Timestamp(seconds: 1000, nanoseconds: 1)
        )
        stat.size = UInt64(content.count)
        stat.allocatedBytes = stat.size
        var entry = FakeEntry(path: Array(path.utf8), stat: stat, content: content)
        change(&entry)
        return entry
    }

    /// Makes an entry of another type, and lets `change` change it.
    public static func other(_ path: String, _ type: FileType, _ change: (inout FakeEntry) -> Void = { _ in })
        -> FakeEntry
    {
        var entry = file(path)
        entry.stat.type = type
        change(&entry)
        return entry
    }
}
