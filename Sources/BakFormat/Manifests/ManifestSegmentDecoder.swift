// ManifestSegmentDecoder: decodes a manifest segment, one record at a time.
//
// Always holds: a record that `advance` has returned is valid as a whole. To inspect a record in its segment allocates
// no memory. To get the record as a value (`entry`, `next`) allocates memory; a backup does not do so for unchanged
// files.

import BakCore

/// Decodes and validates the records of one segment. The caller must keep the segment's bytes in memory. Belongs to one
/// thread.
public final class ManifestSegmentDecoder {
    /// The kind of a record.
    public enum RecordKind: Sendable {
        /// A path.
        case entry
        /// Further extents of the preceding file.
        case continuation
    }

    /// The fixed-size part of an entry.
    public struct Fields: Sendable {
        /// The fixed-size metadata.
        public var stat = FileStat(type: .regular)
        /// True if the file changed while it was read.
        public var changedWhileRead = false
        /// True if the file was read so soon after a change that a later change could leave the same timestamps.
        public var isUnsettled = false
        /// When a backup first missed the entry; nil unless it is gone from the source of an archive.
        public var goneSince: Timestamp?
        /// The parts that could not be read.
        public var missing: MissingParts = []
        /// True if this is a regular file whose content is a list of extents.
        public var hasExtents: Bool { form == .extents }
        fileprivate var form = ContentForm.none
        /// The range of the stored content: inline bytes, or a link's target.
        fileprivate var content = 0..<0
        /// The range of the stored extended attributes with their count; empty if there are none.
        fileprivate var attributes = 0..<0
    }

    fileprivate enum ContentForm: Sendable { case none, inline, extents, target }

    // Exclusive access is not checked at run time, because no closure captures these properties. The checks took a
    // tenth of the time of a backup in which nothing had changed.
    @exclusivity(unchecked) private var reader: ByteReader
    /// The number of records that are still to come.
    @exclusivity(unchecked) public private(set) var recordsLeft: Int
    /// The path of the last entry.
    @exclusivity(unchecked) public private(set) var path: [UInt8] = []
    /// The fields of the last entry.
    @exclusivity(unchecked) public private(set) var fields = Fields()
    @exclusivity(unchecked) private var userName: [UInt8] = []
    @exclusivity(unchecked) private var groupName: [UInt8] = []
    /// True if an entry has been read.
    @exclusivity(unchecked) public private(set) var hasEntry = false
    /// The number of bytes that the further paths may still have in total.
    @exclusivity(unchecked) private var pathBytesLeft = FormatLimits.segmentPathBytes
    /// True if the segment's version announces gone entries. `hasGone` is true if one has been read.
    private let announcesGone: Bool
    @exclusivity(unchecked) private var hasGone = false
    /// The ranges of the last record and of its extents.
    @exclusivity(unchecked) private var record = 0..<0
    @exclusivity(unchecked) private var extents = 0..<0
    /// The total length of the last record's extents, in bytes.
    @exclusivity(unchecked) public private(set) var extentBytes: UInt64 = 0
    /// The number of extents of the last record.
    @exclusivity(unchecked) public private(set) var extentCount = 0

    /// Starts before the segment's first record. Errors call the segment `object`.
    ///
    /// - Throws: `CorruptionError` if there are too many bytes, if they end early, or if they need a newer program.
    public init(_ bytes: UnsafeRawBufferPointer, object: String) throws(CorruptionError) {
        reader = ByteReader(bytes, object: object)
        guard bytes.count <= FormatLimits.segmentBytes else {
            throw reader.corruption("a manifest segment of \(bytes.count) bytes")
        }
        let version = try reader.byte()
        announcesGone = version == ManifestSegmentEncoder.versionWithGone
        guard announcesGone || version == ManifestSegmentEncoder.version else {
            throw .unsupported(object: object, "it has manifest version \(version)")
        }
        recordsLeft = try reader.count(upTo: reader.remaining, "the number of records")
    }

    /// Moves to the next record; nil after the last one. Paths increase strictly within the segment.
    ///
    /// - Throws: `CorruptionError` if the record, or the end of the segment, is damaged.
    public func advance() throws(CorruptionError) -> RecordKind? {
        guard recordsLeft > 0 else {
            try reader.expectEnd()
            if announcesGone != hasGone { throw reader.corruption("a version for gone entries, and none") }
            return nil
        }
        recordsLeft -= 1
        let start = reader
        defer { record = start.position..<reader.position }
        switch try reader.byte() {
        case RecordTag.entry:
            try readEntry(start)
            hasEntry = true
            return .entry
        case RecordTag.continuation:
            guard !hasEntry || fields.form == .extents else {
                throw start.corruption("extents after an entry that has none")
            }
            try readExtents(start)
            // A file's extents are limited in number, but its records are not. So without this check, a manifest could
            // give one file any number of records without extents.
            guard extentCount > 0 else { throw start.corruption("further extents, and none") }
            return .continuation
        default: throw start.corruption("an unknown kind of record")
        }
    }

    /// Returns the next record as a value; nil after the last one.
    ///
    /// - Throws: `CorruptionError`, as `advance` does.
    public func next() throws(CorruptionError) -> ManifestRecord? {
        switch try advance() {
        case .entry?: .entry(try entry())
        case .continuation?: .continuation(try extentList())
        case nil: nil
        }
    }

    // MARK: Inspecting the last record

    /// The last record's stored bytes. They are coded against the preceding record, so they are valid only directly
    /// after it.
    public var storedRecord: UnsafeRawBufferPointer { .init(rebasing: reader.bytes[record]) }

    /// Copies the values that the next entry is coded against. The path goes into memory that `context` already has.
    func copyContext(to context: inout EntryContext) {
        context.path.removeAll(keepingCapacity: true)
        context.path.append(contentsOf: path)
        (context.uid, context.gid) = (fields.stat.uid, fields.stat.gid)
        (context.userName, context.groupName) = (userName, groupName)
        context.device = fields.stat.device
    }

    /// True if the last entry's own record has all of its content.
    public var isComplete: Bool { !fields.hasExtents || extentBytes == fields.stat.size }

    /// The number of bytes of inline content in the last record.
    public var inlineBytes: Int { hasEntry && fields.form == .inline ? fields.content.count : 0 }

    /// Returns true if `isTrue` holds for each extent of the last record.
    ///
    /// - Throws: `CorruptionError` if an extent is damaged.
    public func allExtents(_ isTrue: (Extent) -> Bool) throws(CorruptionError) -> Bool {
        guard !extents.isEmpty else { return true }
        var reader = part(extents)
        for _ in 0..<(try reader.count(upTo: FormatLimits.extentsPerRecord, "the number of extents")) {
            if !isTrue(try reader.extent()) { return false }
        }
        return true
    }

    /// Returns the last entry as a value, with the extents of its own record.
    ///
    /// - Throws: `CorruptionError` if its content or attributes are damaged.
    public func entry() throws(CorruptionError) -> ManifestEntry {
        var attributes = FileAttributes()
        (attributes.userName, attributes.groupName) = (userName, groupName)
        var content: FileContent?
        switch fields.form {
        case .none: break
        case .inline: content = .inline(Array(reader.bytes[fields.content]))
        case .extents: content = .extents(try extentList())
        case .target: attributes.linkTarget = Array(reader.bytes[fields.content])
        }
        if !fields.attributes.isEmpty {
            var reader = part(fields.attributes)
            for _ in 0..<(try reader.varint()) {
                let (name, value) = (try reader.knownSlice(), try reader.knownSlice())
                attributes.extendedAttributes.append(
                    ExtendedAttribute(name: Array(name), value: Array(value)))
            }
        }
        return ManifestEntry(
            path: path, stat: fields.stat, attributes: attributes, content: content,
            changedWhileRead: fields.changedWhileRead, isUnsettled: fields.isUnsettled,
            goneSince: fields.goneSince, missing: fields.missing)
    }

    /// Returns a new decoder of the same segment that has already returned the first `count` records. This decoder must
    /// have returned them, too.
    ///
    /// - Throws: `CorruptionError`, as `advance` does.
    public func again(_ count: Int) throws(CorruptionError) -> ManifestSegmentDecoder {
        let decoder = try ManifestSegmentDecoder(reader.bytes, object: reader.object)
        for _ in 0..<count { _ = try decoder.advance() }
        return decoder
    }

    /// Returns the extents of the last record.
    ///
    /// - Throws: `CorruptionError` if one of them is damaged.
    public func extentList() throws(CorruptionError) -> [Extent] {
        var list: [Extent] = []
        _ = try allExtents {
            list.append($0)
            return true
        }
        return list
    }

    private func part(_ range: Range<Int>) -> ByteReader {
        ByteReader(
            UnsafeRawBufferPointer(rebasing: reader.bytes[range]), object: reader.object,
            baseOffset: reader.baseOffset + range.lowerBound)
    }

    // MARK: Reading

    private func readEntry(_ record: ByteReader) throws(CorruptionError) {
        try readPath(record)
        let start = reader
        guard let type = FileType(rawValue: try reader.byte()) else {
            throw start.corruption("an unknown type of entry")
        }
        let flags = try reader.byte()
        var new = Fields()
        new.stat.type = type
        new.changedWhileRead = flags & EntryFlag.changedWhileRead != 0
        new.isUnsettled = flags & EntryFlag.unsettled != 0
        new.stat.mode = UInt16(try reader.count(upTo: 0o7777, "the mode"))
        if flags & EntryFlag.sameOwner == 0 {
            new.stat.uid = UInt32(try reader.count(upTo: Int(UInt32.max), "the owner"))
            new.stat.gid = UInt32(try reader.count(upTo: Int(UInt32.max), "the group"))
            userName = try reader.byteString(upTo: FormatLimits.nameBytes, "the owner's name")
            groupName = try reader.byteString(upTo: FormatLimits.nameBytes, "the group's name")
        } else {
            guard hasEntry else { throw start.corruption("the owner of no entry before") }
            (new.stat.uid, new.stat.gid) = (fields.stat.uid, fields.stat.gid)
        }
        new.stat.mtime = try reader.timestamp()
        new.stat.ctime = try reader.timestamp()
        if flags & EntryFlag.sameDevice == 0 {
            new.stat.device = try reader.varint()
        } else {
            guard hasEntry else { throw start.corruption("the device of no entry before") }
            new.stat.device = fields.stat.device
        }
        new.stat.inode = try reader.varint()
        if flags & EntryFlag.severalLinks != 0 {
            new.stat.linkCount = UInt32(try reader.count(upTo: Int(UInt32.max), "the link count"))
        }
        try readContent(&new, record)
        if flags & EntryFlag.extendedAttributes != 0 { try readAttributes(&new, record) }
        if flags & EntryFlag.gone != 0 {
            guard announcesGone else { throw start.corruption("a gone entry in a segment without them") }
            new.goneSince = try reader.timestamp()
            hasGone = true
        }
        if flags & EntryFlag.missing != 0 {
            new.missing = MissingParts(rawValue: try reader.byte())
            if new.missing.isEmpty { throw record.corruption("missing parts, and none") }
            if let fault = new.missing.fault(of: type) { throw record.corruption(fault) }
        }
        fields = new
    }

    private func readPath(_ record: ByteReader) throws(CorruptionError) {
        let start = reader
        let shared = try reader.count(upTo: path.count, "the shared prefix")
        let suffix = try reader.slice(upTo: FormatLimits.pathBytes - shared, "a path")
        if hasEntry {
            // The paths are equal up to the end of the shared prefix, so what follows it decides their order.
            let rest = path[shared...]
            guard PathOrder.precedes(rest, suffix) else { throw start.corruption("paths are not sorted") }
            // Entries beneath a path follow it directly. So this comparison with the preceding entry finds an entry
            // beneath a file.
            if fields.stat.type != .directory, suffix.count > rest.count,
                suffix[rest.count] == UInt8(ascii: "/"), suffix.starts(with: rest)
            {
                throw start.corruption(ManifestEntry.beneathNoFolder)
            }
        }
        path.removeSubrange(shared...)
        path.append(contentsOf: suffix)
        pathBytesLeft -= path.count
        guard pathBytesLeft >= 0 else { throw start.corruption("too many bytes of paths") }
        // The preceding path was valid, so only names that differ from it need a check. The shared prefix may end
        // inside a name; the check begins with this name.
        let name = path[..<shared].lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        if let fault = ManifestEntry.fault(ofPath: path[name...]) { throw record.corruption(fault) }
    }

    private func readContent(_ new: inout Fields, _ record: ByteReader) throws(CorruptionError) {
        (extents, extentBytes, extentCount) = (0..<0, 0, 0)
        switch new.stat.type {
        case .regular:
            new.stat.size = try reader.varint()
            if new.stat.size > UInt64(Int64.max) {
                throw record.corruption("a file of \(new.stat.size) bytes")
            }
            let start = reader
            switch try reader.byte() {
            case 0:
                let bytes = try reader.slice(upTo: FormatLimits.inlineBytes, "inline content")
                guard UInt64(bytes.count) == new.stat.size else {
                    throw record.corruption("\(bytes.count) inline bytes of \(new.stat.size)")
                }
                new.form = .inline
                new.content = reader.position - bytes.count..<reader.position
            case 1:
                new.form = .extents
                try readExtents(record)
            default: throw start.corruption("an unknown form of content")
            }
        case .symlink:
            let target = try reader.slice(upTo: FormatLimits.pathBytes, "a link's target")
            new.form = .target
            new.content = reader.position - target.count..<reader.position
        case .characterDevice, .blockDevice: new.stat.representedDevice = try reader.varint()
        case .directory, .fifo, .socket: break
        }
    }

    private func readExtents(_ record: ByteReader) throws(CorruptionError) {
        let start = reader.position
        var sum = ExtentSum()
        let count = try reader.count(upTo: FormatLimits.extentsPerRecord, "the number of extents")
        for _ in 0..<count {
            if let fault = sum.add(try reader.extent()) { throw record.corruption(fault) }
        }
        (extents, extentBytes, extentCount) = (start..<reader.position, sum.bytes, count)
    }

    private func readAttributes(_ new: inout Fields, _ record: ByteReader) throws(CorruptionError) {
        let start = reader.position
        var rules = AttributeRules()
        for _ in 0..<(try reader.count(upTo: reader.remaining, "the number of extended attributes")) {
            let name = try reader.slice(upTo: rules.bytesLeft, "an attribute's name")
            let value = try reader.slice(upTo: rules.bytesLeft - name.count, "an attribute's value")
            if let fault = rules.add(name, valueBytes: value.count) { throw record.corruption(fault) }
        }
        new.attributes = start..<reader.position
    }
}

extension ByteReader {
    fileprivate mutating func extent() throws(CorruptionError) -> Extent {
        let start = self
        let coded = try varint()
        let length = coded >> 1
        if coded & 1 == 1 { return .hole(length) }
        guard length <= FormatLimits.blobBytes else { throw start.corruption("a chunk of \(length) bytes") }
        return .chunk(BlobReference(id: try id(), length: UInt32(length)))
    }

    /// Reads a byte string that `advance` has read before, so that its length is known to be valid.
    fileprivate mutating func knownSlice() throws(CorruptionError) -> UnsafeRawBufferPointer {
        try slice(upTo: remaining, "a length")
    }
}
