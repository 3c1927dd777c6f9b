// A manifest segment: a run of a manifest's records, stored as a blob of a manifest pack. An entry is coded against the
// preceding entry of the segment. It leaves out the start of its path, its owner or its device if the preceding entry
// has the same.
//
//   segment  = version (1 byte) | number of records (varint) | record*
//   record   = 1 entry | 2 extents
//   entry    = shared prefix length with the path before | suffix | type 1 | flags 1 | mode
//              | owner unless flag 1: uid, gid, user, group | mtime | ctime
//              | device unless flag 2 | inode | link count if flag 4
//              | by type: regular: size, content; symlink: target; device node: represented device
//              | extended attributes if flag 8: count, (name, value)*
//              | time since when it is gone if flag 64 | missing parts if flag 128: 1 content, 2 attributes
//   content  = 0 bytes | 1 extents
//   extents  = count | (length * 2 + (1 for a hole), id unless a hole)*
//
// Numbers are varints. Strings have a varint length before them. Flag 16: the file changed while it was read. Flag 32:
// it was read so soon after a change that another change could leave the same timestamps. Flag 64: it is gone from the
// source of an archive. Flag 128: a part of it could not be read and is not stored.
//
// A segment with gone entries has version 2, any other has version 1. So a reader that does not know gone entries
// refuses such a segment. `ManifestEntry.fault` holds the rules beyond the grammar, for writers and readers.

import BakCore

enum EntryFlag {
    static let sameOwner: UInt8 = 1
    static let sameDevice: UInt8 = 2
    static let severalLinks: UInt8 = 4
    static let extendedAttributes: UInt8 = 8
    static let changedWhileRead: UInt8 = 16
    static let unsettled: UInt8 = 32
    static let gone: UInt8 = 64
    static let missing: UInt8 = 128
}

enum RecordTag {
    static let entry: UInt8 = 1
    static let continuation: UInt8 = 2
}

/// The values that an entry is coded against: those of the preceding entry in its segment.
struct EntryContext: Sendable {
    var path: [UInt8] = []
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var userName: [UInt8] = []
    var groupName: [UInt8] = []
    var device: UInt64 = 0
}

/// Consecutive unchanged entries in the form in which a parent's segment stores them. They pass into a new segment
/// without being decoded and encoded again.
public struct EntryRun: Sendable {
    /// The number of entries.
    public private(set) var count = 0
    fileprivate(set) var records: [UInt8] = []
    fileprivate(set) var last = EntryContext()
    fileprivate var hasGone = false

    /// Makes an empty run.
    public init() {}

    /// The length of the records in bytes.
    public var byteCount: Int { records.count }

    /// The total length of their paths, in bytes.
    public private(set) var pathBytes = 0

    /// True if the last entry is a folder.
    public private(set) var endsWithFolder = false

    /// The path of the last entry.
    public var lastPath: [UInt8] { last.path }

    /// Appends the entry at which `decoder` stands. In the parent's segment, this entry must directly follow the run's
    /// last entry. If the run is empty, the entry before this one must be the last entry of the new segment.
    public mutating func append(_ decoder: ManifestSegmentDecoder) {
        count += 1
        pathBytes += decoder.path.count
        endsWithFolder = decoder.fields.stat.type == .directory
        if decoder.fields.goneSince != nil { hasGone = true }
        records.append(contentsOf: decoder.storedRecord)
        decoder.copyContext(to: &last)
    }
}

/// Encodes records into one segment.
public struct ManifestSegmentEncoder {
    private var records = ByteWriter()
    private var previous: EntryContext?
    private var hasGone = false
    /// The number of records that have been appended.
    public private(set) var recordCount = 0
    /// The first entry's path. If the segment begins with a continuation, the path that it continues.
    public private(set) var firstPath: [UInt8]?

    /// The version byte at the start of a segment.
    static let version: UInt8 = 1
    /// The version byte of a segment with gone entries.
    static let versionWithGone: UInt8 = 2

    /// Starts an empty segment.
    public init() {}

    /// The encoded length so far, in bytes.
    public var byteCount: Int { records.count }

    /// The total length of all entries' paths, in bytes.
    public private(set) var pathBytes = 0

    /// Appends an entry.
    public mutating func append(_ entry: ManifestEntry) {
        begin(at: entry.path)
        records.byte(RecordTag.entry)
        encode(entry)
        pathBytes += entry.path.count
        previous = EntryContext(
            path: entry.path, uid: entry.stat.uid, gid: entry.stat.gid,
            userName: entry.attributes.userName, groupName: entry.attributes.groupName,
            device: entry.stat.device)
    }

    /// Appends at least one more extent of the file at `path`.
    public mutating func append(continuation extents: [Extent], path: [UInt8]) {
        precondition(!extents.isEmpty, "a record of further extents has some")
        begin(at: path)
        records.byte(RecordTag.continuation)
        encode(extents)
    }

    private mutating func begin(at path: [UInt8]) {
        if firstPath == nil { firstPath = path }
        recordCount += 1
    }

    /// Appends a run. The run's first entry is coded against the entry before it in the parent's segment. So that entry
    /// must be the last one of this segment.
    public mutating func append(_ run: EntryRun) {
        precondition(recordCount > 0, "a run follows an entry")
        records.raw(run.records)
        recordCount += run.count
        pathBytes += run.pathBytes
        if run.hasGone { hasGone = true }
        previous = run.last
    }

    /// Returns the segment.
    public func finish() -> [UInt8] {
        var segment = ByteWriter(reservingCapacity: records.count + 8)
        segment.byte(hasGone ? Self.versionWithGone : Self.version)
        segment.varint(recordCount)
        segment.raw(records.bytes)
        return segment.bytes
    }

    private mutating func encode(_ entry: ManifestEntry) {
        let (stat, attributes) = (entry.stat, entry.attributes)
        let shared = previous.map { PathOrder.sharedBytes($0.path, entry.path) } ?? 0
        records.varint(shared)
        records.byteString(entry.path[shared...])
        var flags: UInt8 = 0
        if let previous {
            if previous.uid == stat.uid, previous.gid == stat.gid,
                previous.userName == attributes.userName, previous.groupName == attributes.groupName
            {
                flags |= EntryFlag.sameOwner
            }
            if previous.device == stat.device { flags |= EntryFlag.sameDevice }
        }
        if stat.linkCount != 1 { flags |= EntryFlag.severalLinks }
        if !attributes.extendedAttributes.isEmpty { flags |= EntryFlag.extendedAttributes }
        if entry.changedWhileRead { flags |= EntryFlag.changedWhileRead }
        if entry.isUnsettled { flags |= EntryFlag.unsettled }
        if !entry.missing.isEmpty { flags |= EntryFlag.missing }
        if entry.goneSince != nil {
            flags |= EntryFlag.gone
            hasGone = true
        }
        records.byte(stat.type.rawValue)
        records.byte(flags)
        records.varint(stat.mode)
        if flags & EntryFlag.sameOwner == 0 {
            records.varint(stat.uid)
            records.varint(stat.gid)
            records.byteString(attributes.userName)
            records.byteString(attributes.groupName)
        }
        records.timestamp(stat.mtime)
        records.timestamp(stat.ctime)
        if flags & EntryFlag.sameDevice == 0 { records.varint(stat.device) }
        records.varint(stat.inode)
        if flags & EntryFlag.severalLinks != 0 { records.varint(stat.linkCount) }
        encodeByType(entry)
        if flags & EntryFlag.extendedAttributes != 0 {
            records.varint(attributes.extendedAttributes.count)
            for attribute in attributes.extendedAttributes {
                records.byteString(attribute.name)
                records.byteString(attribute.value)
            }
        }
        if let goneSince = entry.goneSince { records.timestamp(goneSince) }
        if !entry.missing.isEmpty { records.byte(entry.missing.rawValue) }
    }

    private mutating func encodeByType(_ entry: ManifestEntry) {
        switch entry.stat.type {
        case .regular:
            records.varint(entry.stat.size)
            switch entry.content ?? .extents([]) {
            case .inline(let bytes):
                records.byte(0)
                records.byteString(bytes)
            case .extents(let extents):
                records.byte(1)
                encode(extents)
            }
        case .symlink: records.byteString(entry.attributes.linkTarget)
        case .characterDevice, .blockDevice: records.varint(entry.stat.representedDevice)
        case .directory, .fifo, .socket: break
        }
    }

    private mutating func encode(_ extents: [Extent]) {
        precondition(extents.count <= FormatLimits.extentsPerRecord)
        records.varint(extents.count)
        for extent in extents {
            switch extent {
            case .chunk(let reference):
                records.varint(UInt64(reference.length) << 1)
                records.id(reference.id)
            case .hole(let length): records.varint(length << 1 | 1)
            }
        }
    }
}
