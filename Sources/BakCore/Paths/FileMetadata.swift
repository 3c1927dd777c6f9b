// FileMetadata: an entry's metadata in the file system. Names are bytes, not text. A path is its components joined by
// '/', without a leading or trailing slash; the path of `/` is empty.

import Glibc

/// The type of an entry. The raw values are stored.
public enum FileType: UInt8, Sendable, CaseIterable {
    case regular = 1
    case directory = 2
    case symlink = 3
    case fifo = 4
    case socket = 5
    case characterDevice = 6
    case blockDevice = 7
}

/// The fixed-size part of an entry's metadata, as one `stat` call returns it.
public struct FileStat: Hashable, Sendable {
    /// The type of the entry.
    public var type: FileType
    /// Permission bits with set-uid, set-gid and sticky: the low twelve bits of `st_mode`.
    public var mode: UInt16 = 0
    /// The owner's numeric id.
    public var uid: UInt32 = 0
    /// The group's numeric id.
    public var gid: UInt32 = 0
    /// The content's size in bytes; 0 for other entries than regular files.
    public var size: UInt64 = 0
    /// The time of the last change to the content.
    public var mtime = Timestamp(seconds: 0)
    /// The time of the last change to the inode.
    public var ctime = Timestamp(seconds: 0)
    /// The file system's device number.
    public var device: UInt64 = 0
    /// The inode number within the device.
    public var inode: UInt64 = 0
    /// The number of names of the inode.
    public var linkCount: UInt32 = 1
    /// The device that a device node represents (`st_rdev`).
    public var representedDevice: UInt64 = 0
    /// The number of bytes allocated on the medium; less than `size` if the file has holes. Not stored.
    public var allocatedBytes: UInt64 = 0

    /// Makes a record of the given type with one name and everything else zero.
    public init(type: FileType) { self.type = type }
}

/// An extended attribute. ACLs are extended attributes too, under their system names.
public struct ExtendedAttribute: Hashable, Sendable {
    /// The full name with its namespace, such as `user.comment`.
    public var name: [UInt8]
    /// The value as the file system stores it.
    public var value: [UInt8]

    /// True if the attribute can grant rights. Only the administrator may set such an attribute; the file's owner may
    /// not.
    public var isPrivileged: Bool {
        name.starts(with: "security.".utf8) || name.starts(with: "trusted.".utf8)
    }

    /// Makes an attribute.
    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// The variable-size part of an entry's metadata. Reading it costs further system calls.
public struct FileAttributes: Hashable, Sendable {
    /// The owner's name; empty if unknown.
    public var userName: [UInt8] = []
    /// The group's name; empty if unknown.
    public var groupName: [UInt8] = []
    /// A symbolic link's target.
    public var linkTarget: [UInt8] = []
    /// Extended attributes, sorted by name bytewise.
    public var extendedAttributes: [ExtendedAttribute] = []

    /// Makes an empty record.
    public init() {}
}

/// The order of paths throughout bakstore: component by component, bytewise, depth first.
public enum PathOrder {
    /// True if `left` comes before `right`. '/' ranks below every other byte. So a folder's content directly follows
    /// the folder, before any sibling whose name begins with the folder's name.
    @inlinable
    public static func precedes(_ left: some Sequence<UInt8>, _ right: some Sequence<UInt8>) -> Bool {
        let known = left.withContiguousStorageIfAvailable { left in
            right.withContiguousStorageIfAvailable { right in
                precedes(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
            }
        }
        if let known, let answer = known { return answer }
        return left.lexicographicallyPrecedes(right) { rank($0) < rank($1) }
    }

    /// True if `left` comes before `right`.
    @usableFromInline
    static func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        precedes(left, right, after: sharedBytes(left, right))
    }

    /// True if `left` comes before `right`. The first `same` bytes of both must be equal.
    private static func precedes(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, after same: Int
    ) -> Bool {
        guard same < left.count, same < right.count else { return left.count < right.count }
        return rank(left[same]) < rank(right[same])
    }

    /// Returns the index of the first of `count` sorted paths that does not come before `path`; `count` if there is
    /// none. The search compares the prefix that `path` shares with its neighbours only once, so with long paths it
    /// costs little more than one comparison.
    public static func firstIndex(
        of count: Int, notBefore path: [UInt8], _ other: (_ index: Int) -> [UInt8]
    ) -> Int {
        var (low, high) = (0, count)
        // The lengths of the prefixes that `path` shares with the path before `low` and the one at `high`.
        var (sharedBelow, sharedAbove) = (0, 0)
        while low < high {
            // Compare with the last path first. Otherwise `sharedAbove` would stay 0 as long as only `low` moves, and
            // every comparison would start at the first byte.
            let middle = high == count ? count - 1 : (low + high) / 2
            let known = min(sharedBelow, sharedAbove)
            let (same, isBefore) = path.withUnsafeBytes { path in
                other(middle).withUnsafeBytes { other in
                    let same =
                        known
                        + sharedBytes(
                            .init(rebasing: other[known...]), .init(rebasing: path[known...]))
                    return (same, precedes(other, path, after: same))
                }
            }
            if isBefore {
                (low, sharedBelow) = (middle + 1, same)
            } else {
                (high, sharedAbove) = (middle, same)
            }
        }
        return low
    }

    /// Returns the number of equal bytes at the start of both. Long paths share most bytes, so it compares eight at a
    /// time.
    public static func sharedBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let count = min(left.count, right.count)
        var same = 0
        while same + 8 <= count,
            left.loadUnaligned(fromByteOffset: same, as: UInt64.self)
                == right.loadUnaligned(fromByteOffset: same, as: UInt64.self)
        { same += 8 }
        while same < count, left[same] == right[same] { same += 1 }
        return same
    }

    /// Returns the number of equal bytes at the start of both paths.
    public static func sharedBytes(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBytes { left in right.withUnsafeBytes { sharedBytes(left, $0) } }
    }

    @inlinable
    static func rank(_ byte: UInt8) -> UInt8 { byte == UInt8(ascii: "/") ? 0 : byte }

    /// True if `path` begins with `start`. Paths may be long, so they are compared as memory.
    static func begins(_ path: [UInt8], with start: [UInt8]) -> Bool {
        guard path.count >= start.count else { return false }
        return path.withUnsafeBytes { path in
            start.withUnsafeBytes { $0.isEmpty || memcmp(path.baseAddress!, $0.baseAddress!, $0.count) == 0 }
        }
    }

    /// True if `path` is `folder` itself or lies beneath it. Every path lies beneath the empty folder.
    public static func isAtOrBeneath(_ path: [UInt8], _ folder: [UInt8]) -> Bool {
        guard begins(path, with: folder) else { return false }
        return folder.isEmpty || path.count == folder.count || path[folder.count] == UInt8(ascii: "/")
    }

    /// Returns the path of `name` in `folder`.
    public static func join(_ folder: [UInt8], _ name: [UInt8]) -> [UInt8] {
        folder.isEmpty ? name : folder + [UInt8(ascii: "/")] + name
    }
}

/// The parts of an entry that are not stored because they could not be read.
public struct MissingParts: OptionSet, Hashable, Sendable {
    /// The parts as bits.
    public let rawValue: UInt8

    /// Makes a set of parts from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The end of a regular file's content. Only the beginning is stored.
    public static let content = MissingParts(rawValue: 1)
    /// Some or all of the extended attributes.
    public static let attributes = MissingParts(rawValue: 2)
}
