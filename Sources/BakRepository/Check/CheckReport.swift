// CheckReport: the depth of a check, its events and its report.

import BakCore
import BakFormat

/// How much a check reads.
public enum CheckDepth: Sendable, Equatable {
    /// Listings, every index segment and manifest, and every pack's header and footer. Packs that an earlier check
    /// found damaged are read as a whole.
    case structure
    /// All of `structure`, and every byte of the chosen packs. The packs that have not been read for longest come
    /// first.
    case readData(PackSubset)

    /// All of `structure`, and every byte of every pack.
    public static let readData = CheckDepth.readData(.all)
}

/// The packs to read as a whole.
public enum PackSubset: Sendable, Equatable {
    /// Every pack.
    case all
    /// One of several parts of about equal size, counted from 1. As long as the number of parts is the same, a pack
    /// always belongs to the same part.
    case part(Int, of: Int)
    /// Packs with this percentage of the bytes of all packs.
    case percent(Double)
    /// Packs with this many bytes together, but at least one pack.
    case bytes(UInt64)

    /// Parses `2/5`, `10%` or a size; nil for anything else.
    public init?(_ text: String) {
        if let slash = text.firstIndex(of: "/") {
            guard let number = Int(text[..<slash]), let parts = Int(text[text.index(after: slash)...]),
                (1...1_000_000).contains(parts), (1...parts).contains(number)
            else { return nil }
            self = .part(number, of: parts)
        } else if text.hasSuffix("%") {
            let digits = text.dropLast()
            guard digits.first?.isNumber == true, let percent = Double(digits), percent > 0, percent <= 100
            else { return nil }
            self = .percent(percent)
        } else {
            guard text.last?.isLetter == true, let bytes = ByteSize.parse(text), bytes > 0 else { return nil }
            self = .bytes(bytes)
        }
    }
}

/// A finding or a step of a check.
public enum CheckEvent: Sendable {
    /// A step begins.
    case step(String)
    /// An object is damaged or missing.
    case damage(object: String, reason: String)
    /// The medium refuses to return an object's bytes.
    case unreadable(object: String, reason: String)
    /// A newer program made an object, and only such a program can check it.
    case unsupported(object: String, reason: String)
    /// A file of a snapshot cannot be restored as it was.
    case affectedFile(snapshot: ID128, path: [UInt8], reason: String)
    /// A snapshot cannot be read, or only in part.
    case affectedSnapshot(snapshot: ID128, reason: String)
    /// An object is damaged, but nothing that is needed is lost with it.
    case harmless(object: String, reason: String)
    /// Nothing refers to an object; it does no harm.
    case unused(object: String, reason: String)
    /// The bytes of packs verified so far, and the bytes to verify in total.
    case progress(doneBytes: UInt64, totalBytes: UInt64)
}

/// The repairs that a check can advise, in the order in which to run them.
public enum Repair: String, Sendable, CaseIterable {
    /// For an index that does not name all blobs of its packs.
    case index
    /// For damaged or missing packs.
    case packs
    /// For snapshots that have lost content.
    case snapshots
}

/// The extent and the findings of a check.
public struct CheckReport: Sendable, Equatable {
    /// The number of snapshots checked.
    public var snapshots = 0
    /// The number of packs that the index names.
    public var packs = 0
    /// Their bytes.
    public var packBytes: UInt64 = 0
    /// The number of blobs in these packs.
    public var blobs = 0
    /// The number of packs read and verified.
    public var verifiedPacks = 0
    /// The bytes of packs read and verified.
    public var verifiedBytes: UInt64 = 0
    /// True if the time ran out before all chosen packs had been read.
    public var ranOutOfTime = false
    /// The bytes of packs that this machine has read and found whole, in this check or an earlier one.
    public var everReadBytes: UInt64 = 0
    /// The bytes of packs that this check has read and found damaged.
    public var faultyReadBytes: UInt64 = 0
    /// The bytes of packs that are missing.
    public var missingBytes: UInt64 = 0
    /// For each pack, this machine knows when it last read the pack and found it whole. This is the oldest of these
    /// times; nil if there is none.
    public var readSince: Timestamp?
    /// The number of packs that the index does not name. Interrupted runs left these packs, or a repair gave them up.
    public var unusedPacks = 0
    /// Their bytes.
    public var unusedBytes: UInt64 = 0
    /// The number of damaged or missing objects.
    public var damagedObjects = 0
    /// The number of objects that the medium refuses to return. They do not count as damaged objects.
    public var unreadableObjects = 0
    /// True if the system does not let this user read some objects. Then it is unknown what a repair could do.
    public var hasRefused = false
    /// The number of objects that a newer program made.
    public var unsupportedObjects = 0
    /// The number of damaged objects with which nothing is lost. They are not in `damagedObjects`.
    public var harmlessObjects = 0
    /// The number of files that cannot be restored as they were, counted in each snapshot that has them.
    public var affectedFiles = 0
    /// The number of snapshots that have affected files or cannot be read.
    public var affectedSnapshots = 0
    /// The number of affected snapshots whose record or manifest cannot be read as a whole. `affectedFiles` does not
    /// count all of their files.
    public var unlistedSnapshots = 0
    /// True if snapshots lack content or manifests. The next backup stores these again if the sources still have them.
    public var lacksContent = false
    /// The number of obstructions that keep the program from listing, forgetting or pruning a snapshot. They count as
    /// damaged objects.
    public var obstructions = 0
    /// The snapshots whose forget marker does not open. The markers count as damaged objects.
    public var damagedMarkers: [ID128] = []
    /// The number of vouches of which no copy can be read. They count as damaged objects.
    public var damagedVouches = 0
    /// The affected snapshots for which a repair can do nothing more.
    public var hopelessSnapshots: [ID128] = []
    /// The repairs that would help.
    public var repairs: Set<Repair> = []
    /// True if the user ended the check early.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}

    /// True if this check has read every byte of every pack that is not missing.
    public var hasReadAll: Bool { verifiedBytes >= packBytes - min(packBytes, missingBytes) }

    /// The repairs that would help, in the order in which to run them.
    public var repairsInOrder: [Repair] { Repair.allCases.filter(repairs.contains) }

    /// True if the check found nothing wrong.
    public var isClean: Bool {
        damagedObjects == 0 && unreadableObjects == 0 && affectedFiles == 0 && affectedSnapshots == 0
    }
}

/// The packs and the single blobs that cannot be read.
struct DamagedBlobs {
    var packs: Set<ID128> = []
    var blobs: Set<BlobLocation> = []

    var isEmpty: Bool { packs.isEmpty && blobs.isEmpty }

    func contains(_ location: BlobLocation) -> Bool {
        packs.contains(location.pack) || blobs.contains(location)
    }
}
