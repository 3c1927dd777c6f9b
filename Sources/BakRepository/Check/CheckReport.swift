// What a check is asked to read, what it finds, and how it tells.

import BakCore
import BakFormat

/// How much a check reads.
public enum CheckDepth: Sendable, Equatable {
    /// Listings, every index segment and manifest, every pack's header and footer. What an earlier check found damaged
    /// is read as a whole.
    case structure
    /// That, and every byte of the chosen packs, those first that have not been read for longest.
    case readData(PackSubset)

    /// That, and every byte of every pack.
    public static let readData = CheckDepth.readData(.all)
}

/// Which packs are read as a whole.
public enum PackSubset: Sendable, Equatable {
    /// Every pack.
    case all
    /// The n-th of so many parts of about one size. A pack always falls into the same part.
    case part(Int, of: Int)
    /// So many hundredths of the bytes of all packs.
    case percent(Double)
    /// Packs of so many bytes together, one pack at least.
    case bytes(UInt64)

    /// Reads `2/5`, `10%` or a size; nil for anything else.
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
            guard let bytes = ByteSize.parse(text), bytes > 0 else { return nil }
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
    /// The medium does not give an object's bytes.
    case unreadable(object: String, reason: String)
    /// An object was made by a newer program, which alone can check it.
    case unsupported(object: String, reason: String)
    /// A file of a snapshot cannot be restored as it was.
    case affectedFile(snapshot: ID128, path: [UInt8], reason: String)
    /// A snapshot cannot be read, or not as a whole.
    case affectedSnapshot(snapshot: ID128, reason: String)
    /// An object is damaged, and nothing that is needed is lost by it.
    case harmless(object: String, reason: String)
    /// Something is there that nothing refers to; it does no harm.
    case unused(object: String, reason: String)
    /// So many of so many bytes of packs have been verified.
    case progress(doneBytes: UInt64, totalBytes: UInt64)
}

/// What would make up for what a check found, in the order in which it is to be done.
public enum Repair: String, Sendable, CaseIterable {
    /// The index does not say what the packs hold.
    case index
    /// Packs are damaged or missing.
    case packs
    /// Snapshots have lost content.
    case snapshots
}

/// What a check looked at and found.
public struct CheckReport: Sendable, Equatable {
    /// Snapshots looked at.
    public var snapshots = 0
    /// Packs that the index names.
    public var packs = 0
    /// Their bytes.
    public var packBytes: UInt64 = 0
    /// Blobs in them.
    public var blobs = 0
    /// Packs read and verified.
    public var verifiedPacks = 0
    /// Bytes of packs read and verified.
    public var verifiedBytes: UInt64 = 0
    /// Whether the time given was over before all chosen packs had been read.
    public var ranOutOfTime = false
    /// Bytes of packs that this machine has read and found whole, in this check or an earlier one.
    public var everReadBytes: UInt64 = 0
    /// Bytes of packs that this check has read and not found whole.
    public var faultyReadBytes: UInt64 = 0
    /// Bytes of packs that are missing.
    public var missingBytes: UInt64 = 0
    /// Since when it has read what is whole; nil when it has read none.
    public var readSince: Timestamp?
    /// Packs that nothing refers to, left by interrupted runs or given up by a repair.
    public var unusedPacks = 0
    /// Their bytes.
    public var unusedBytes: UInt64 = 0
    /// Damaged or missing objects.
    public var damagedObjects = 0
    /// Objects that the medium does not give, beside the damaged ones.
    public var unreadableObjects = 0
    /// Whether the system does not let this user read some of them: what a repair would make of that is not known.
    public var hasRefused = false
    /// Objects made by a newer program.
    public var unsupportedObjects = 0
    /// Damaged objects by which nothing is lost, beside those above.
    public var harmlessObjects = 0
    /// Files that cannot be restored as they were, counted in each snapshot that has them.
    public var affectedFiles = 0
    /// Snapshots that have such files or cannot be read.
    public var affectedSnapshots = 0
    /// Those of which the list of files cannot be read as a whole, so that not all affected files are counted.
    public var unlistedSnapshots = 0
    /// Whether snapshots lack content or lists of files, which the next backup stores again if the sources still have
    /// it.
    public var lacksContent = false
    /// Things in the place of objects that keep a snapshot from being known, forgotten or pruned. They count as damaged
    /// objects.
    public var obstructions = 0
    /// Snapshots whose forget marker does not open. These count as damaged objects.
    public var damagedMarkers: [ID128] = []
    /// Vouches of which no copy can be read. They count as damaged objects.
    public var damagedVouches = 0
    /// Those of which a repair can bring back nothing, or no more than it has.
    public var hopelessSnapshots: [ID128] = []
    /// What makes up for it.
    public var repairs: Set<Repair> = []
    /// Whether the user ended it before its end.
    public var wasInterrupted = false

    /// Makes an empty report.
    public init() {}

    /// Whether every byte of every pack that is there has been read by this check.
    public var hasReadAll: Bool { verifiedBytes >= packBytes - min(packBytes, missingBytes) }

    /// What makes up for it, in the order in which it is to be done.
    public var repairsInOrder: [Repair] { Repair.allCases.filter(repairs.contains) }

    /// Whether nothing is wrong.
    public var isClean: Bool {
        damagedObjects == 0 && unreadableObjects == 0 && affectedFiles == 0 && affectedSnapshots == 0
    }
}

/// What cannot be read: whole packs, and single blobs.
struct DamagedBlobs {
    var packs: Set<ID128> = []
    var blobs: Set<BlobLocation> = []

    var isEmpty: Bool { packs.isEmpty && blobs.isEmpty }

    func contains(_ location: BlobLocation) -> Bool {
        packs.contains(location.pack) || blobs.contains(location)
    }
}
