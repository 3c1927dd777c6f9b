// MemoryTarget: a restore target in memory. A test can look at its items and change them.

import BakCore
import BakStorage
import Synchronization

/// A restore target in memory. It keeps the content of files, and the type of all other items. May be used from any
/// thread.
public final class MemoryTarget: RestoreTarget {
    /// An item at a path.
    public enum Item: Equatable, Sendable {
        /// A regular file with its content.
        case file([UInt8])
        /// A folder.
        case folder
        /// An item of another type.
        case other(FileType)
    }

    private let made = Mutex<[[UInt8]: Item]>([:])
    private let asked = Mutex(0)
    private let synchronized = Mutex(0)
    private let begunAtOnce = Mutex<[[UInt8]: UInt16]>([:])
    private let failingSync: Int

    /// Makes an empty target. The call of `synchronize` with the number `failingSync` fails; 0 for none.
    public init(failingSync: Int = 0) { self.failingSync = failingSync }

    /// Number of calls of `synchronize`.
    public var syncCount: Int { synchronized.withLock { $0 } }

    /// The number of calls of `stat`.
    public var statCount: Int { asked.withLock { $0 } }

    /// The files for which a restore passed `atOnceWithMode`, with these modes.
    public var filesAtOnce: [[UInt8]: UInt16] { begunAtOnce.withLock { $0 } }

    /// All items by their paths.
    public var items: [[UInt8]: Item] {
        get { made.withLock { $0 } }
        set { made.withLock { $0 = newValue } }
    }

    /// Puts an item at a path.
    public func set(_ path: [UInt8], _ item: Item) { made.withLock { $0[path] = item } }

    /// Returns the type of the item at a path, and a file's size.
    public func stat(_ path: [UInt8]) throws(TargetError) -> FileStat? {
        asked.withLock { $0 += 1 }
        switch items[path] {
        case nil: return nil
        case .file(let bytes):
            var stat = FileStat(type: .regular)
            stat.size = UInt64(bytes.count)
            return stat
        case .folder:
            // A folder has an inode number, so that a caller recognises it under any name.
            var stat = FileStat(type: .directory)
            stat.inode = UInt64(path.hashValue.magnitude) | 1
            return stat
        case .other(let type): return FileStat(type: type)
        }
    }

    /// Makes a folder unless another item is there.
    public func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool {
        if items[path] == .folder { return false }
        guard items[path] == nil else {
            throw TargetError(operation: "make the folder", message: "in the way")
        }
        set(path, .folder)
        return true
    }

    /// Begins a file. The file appears when the caller finishes it.
    public func createFile(
        _ path: [UInt8], size: UInt64, atOnceWithMode mode: UInt16?, replacing: Bool
    ) throws(TargetError) -> any RestoreFile {
        let parent = path.lastIndex(of: UInt8(ascii: "/")).map { Array(path[..<$0]) }
        guard parent == nil || items[parent!] == .folder, replacing || items[path] == nil,
            items[path] != .folder
        else { throw TargetError(operation: "create", message: "in the way, or no folder") }
        begunAtOnce.withLock { $0[path] = mode }
        return MemoryFile(path, size: size, self)
    }

    /// Makes an item of the stat's type.
    public func makeSpecial(_ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool)
        throws(TargetError) -> [MetadataNote]
    {
        set(path, .other(stat.type))
        return []
    }

    /// Visits the names in a folder, in any order.
    public func list(
        _ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void
    ) throws(TargetError) {
        for item in items.keys where item != path && PathOrder.isAtOrBeneath(item, path) {
            let name = item[(path.isEmpty ? 0 : path.count + 1)...]
            if !name.contains(UInt8(ascii: "/")) { visit(name) }
        }
    }

    /// Returns the time itself.
    public func rendered(_ time: Timestamp, at path: [UInt8], device: UInt64) -> Timestamp { time }

    /// Copies the item at another path.
    public func copyFile(
        _ path: [UInt8], from existing: [UInt8], _ stat: FileStat, _ attributes: FileAttributes,
        replacing: Bool
    ) throws(TargetError) -> [MetadataNote] {
        guard let item = items[existing] else { throw TargetError(operation: "copy", message: "absent") }
        set(path, item)
        return []
    }

    /// Does nothing: no temporary is left.
    public func tidy() {}
    /// Does nothing: the target keeps no metadata.
    public func finishTop(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote] { [] }
    /// Does nothing.
    public func close() {}

    /// Copies the item at another path.
    public func makeHardLink(_ path: [UInt8], to existing: [UInt8], replacing: Bool) throws(TargetError) {
        guard let item = items[existing] else { throw TargetError(operation: "link", message: "absent") }
        set(path, item)
    }

    /// True if both items are equal.
    public func hasSameContent(_ path: [UInt8], as other: [UInt8]) throws(TargetError) -> Bool {
        items[path] == items[other]
    }

    /// Does nothing: the target keeps no metadata.
    public func setMetadata(_ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes)
        throws(TargetError)
        -> [MetadataNote]
    { [] }

    /// Counts the call. Fails if its number is `failingSync`.
    public func synchronize() throws(TargetError) {
        let number = synchronized.withLock {
            $0 += 1
            return $0
        }
        guard number != failingSync else {
            throw TargetError(operation: "sync", message: "lost", kind: .gone)
        }
    }
}

private final class MemoryFile: RestoreFile {
    private let path: [UInt8]
    private let target: MemoryTarget
    private let size: UInt64
    private let bytes: Mutex<[UInt8]>

    init(_ path: [UInt8], size: UInt64, _ target: MemoryTarget) {
        self.path = path
        self.target = target
        self.size = size
        bytes = Mutex([UInt8](repeating: 0, count: Int(min(size, 1 << 24))))
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(TargetError) {
        let copy = Array(source)
        bytes.withLock { $0.replaceSubrange(Int(offset)..<(Int(offset) + copy.count), with: copy) }
    }

    func finish(_ stat: FileStat, _ attributes: FileAttributes) throws(TargetError) -> [MetadataNote] {
        let whole = bytes.withLock { $0 }
        target.set(path, .file(whole))
        return []
    }

    func abandon() {}
}
