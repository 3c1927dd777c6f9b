// The bounds that every decoder enforces, so that no stored length can exhaust memory.

/// Bounds on what a repository may contain.
public enum FormatLimits {
    /// The format version that this program writes and reads.
    public static let version: UInt16 = 1
    /// The most bytes a blob may have before compression.
    public static let blobBytes = (16 << 20) - 1
    /// The most bytes a pack may have; offsets in a pack are 32-bit.
    public static let packBytes = (1 << 32) - 1
    /// The most bytes a path may have.
    public static let pathBytes = 1 << 16
    /// The most bytes one component of a path may have.
    public static let nameBytes = 1024
    /// The most bytes of extended attributes, names and values, that an entry may have.
    public static let extendedAttributeBytes = 4 << 20
    /// The most extents in one manifest record; a file with more continues in further records.
    public static let extentsPerRecord = 2048
    /// The most bytes of a file that may stand in the manifest itself.
    public static let inlineBytes = 4096
    /// The most bytes that the first paths of a manifest's segments may have together: they are stored
    /// front-coded, and a small root could otherwise stand for tens of gigabytes.
    public static let rootPathBytes = 128 << 20
    /// The most bytes that the segments may have together which a root names again, each time but the first: they are
    /// stored once, and a small repository could otherwise stand for terabytes. Forty terabytes of one chunk need less.
    public static let repeatedSegmentBytes = 4 << 30
    /// The most bytes a manifest segment may have: a forced boundary plus the largest record fit.
    public static let segmentBytes = 8 << 20
    /// The most bytes that the paths of a segment may have together: they are front-coded, and a small segment could
    /// otherwise stand for gigabytes.
    public static let segmentPathBytes = 32 << 20
    /// The most extents that a file may have: 4 TiB of the shortest usual chunks. Equal segments are stored once, and a
    /// small manifest could otherwise stand for any number.
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
