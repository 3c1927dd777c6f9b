// The bounds that every decoder enforces, so that no stored length can exhaust memory.

/// Bounds on what a repository may contain.
public enum FormatLimits {
    /// The format version that this program writes and reads.
    public static let version: UInt16 = 1
    /// The most bytes a blob may have before compression.
    public static let blobBytes = (16 << 20) - 1
    /// The most bytes a pack may have. Offsets in a pack are 32-bit.
    public static let packBytes = (1 << 32) - 1
    /// The most bytes a path may have.
    public static let pathBytes = 1 << 16
    /// The most bytes one component of a path may have.
    public static let nameBytes = 1024
    /// The most bytes of extended attributes, names and values, that an entry may have.
    public static let extendedAttributeBytes = 4 << 20
    /// The most extents in one manifest record. A file with more extents continues in further records.
    public static let extentsPerRecord = 2048
    /// The most bytes of a file that may be stored in the manifest itself.
    public static let inlineBytes = 4096
    /// The most bytes that the first paths of a manifest's segments may have in total. The paths are front-coded, so a
    /// small root could otherwise expand to tens of gigabytes.
    public static let rootPathBytes = 128 << 20
    /// The most bytes of repeated segments that a root may name, not counting each segment's first occurrence. Equal
    /// segments are stored once, so a small repository could otherwise expand to terabytes. Forty terabytes of one
    /// repeated chunk stay below this limit.
    public static let repeatedSegmentBytes = 4 << 30
    /// The most bytes a manifest segment may have. The largest record still fits into a segment that has just not
    /// reached its forced boundary.
    public static let segmentBytes = 8 << 20
    /// The most bytes that the paths of a segment may have in total. The paths are front-coded, so a small segment
    /// could otherwise expand to gigabytes.
    public static let segmentPathBytes = 32 << 20
    /// The most extents that a file may have: 4 TiB of the shortest usual chunks. Equal segments are stored once, so a
    /// small manifest could otherwise name any number of extents.
    public static let extentsPerFile = 1 << 26
    /// The most blobs that a pack may have, so that its footer table fits into memory.
    public static let packBlobs = 1 << 20
    /// The most bytes an index segment may have: eight million rows.
    public static let indexBytes = 256 << 20
    /// The most bytes of a small object: configuration, session, commit record.
    public static let recordBytes = 4 << 20
    /// The most bytes of a collection's plan or decision: four million ids.
    public static let collectionBytes = 64 << 20
}
