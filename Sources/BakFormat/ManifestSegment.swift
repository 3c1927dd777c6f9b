// A manifest segment: a run of a manifest's records, stored as a blob of a manifest pack. Paths and what
// repeats from entry to entry are coded against the entry before in the same segment.
//
//   segment  = version 1 (1 byte) | number of records (varint) | record*
//   record   = 1 entry | 2 extents
//   entry    = shared prefix length with the path before | suffix | type 1 | flags 1 | mode
//              | owner unless flag 1: uid, gid, user, group | mtime | ctime
//              | device unless flag 2 | inode | link count if flag 4
//              | by type: regular: size, content; symlink: target; device node: represented device
//              | extended attributes if flag 8: count, (name, value)*
//   content  = 0 bytes | 1 extents
//   extents  = count | (length * 2 + (1 for a hole), id unless a hole)*
//
// Numbers are varints, strings have a varint length before them. Flag 16: changed while it was read; flag 32:
// read so soon after a change that another could carry the same timestamps. `ManifestEntry.fault` holds the
// rules that go beyond the grammar, for writers and readers alike.

import BakCore

private enum Flag {
    static let sameOwner: UInt8 = 1
    static let sameDevice: UInt8 = 2
    static let severalLinks: UInt8 = 4
    static let extendedAttributes: UInt8 = 8
    static let changedWhileRead: UInt8 = 16
    static let unsettled: UInt8 = 32
    static let known: UInt8 = 63
}

private enum RecordTag {
    static let entry: UInt8 = 1
    static let continuation: UInt8 = 2
}

/// Encodes records into one segment.
public struct ManifestSegmentEncoder {
    private var records = ByteWriter()
    private var previous: ManifestEntry?
    /// How many records have been appended.
    public private(set) var recordCount = 0
    /// The first entry's path; for a segment that begins with a continuation, the path it continues.
    public private(set) var firstPath: [UInt8]?

    /// The version byte at the start of a segment.
    static let version: UInt8 = 1

    /// Starts an empty segment.
    public init() {}

    /// The encoded length so far in bytes.
    public var byteCount: Int { records.count }

    /// Appends a record; `path` is the path that a continuation belongs to.
    public mutating func append(_ record: ManifestRecord, path: [UInt8]) {
        if firstPath == nil { firstPath = path }
        recordCount += 1
        switch record {
        case .entry(let entry):
            records.byte(RecordTag.entry)
            append(entry)
            previous = entry
        case .continuation(let extents):
            records.byte(RecordTag.continuation)
            append(extents)
        }
    }

    /// The segment.
    public func finish() -> [UInt8] {
        var segment = ByteWriter(reservingCapacity: records.count + 8)
        segment.byte(Self.version)
        segment.varint(recordCount)
        segment.raw(records.bytes)
        return segment.bytes
    }

    private mutating func append(_ entry: ManifestEntry) {
        let (stat, attributes) = (entry.stat, entry.attributes)
        let shared = previous.map { zip($0.path, entry.path).prefix { $0 == $1 }.count } ?? 0
        records.varint(shared)
        records.byteString(entry.path[shared...])
        var flags: UInt8 = 0
        if let previous {
            if previous.stat.uid == stat.uid, previous.stat.gid == stat.gid,
                previous.attributes.userName == attributes.userName,
                previous.attributes.groupName == attributes.groupName
            {
                flags |= Flag.sameOwner
            }
            if previous.stat.device == stat.device { flags |= Flag.sameDevice }
        }
        if stat.linkCount != 1 { flags |= Flag.severalLinks }
        if !attributes.extendedAttributes.isEmpty { flags |= Flag.extendedAttributes }
        if entry.changedWhileRead { flags |= Flag.changedWhileRead }
        if entry.isUnsettled { flags |= Flag.unsettled }
        records.byte(stat.type.rawValue)
        records.byte(flags)
        records.varint(stat.mode)
        if flags & Flag.sameOwner == 0 {
            records.varint(stat.uid)
            records.varint(stat.gid)
            records.byteString(attributes.userName)
            records.byteString(attributes.groupName)
        }
        records.timestamp(stat.mtime)
        records.timestamp(stat.ctime)
        if flags & Flag.sameDevice == 0 { records.varint(stat.device) }
        records.varint(stat.inode)
        if flags & Flag.severalLinks != 0 { records.varint(stat.linkCount) }
        appendByType(entry)
        if flags & Flag.extendedAttributes != 0 {
            records.varint(attributes.extendedAttributes.count)
            for attribute in attributes.extendedAttributes {
                records.byteString(attribute.name)
                records.byteString(attribute.value)
            }
        }
    }

    private mutating func appendByType(_ entry: ManifestEntry) {
        switch entry.stat.type {
        case .regular:
            records.varint(entry.stat.size)
            switch entry.content ?? .extents([]) {
            case .inline(let bytes):
                records.byte(0)
                records.byteString(bytes)
            case .extents(let extents):
                records.byte(1)
                append(extents)
            }
        case .symlink: records.byteString(entry.attributes.linkTarget)
        case .characterDevice, .blockDevice: records.varint(entry.stat.representedDevice)
        case .directory, .fifo, .socket: break
        }
    }

    private mutating func append(_ extents: [Extent]) {
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

/// Decodes and validates the records of one segment, one at a time. It borrows the bytes.
public struct ManifestSegmentDecoder {
    private var reader: ByteReader
    /// How many records are still to come.
    public private(set) var recordsLeft: Int
    private var previous: ManifestEntry?

    /// Starts at the segment's first record; `object` names it in errors.
    public init(_ bytes: UnsafeRawBufferPointer, object: String) throws(CorruptionError) {
        reader = ByteReader(bytes, object: object)
        guard bytes.count <= FormatLimits.segmentBytes else {
            throw reader.corruption("a manifest segment of \(bytes.count) bytes")
        }
        let version = try reader.byte()
        guard version == ManifestSegmentEncoder.version else {
            throw .unsupported(object: object, "it has manifest version \(version)")
        }
        recordsLeft = try reader.count(upTo: reader.remaining, "the number of records")
    }

    /// The next record; nil after the last. Paths increase strictly within the segment.
    public mutating func next() throws(CorruptionError) -> ManifestRecord? {
        guard recordsLeft > 0 else {
            try reader.expectEnd()
            return nil
        }
        recordsLeft -= 1
        let start = reader
        switch try reader.byte() {
        case RecordTag.entry:
            let entry = try entry()
            if let fault = entry.fault { throw start.corruption(fault) }
            previous = entry
            return .entry(entry)
        case RecordTag.continuation:
            if let previous {
                guard previous.stat.type == .regular, case .extents = previous.content else {
                    throw start.corruption("extents after an entry that has none")
                }
            }
            let extents = try extents()
            if let fault = Extent.fault(of: extents) { throw start.corruption(fault) }
            return .continuation(extents)
        default: throw start.corruption("an unknown kind of record")
        }
    }

    private mutating func entry() throws(CorruptionError) -> ManifestEntry {
        let path = try path()
        let start = reader
        guard let type = FileType(rawValue: try reader.byte()) else {
            throw start.corruption("an unknown type of entry")
        }
        var stat = FileStat(type: type)
        var attributes = FileAttributes()
        let flags = try reader.byte()
        guard flags & ~Flag.known == 0 else { throw start.corruption("unknown flags \(flags)") }
        stat.mode = UInt16(try reader.count(upTo: 0o7777, "the mode"))
        if flags & Flag.sameOwner == 0 {
            stat.uid = UInt32(try reader.count(upTo: Int(UInt32.max), "the owner"))
            stat.gid = UInt32(try reader.count(upTo: Int(UInt32.max), "the group"))
            attributes.userName = try reader.byteString(upTo: 1024, "the owner's name")
            attributes.groupName = try reader.byteString(upTo: 1024, "the group's name")
        } else {
            guard let previous else { throw start.corruption("the owner of no entry before") }
            stat.uid = previous.stat.uid
            stat.gid = previous.stat.gid
            attributes.userName = previous.attributes.userName
            attributes.groupName = previous.attributes.groupName
        }
        stat.mtime = try reader.timestamp()
        stat.ctime = try reader.timestamp()
        if flags & Flag.sameDevice == 0 {
            stat.device = try reader.varint()
        } else {
            guard let previous else { throw start.corruption("the device of no entry before") }
            stat.device = previous.stat.device
        }
        stat.inode = try reader.varint()
        if flags & Flag.severalLinks != 0 {
            stat.linkCount = UInt32(try reader.count(upTo: Int(UInt32.max), "the link count"))
        }
        var content: FileContent?
        switch type {
        case .regular:
            stat.size = try reader.varint()
            content = try fileContent()
        case .symlink:
            attributes.linkTarget = try reader.byteString(upTo: FormatLimits.pathBytes, "a link's target")
        case .characterDevice, .blockDevice: stat.representedDevice = try reader.varint()
        case .directory, .fifo, .socket: break
        }
        if flags & Flag.extendedAttributes != 0 { attributes.extendedAttributes = try extendedAttributes() }
        return ManifestEntry(
            path: path, stat: stat, attributes: attributes, content: content,
            changedWhileRead: flags & Flag.changedWhileRead != 0, isUnsettled: flags & Flag.unsettled != 0)
    }

    private mutating func path() throws(CorruptionError) -> [UInt8] {
        let start = reader
        let shared = try reader.count(upTo: previous?.path.count ?? 0, "the shared prefix")
        let suffix = try reader.byteString(upTo: FormatLimits.pathBytes - shared, "a path")
        let path = Array((previous?.path[..<shared] ?? []) + suffix)
        // What both share cannot decide their order.
        if let previous, !PathOrder.precedes(previous.path[shared...], path[shared...]) {
            throw start.corruption("paths are not sorted")
        }
        return path
    }

    private mutating func fileContent() throws(CorruptionError) -> FileContent {
        let start = reader
        switch try reader.byte() {
        case 0: return .inline(try reader.byteString(upTo: FormatLimits.inlineBytes, "inline content"))
        case 1: return .extents(try extents())
        default: throw start.corruption("an unknown form of content")
        }
    }

    private mutating func extents() throws(CorruptionError) -> [Extent] {
        let count = try reader.count(upTo: FormatLimits.extentsPerRecord, "the number of extents")
        var extents: [Extent] = []
        extents.reserveCapacity(min(count, reader.remaining / 2))
        for _ in 0..<count {
            let start = reader
            let coded = try reader.varint()
            let length = coded >> 1
            if coded & 1 == 1 {
                extents.append(.hole(length))
            } else {
                guard length <= FormatLimits.blobBytes else {
                    throw start.corruption("a chunk of \(length) bytes")
                }
                extents.append(.chunk(BlobReference(id: try reader.id(), length: UInt32(length))))
            }
        }
        return extents
    }

    private mutating func extendedAttributes() throws(CorruptionError) -> [ExtendedAttribute] {
        var budget = FormatLimits.extendedAttributeBytes
        var attributes: [ExtendedAttribute] = []
        for _ in 0..<(try reader.count(upTo: reader.remaining, "the number of extended attributes")) {
            let name = try reader.byteString(upTo: budget, "an attribute's name")
            budget -= name.count
            let value = try reader.byteString(upTo: budget, "an attribute's value")
            budget -= value.count
            attributes.append(ExtendedAttribute(name: name, value: value))
        }
        return attributes
    }
}
