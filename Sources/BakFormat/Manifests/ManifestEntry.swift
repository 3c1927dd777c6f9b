// A path in a manifest, with its metadata and content. A manifest is a stream of records sorted by path. A record is an
// entry, or further extents of the preceding file.

import BakCore

/// A blob, named by its id and its length before compression. Two references are equal only if both the id and the
/// length are.
public struct BlobReference: Hashable, Sendable {
    /// The blob's id.
    public var id: ID128
    /// Its length before compression, in bytes.
    public var length: UInt32

    /// Makes a reference.
    @inlinable
    public init(id: ID128, length: UInt32) {
        self.id = id
        self.length = length
    }
}

/// A part of a file's content.
public enum Extent: Hashable, Sendable {
    /// A chunk, by its id and length.
    case chunk(BlobReference)
    /// A hole of this many bytes, which reads as zeros.
    case hole(UInt64)

    /// The length in bytes.
    public var length: UInt64 {
        switch self {
        case .chunk(let reference): UInt64(reference.length)
        case .hole(let length): length
        }
    }
}

/// A regular file's content.
public enum FileContent: Hashable, Sendable {
    /// The content itself.
    case inline([UInt8])
    /// Chunks and holes in the order of the file. More may follow in continuation records.
    case extents([Extent])
}

/// One path of a snapshot.
public struct ManifestEntry: Equatable, Sendable {
    /// The path: components joined by '/', without a leading slash.
    public var path: [UInt8]
    /// The fixed-size metadata; `allocatedBytes` is not stored.
    public var stat: FileStat
    /// The owner's names, the link target and the extended attributes.
    public var attributes: FileAttributes
    /// A regular file's content; nil for every other type.
    public var content: FileContent?
    /// True if the file changed while it was read. The stored content may never have existed as a whole, so the next
    /// backup reads the file again.
    public var changedWhileRead: Bool
    /// True if the file was read so soon after a change that a later change could leave the same timestamps. The next
    /// backup reads it again.
    public var isUnsettled: Bool
    /// In an archive: when a backup first missed the entry in the source; nil while the source has it.
    public var goneSince: Timestamp?
    /// The parts that could not be read. The next backup reads the entry again.
    public var missing: MissingParts

    /// Makes an entry.
    public init(
        path: [UInt8], stat: FileStat, attributes: FileAttributes, content: FileContent?,
        changedWhileRead: Bool = false, isUnsettled: Bool = false, goneSince: Timestamp? = nil,
        missing: MissingParts = []
    ) {
        self.path = path
        self.stat = stat
        self.attributes = attributes
        self.content = content
        self.changedWhileRead = changedWhileRead
        self.isUnsettled = isUnsettled
        self.goneSince = goneSince
        self.missing = missing
    }
}

extension ManifestEntry {
    /// The reason why the entry cannot be stored; nil if it can. Writers check it before encoding, and decoders check
    /// the same rules.
    public var fault: String? { fault(after: []) }

    /// Returns the same as `fault`. `possible` is a path that passed the check. The prefix that both paths share is not
    /// checked again.
    public func fault(after possible: [UInt8]) -> String? {
        if path.count > FormatLimits.pathBytes { return Self.fault(ofPath: path[...]) }
        let shared = path[..<PathOrder.sharedBytes(possible, path)]
        let name = shared.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        if let fault = Self.fault(ofPath: path[name...]) { return fault }
        if stat.mode > 0o7777 { return "mode \(String(stat.mode, radix: 8))" }
        if stat.mtime.nanoseconds > 999_999_999 || stat.ctime.nanoseconds > 999_999_999
            || goneSince.map({ $0.nanoseconds > 999_999_999 }) == true
        {
            return "a time of over 10^9 nanoseconds"
        }
        if let fault = missing.fault(of: stat.type) { return fault }
        if attributes.userName.count > FormatLimits.nameBytes
            || attributes.groupName.count > FormatLimits.nameBytes
        {
            return "an owner's name of over \(FormatLimits.nameBytes) bytes"
        }
        if attributes.linkTarget.count > FormatLimits.pathBytes {
            return "a link's target of \(attributes.linkTarget.count) bytes"
        }
        return attributeFault ?? contentFault
    }

    private var attributeFault: String? {
        var rules = AttributeRules()
        for attribute in attributes.extendedAttributes {
            let fault = attribute.name.withUnsafeBytes {
                rules.add($0, valueBytes: attribute.value.count)
            }
            if let fault { return fault }
        }
        return nil
    }

    private var contentFault: String? {
        guard stat.type == .regular else {
            return content == nil ? nil : "content of an entry that is not a file"
        }
        if stat.size > UInt64(Int64.max) { return "a file of \(stat.size) bytes" }
        switch content {
        case nil: return "a file without content"
        case .inline(let bytes):
            if bytes.count > FormatLimits.inlineBytes { return "\(bytes.count) inline bytes" }
            return UInt64(bytes.count) == stat.size ? nil : "\(bytes.count) inline bytes of \(stat.size)"
        case .extents(let extents):
            if extents.count > FormatLimits.extentsPerFile { return "a file of \(extents.count) extents" }
            var sum = ExtentSum()
            for extent in extents { if let fault = sum.add(extent) { return fault } }
            return nil
        }
    }

    /// The fault of an entry whose path lies beneath a file, a link or a device.
    public static let beneathNoFolder = "an entry beneath an item that is not a folder"

    /// Returns the fault of a path; nil if it has no empty, `.` or `..` component, no NUL and no excess length.
    static func fault(ofPath path: ArraySlice<UInt8>) -> String? {
        if path.count > FormatLimits.pathBytes { return "a path of \(path.count) bytes" }
        let isPossible = path.withUnsafeBufferPointer { path in
            var nameBytes = 0
            var dots = 0
            for byte in path {
                if byte == UInt8(ascii: "/") {
                    guard isPossibleName(nameBytes, dots) else { return false }
                    (nameBytes, dots) = (0, 0)
                    continue
                }
                if byte == 0 { return false }
                nameBytes += 1
                if byte == UInt8(ascii: ".") { dots += 1 }
            }
            return isPossibleName(nameBytes, dots)
        }
        return isPossible ? nil : "a path with an impossible component"
    }

    /// True if a component of `bytes` bytes, of which `dots` are dots, can be a name.
    private static func isPossibleName(_ bytes: Int, _ dots: Int) -> Bool {
        bytes > 0 && bytes <= FormatLimits.nameBytes && !(dots == bytes && dots <= 2)
    }
}

extension MissingParts {
    /// All parts that the format knows.
    private static let all: MissingParts = [.content, .attributes]

    /// Returns the reason why an entry of a type cannot miss these parts; nil if it can.
    func fault(of type: FileType) -> String? {
        if !isSubset(of: .all) { return "missing parts \(rawValue)" }
        return contains(.content) && type != .regular ? "missing content of an entry that is not a file" : nil
    }
}

/// Adds up the lengths of successive extents, and checks that the extents can be part of a file.
public struct ExtentSum {
    /// The total length of the extents, in bytes.
    public private(set) var bytes: UInt64 = 0

    /// Starts without extents.
    public init() {}

    /// Adds an extent. Returns its fault; nil if it has none.
    public mutating func add(_ extent: Extent) -> String? {
        if extent.length == 0 { return "an empty extent" }
        if case .chunk(let reference) = extent, reference.length > FormatLimits.blobBytes {
            return "a chunk of \(reference.length) bytes"
        }
        let (sum, overflow) = bytes.addingReportingOverflow(extent.length)
        if overflow || sum > UInt64(Int64.max) { return "extents of over 2^63 bytes" }
        bytes = sum
        return nil
    }
}

/// Checks the extended attributes of one entry, one after another.
struct AttributeRules {
    private var last: [UInt8] = []
    private(set) var bytesLeft = FormatLimits.extendedAttributeBytes

    /// Takes the next attribute. Returns its fault; nil if it has none.
    mutating func add(_ name: UnsafeRawBufferPointer, valueBytes: Int) -> String? {
        if name.contains(0) { return "an attribute's name with a zero byte" }
        // `last` is empty at first. The first name must sort after it, so an empty name is refused.
        if !last.lexicographicallyPrecedes(name) { return "attributes are not sorted" }
        last = Array(name)
        bytesLeft -= name.count + valueBytes
        return bytesLeft < 0
            ? "over \(FormatLimits.extendedAttributeBytes) bytes of extended attributes" : nil
    }
}

/// An element of a manifest.
public enum ManifestRecord: Equatable, Sendable {
    /// A path.
    case entry(ManifestEntry)
    /// Further extents of the preceding regular file.
    case continuation([Extent])
}
