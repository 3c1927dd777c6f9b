// Doubles of the seams in memory: a cache, a source and a target whose bytes a test can look at, change and
// copy, and that are fast enough for thousands of cases.

import BakCore
import BakStorage
import Synchronization

/// A cache in a dictionary.
final class MemoryCache: LocalCache {
    private let files = Mutex<[String: [UInt8]]>([:])

    /// Every file.
    var contents: [String: [UInt8]] {
        get { files.withLock { $0 } }
        set { files.withLock { $0 = newValue } }
    }

    func map(_ name: String) -> MappedBytes? { files.withLock { $0[name] }.map { MappedBytes(copying: $0) } }

    func replace(
        _ name: String,
        _ write: (_ append: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws -> Void
    ) throws {
        var bytes: [UInt8] = []
        try write { bytes.append(contentsOf: $0) }
        let whole = bytes
        files.withLock { $0[name] = whole }
    }
}

/// An entry of a source in memory.
struct FakeEntry: Sendable {
    var path: [UInt8]
    var stat: FileStat
    var content: [UInt8] = []
    var attributes = FileAttributes()
    /// What fails: "stat", "read", "attributes", "an attribute" beside `attributes`, "open" or "list", and for reads
    /// from which offset.
    var fault: String?
    var faultOffset: UInt64 = 0
    /// What `open` finds at the path in the entry's place.
    var replacement: (stat: FileStat, content: [UInt8])?

    static func file(_ path: String, _ content: [UInt8] = [], _ change: (inout FakeEntry) -> Void = { _ in })
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

    static func other(_ path: String, _ type: FileType, _ change: (inout FakeEntry) -> Void = { _ in })
        -> FakeEntry
    {
        var entry = file(path)
        entry.stat.type = type
        change(&entry)
        return entry
    }
}

extension FakeEntry {
    /// The failure that leaves `attributes`.
    fileprivate var partError: SourceError {
        var error = FakeTree.error("read an extended attribute of")
        error.readAttributes = attributes
        return error
    }
}

/// A source in memory; it walks its entries in the order given.
final class FakeTree: SourceTree {
    let entries: [FakeEntry]
    let topDevice: UInt64?
    /// What the numbers and times of each device are worth; those of any other are those of a disk of this machine.
    let media: [UInt64: MediumEvidence]
    /// Paths that were opened.
    let opened = Mutex<[[UInt8]]>([])

    init(_ entries: [FakeEntry], topDevice: UInt64? = nil, media: [UInt64: MediumEvidence] = [:]) {
        self.entries = entries
        self.media = media
        self.topDevice = topDevice
    }

    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        var skipped: [UInt8]?
        for entry in entries {
            if let skipped, PathOrder.isAtOrBeneath(entry.path, skipped) { continue }
            if entry.fault == "stat" {
                guard try visit(.failure(path: entry.path, Self.error("look up"))) != .stop else { return }
                continue
            }
            switch try visit(.entry(path: entry.path, stat: entry.stat)) {
            case .stop: return
            case .skipChildren: skipped = entry.path
            case .proceed: skipped = nil
            }
            if entry.fault == "list" {
                guard try visit(.failure(path: entry.path, Self.error("list"))) != .stop else { return }
            }
        }
    }

    static func error(_ operation: String, isNotFound: Bool = false) -> SourceError {
        SourceError(operation: operation, message: "injected", isNotFound: isNotFound)
    }

    private func entry(_ path: [UInt8]) throws(SourceError) -> FakeEntry {
        guard let entry = entries.first(where: { $0.path == path }) else {
            throw Self.error("open", isNotFound: true)
        }
        return entry
    }

    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        let entry = try entry(path)
        opened.withLock { $0.append(path) }
        if entry.fault == "open" { throw Self.error("open") }
        if entry.fault == "vanish" { throw Self.error("open", isNotFound: true) }
        return FakeFile(entry)
    }

    func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        let entry = try entry(path)
        if entry.fault == "attributes" { throw Self.error("read the extended attributes of") }
        if entry.fault == "an attribute" { throw entry.partError }
        return entry.attributes
    }

    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { (Array("u".utf8), []) }

    func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence {
        media[stat.device] ?? MediumEvidence(hasIdentity: true, granularityNanoseconds: 10_000_000)
    }
}

private final class FakeFile: SourceFile {
    private let entry: FakeEntry

    init(_ entry: FakeEntry) { self.entry = entry }

    func stat() throws(SourceError) -> FileStat {
        if entry.fault == "fstat" { throw FakeTree.error("look up") }
        return entry.replacement?.stat ?? entry.stat
    }

    func attributes(_ stat: FileStat) throws(SourceError) -> FileAttributes {
        if entry.fault == "attributes" { throw FakeTree.error("read the extended attributes of") }
        if entry.fault == "an attribute" { throw entry.partError }
        return entry.attributes
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        if entry.fault == "read", offset + UInt64(buffer.count) > entry.faultOffset {
            throw FakeTree.error("read")
        }
        let content = entry.replacement?.content ?? entry.content
        let rest = content.dropFirst(Int(offset)).prefix(buffer.count)
        buffer.copyBytes(from: rest)
        return rest.count
    }

    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? { offset..<size }
    func close() {}
}

/// A target in memory: files, and everything else by its type.
final class MemoryTarget: RestoreTarget {
    enum Item: Equatable, Sendable {
        case file([UInt8])
        case folder
        case other(FileType)
    }

    private let made = Mutex<[[UInt8]: Item]>([:])
    private let asked = Mutex(0)
    private let synchronized = Mutex(0)
    private let begunAtOnce = Mutex<[[UInt8]: UInt16]>([:])
    /// Which call of `synchronize` fails; 0 for none.
    private let failingSync: Int

    /// An empty target.
    init(failingSync: Int = 0) { self.failingSync = failingSync }

    /// How often it was made durable.
    var syncCount: Int { synchronized.withLock { $0 } }

    /// How often it was asked what stands at a path.
    var statCount: Int { asked.withLock { $0 } }

    /// The files that were to be made at once, and their modes.
    var filesAtOnce: [[UInt8]: UInt16] { begunAtOnce.withLock { $0 } }

    /// What is there.
    var items: [[UInt8]: Item] {
        get { made.withLock { $0 } }
        set { made.withLock { $0 = newValue } }
    }

    func set(_ path: [UInt8], _ item: Item) { made.withLock { $0[path] = item } }

    func stat(_ path: [UInt8]) throws(TargetError) -> FileStat? {
        asked.withLock { $0 += 1 }
        switch items[path] {
        case nil: return nil
        case .file(let bytes):
            var stat = FileStat(type: .regular)
            stat.size = UInt64(bytes.count)
            return stat
        case .folder:
            // A folder is known by its number, whatever name led to it.
            var stat = FileStat(type: .directory)
            stat.inode = UInt64(path.hashValue.magnitude) | 1
            return stat
        case .other(let type): return FileStat(type: type)
        }
    }

    func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool {
        if items[path] == .folder { return false }
        guard items[path] == nil else {
            throw TargetError(operation: "make the folder", message: "in the way")
        }
        set(path, .folder)
        return true
    }

    func createFile(
        _ path: [UInt8], size: UInt64, atOnceWithMode mode: UInt16?, replacing: Bool
    ) throws(TargetError) -> any RestoreFile {
        let parent = path.lastIndex(of: UInt8(ascii: "/")).map { Array(path[..<$0]) }
        guard parent == nil || items[parent!] == .folder, replacing || items[path] == nil,
            items[path] != .folder
        else { throw TargetError(operation: "create", message: "in the way, or no folder") }
        begunAtOnce.withLock { $0[path] = mode }
        return MemoryFile(path, size: size, self)
    }

    func makeSpecial(_ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool)
        throws(TargetError) -> [MetadataNote]
    {
        set(path, .other(stat.type))
        return []
    }

    func list(
        _ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void
    ) throws(TargetError) {
        for item in items.keys where item != path && PathOrder.isAtOrBeneath(item, path) {
            let name = item[(path.isEmpty ? 0 : path.count + 1)...]
            if !name.contains(UInt8(ascii: "/")) { visit(name) }
        }
    }

    func rendered(_ time: Timestamp, at path: [UInt8], device: UInt64) -> Timestamp { time }

    func copyFile(
        _ path: [UInt8], from existing: [UInt8], _ stat: FileStat, _ attributes: FileAttributes,
        replacing: Bool
    ) throws(TargetError) -> [MetadataNote] {
        guard let item = items[existing] else { throw TargetError(operation: "copy", message: "absent") }
        set(path, item)
        return []
    }

    func tidy() {}
    func finishTop(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote] { [] }
    func close() {}

    func makeHardLink(_ path: [UInt8], to existing: [UInt8], replacing: Bool) throws(TargetError) {
        guard let item = items[existing] else { throw TargetError(operation: "link", message: "absent") }
        set(path, item)
    }

    func hasSameContent(_ path: [UInt8], as other: [UInt8]) throws(TargetError) -> Bool {
        items[path] == items[other]
    }

    func setMetadata(_ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes) throws(TargetError)
        -> [MetadataNote]
    { [] }

    func synchronize() throws(TargetError) {
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
