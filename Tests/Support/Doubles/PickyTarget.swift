// PickyTarget: a target in memory that treats different names as the same name, as media do that ignore case.

import BakCore
import BakStorage
import Synchronization

/// A restore target that folds names and refuses the operations that a test chooses.
public final class PickyTarget: RestoreTarget {
    /// The target that holds the items under their folded paths.
    public let inner = MemoryTarget()
    /// Returns the folded form of a path. The medium treats paths with equal folded forms as one path.
    public let fold: @Sendable ([UInt8]) -> [UInt8]
    /// Returns an error if the medium refuses an operation on a path; otherwise nil.
    public let refuse: @Sendable (String, [UInt8]) -> TargetError?

    /// Makes an empty target.
    public init(
        fold: @escaping @Sendable ([UInt8]) -> [UInt8] = { $0 },
        refuse: @escaping @Sendable (String, [UInt8]) -> TargetError? = { _, _ in nil }
    ) { (self.fold, self.refuse) = (fold, refuse) }

    private func expect(_ operation: String, _ path: [UInt8]) throws(TargetError) {
        if let error = refuse(operation, path) { throw error }
    }

    /// Throws if the path is taken by a folder, or by another item that must not be replaced.
    private func expectRoom(_ path: [UInt8], _ replacing: Bool) throws(TargetError) {
        guard let item = inner.items[fold(path)] else { return }
        if item == .folder { throw TargetError(operation: "replace", message: "a folder is there") }
        if !replacing { throw TargetError(operation: "make", message: "taken", kind: .taken) }
    }

    /// For each item's folded path, the path with which the item was made.
    private let spelling = Mutex<[[UInt8]: [UInt8]]>([:])

    private func spell(_ path: [UInt8]) {
        let folded = fold(path)
        spelling.withLock { if $0[folded] == nil { $0[folded] = path } }
    }

    /// Returns the stat at the folded path.
    public func stat(_ path: [UInt8]) throws(TargetError) -> FileStat? { try inner.stat(fold(path)) }

    /// Visits the names in a folder, in the spelling with which the items were made.
    public func list(
        _ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void
    ) throws(TargetError) {
        let folded = fold(path)
        let spellings = spelling.withLock { $0 }
        try inner.list(folded, sweeping: sweeping) { name in
            let whole = PathOrder.join(folded, Array(name))
            let spelled = spellings[whole] ?? whole
            visit(spelled[((spelled.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...])
        }
    }

    /// Makes a folder unless it is refused.
    public func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool {
        try expect("folder", path)
        spell(path)
        return try inner.makeFolder(fold(path))
    }

    /// Begins a file unless it is refused. If the name is taken, only finishing the file fails.
    public func createFile(
        _ path: [UInt8], size: UInt64, atOnceWithMode mode: UInt16?, replacing: Bool
    ) throws(TargetError) -> any RestoreFile {
        try expect("file", path)
        return PickyFile(try inner.createFile(fold(path), size: size, replacing: true)) {
            () throws(TargetError) in
            try self.expectRoom(path, replacing)
            self.spell(path)
        }
    }

    /// Makes an item of the stat's type unless it is refused or its name is taken.
    public func makeSpecial(_ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool)
        throws(TargetError) -> [MetadataNote]
    {
        try expect("special", path)
        try expectRoom(path, replacing)
        spell(path)
        return try inner.makeSpecial(fold(path), stat, attributes, replacing: replacing)
    }

    /// Links a file unless it is refused or its name is taken.
    public func makeHardLink(_ path: [UInt8], to existing: [UInt8], replacing: Bool) throws(TargetError) {
        try expect("link", path)
        try expectRoom(path, replacing)
        spell(path)
        try inner.makeHardLink(fold(path), to: fold(existing), replacing: replacing)
    }

    /// Copies a file unless it is refused or its name is taken.
    public func copyFile(
        _ path: [UInt8], from existing: [UInt8], _ stat: FileStat, _ attributes: FileAttributes,
        replacing: Bool
    ) throws(TargetError) -> [MetadataNote] {
        try expect("copy", path)
        try expectRoom(path, replacing)
        spell(path)
        return try inner.copyFile(fold(path), from: fold(existing), stat, attributes, replacing: replacing)
    }

    /// True if the items at both folded paths are equal.
    public func hasSameContent(_ path: [UInt8], as other: [UInt8]) throws(TargetError) -> Bool {
        try inner.hasSameContent(fold(path), as: fold(other))
    }

    /// Throws if the operation is refused; otherwise does nothing.
    public func setMetadata(_ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes)
        throws(TargetError)
        -> [MetadataNote]
    {
        try expect("metadata", path)
        return []
    }

    /// Returns the time itself.
    public func rendered(_ time: Timestamp, at path: [UInt8], device: UInt64) -> Timestamp { time }
    /// Does nothing: no temporary is left.
    public func tidy() {}
    /// Does nothing: the target keeps no metadata.
    public func finishTop(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote] { [] }
    /// Does nothing.
    public func synchronize() throws(TargetError) {}
    /// Does nothing.
    public func close() {}
}

private final class PickyFile: RestoreFile {
    private let inner: any RestoreFile
    private let beforeFinish: @Sendable () throws(TargetError) -> Void

    init(_ inner: any RestoreFile, _ beforeFinish: @escaping @Sendable () throws(TargetError) -> Void) {
        (self.inner, self.beforeFinish) = (inner, beforeFinish)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(TargetError) {
        try inner.write(bytes, at: offset)
    }

    func finish(_ stat: FileStat, _ attributes: FileAttributes) throws(TargetError) -> [MetadataNote] {
        try beforeFinish()
        return try inner.finish(stat, attributes)
    }

    func abandon() { inner.abandon() }
}
