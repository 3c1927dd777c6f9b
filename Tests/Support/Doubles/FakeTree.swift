// FakeTree: a source in memory that is fast enough for thousands of cases.

import BakCore
import BakStorage
import Synchronization

/// A source in memory. A walk visits its entries in the given order.
public final class FakeTree: SourceTree {
    /// The entries in the order of a walk.
    public let entries: [FakeEntry]
    /// The device of `/`, if a test gives one.
    public let topDevice: UInt64?
    /// How far the inode numbers and times of each device can be trusted. A device that is not listed counts as a local
    /// disk.
    public let media: [UInt64: MediumEvidence]
    /// The paths that were opened.
    public let opened = Mutex<[[UInt8]]>([])

    /// Makes a source of `entries`.
    public init(_ entries: [FakeEntry], topDevice: UInt64? = nil, media: [UInt64: MediumEvidence] = [:]) {
        self.entries = entries
        self.media = media
        self.topDevice = topDevice
    }

    /// Visits the entries, or reports their faults.
    public func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
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

    /// Returns the error of a fault.
    public static func error(_ operation: String, isNotFound: Bool = false) -> SourceError {
        SourceError(operation: operation, message: "injected", isNotFound: isNotFound)
    }

    private func entry(_ path: [UInt8]) throws(SourceError) -> FakeEntry {
        guard let entry = entries.first(where: { $0.path == path }) else {
            throw Self.error("open", isNotFound: true)
        }
        return entry
    }

    /// Opens a file, or throws if the entry's fault is about opening.
    public func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        let entry = try entry(path)
        opened.withLock { $0.append(path) }
        if entry.fault == "open" { throw Self.error("open") }
        if entry.fault == "vanish" { throw Self.error("open", isNotFound: true) }
        return FakeFile(entry)
    }

    /// Returns an entry's attributes, or throws if the entry's fault is about them.
    public func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        let entry = try entry(path)
        if entry.fault == "attributes" { throw Self.error("read the extended attributes of") }
        if entry.fault == "an attribute" { throw entry.partError }
        return entry.attributes
    }

    /// Returns the same account names for every id.
    public func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { (Array("u".utf8), []) }

    /// Returns the judgement of the device in `stat`.
    public func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence {
        media[stat.device] ?? MediumEvidence(hasIdentity: true, granularityNanoseconds: 10_000_000)
    }
}

extension FakeTree {
    /// The items that a restore of all entries must make.
    public var expected: [[UInt8]: MemoryTarget.Item] {
        Dictionary(
            entries.map { entry in
                switch entry.stat.type {
                case .regular: (entry.path, .file(entry.content))
                case .directory: (entry.path, .folder)
                default: (entry.path, .other(entry.stat.type))
                }
            }, uniquingKeysWith: { first, _ in first })
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

extension FakeEntry {
    /// The error of an extended attribute that cannot be read. It carries the attributes that can be read.
    fileprivate var partError: SourceError {
        var error = FakeTree.error("read an extended attribute of")
        error.readAttributes = attributes
        return error
    }
}
