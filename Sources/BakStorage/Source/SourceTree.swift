// SourceTree: the source of a backup, as a sorted walk and as files to open.

import BakCore

/// A failure to read one item of the source. The backup continues without that item, unless `endsRun` is true.
public struct SourceError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The operation that failed: "open", "read", "list", …
    public var operation: String
    /// The system's error message.
    public var message: String
    /// True if the item does not exist, or no longer exists.
    public var isNotFound: Bool
    /// True if the process is at fault and not the item, for example if it may open no more files. The run then ends.
    public var endsRun = false
    /// The attributes that could be read, if others could not.
    public var readAttributes: FileAttributes?

    /// Makes the error.
    public init(operation: String, message: String, isNotFound: Bool = false) {
        self.operation = operation
        self.message = message
        self.isNotFound = isNotFound
    }

    /// The error as one line for the user.
    public var description: String { "cannot \(operation): \(message)" }
}

/// An event of a walk.
public enum WalkEvent: Sendable {
    /// An entry and its stat.
    case entry(path: [UInt8], stat: FileStat)
    /// An entry that is not a folder and that has not been examined yet. Only `walkAhead` reports these.
    case unseen(path: [UInt8], in: any OpenFolder)
    /// An item, or the list of a folder, that could not be read. If the list of a folder cannot be read, the walk has
    /// reported the entry of that folder before.
    case failure(path: [UInt8], SourceError)

    /// The path of the entry or item.
    public var path: [UInt8] {
        switch self {
        case .entry(let path, _), .unseen(let path, _), .failure(let path, _): path
        }
    }
}

/// What the walk does after an event.
public enum WalkDecision: Sendable {
    /// Goes on; descends if the entry is a folder.
    case proceed
    /// Skips everything beneath this folder.
    case skipChildren
    /// Ends the walk.
    case stop
}

extension WalkEvent {
    /// The event after its entry has been examined: an `.unseen` event becomes an `.entry` or a `.failure`, and any
    /// other stays.
    public var seen: WalkEvent {
        guard case .unseen(let path, let folder) = self else { return self }
        do {
            return .entry(path: path, stat: try folder.stat(ofEntryAt: path))
        } catch {
            return .failure(path: path, error)
        }
    }
}

/// A folder that stays open while some of its entries still have to be examined. Any thread may use it. It holds a file
/// descriptor, so only a few may be open at a time.
public protocol OpenFolder: AnyObject, Sendable {
    /// Returns the stat of the folder's entry at `path`, which is the whole path. Throws if the entry has become a
    /// folder, because the walk has not listed that folder's contents.
    func stat(ofEntryAt path: [UInt8]) throws(SourceError) -> FileStat
}

/// The kind of medium that a source's files lie on. It decides how to read them.
public enum SourceMedium: Sendable {
    /// Access takes the same time everywhere. This is also the assumption for an unknown medium.
    case solidState
    /// A disk with a head that has to move.
    case rotational
    /// Another machine, which answers with a delay.
    case network
}

/// How far a medium can be trusted: its device and inode numbers to identify a file, and its timestamps to show that a
/// file changed.
public struct MediumEvidence: Sendable, Equatable {
    /// True if device and inode name one file for as long as it exists, and every change to the file changes its ctime.
    /// If false, an inode number may be reused or shared, and ctime may be a copy of mtime.
    public var hasIdentity: Bool
    /// The longest time, in nanoseconds, within which two changes may carry the same timestamp.
    public var granularityNanoseconds: UInt64
    /// True if the reported sizes are placeholders, as in /proc and /sys.
    public var hasNominalSizes: Bool

    /// Makes a judgement.
    public init(hasIdentity: Bool, granularityNanoseconds: UInt64, hasNominalSizes: Bool = false) {
        self.hasIdentity = hasIdentity
        self.granularityNanoseconds = granularityNanoseconds
        self.hasNominalSizes = hasNominalSizes
    }

    /// The judgement of an unknown medium: device and inode numbers are not trusted, and timestamps may be as coarse as
    /// those of FAT, two seconds.
    public static let none = MediumEvidence(hasIdentity: false, granularityNanoseconds: 2_000_000_000)
}

/// A tree of files to back up. `walk` and `walkAhead` run on one thread; any thread may make the other calls.
public protocol SourceTree: AnyObject, Sendable {
    /// Visits every root, everything beneath it, and its ancestors. It visits each path once, in `PathOrder`. Paths are
    /// absolute without the leading slash. Symbolic links are not followed. An ancestor of a root is visited for its
    /// metadata only; its other children are not visited. Throws what `visit` throws, and a `SourceError` that ends the
    /// run.
    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws

    /// Walks as `walk` does, but may report an entry that is not a folder as `.unseen`. Another thread can then examine
    /// it while the walk goes on. Throws as `walk` does.
    func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws

    /// Opens a regular file. No part of its path may be a symbolic link. Throws `SourceError` if the file cannot be
    /// opened or is not a regular file.
    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile

    /// Reads the variable-size metadata of an entry that is not a regular file. Throws if a part of it cannot be read;
    /// the error's `readAttributes` hold the rest.
    func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes

    /// Returns the names of the owner and the group, each empty if unknown. Answers are cached.
    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8])

    /// The device of `/`; nil if the source has none. A backup whose root is `/` needs it, because `walk` does not
    /// visit that folder.
    var topDevice: UInt64? { get }

    /// True if the source can be read a second time. A pipe cannot.
    var isRepeatable: Bool { get }

    /// The kind of medium that a backup should plan its reads for; the slowest if there are several.
    var medium: SourceMedium { get }

    /// Returns how far the device and inode numbers and the timestamps of the medium at `path` can be trusted. The
    /// answer for each device is cached, so a call costs next to nothing.
    func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence

    /// True if the entry, which is not a folder, is certainly a leftover of a run of this program that has ended.
    func isLeaving(_ path: [UInt8]) -> Bool

    /// The number of files that may be open at a time.
    var mostOpenFiles: Int { get }
}

extension SourceTree {
    /// Nil: the source has no device.
    public var topDevice: UInt64? { nil }
    /// True: most sources can be walked again.
    public var isRepeatable: Bool { true }
    /// `.solidState`: reads may run side by side.
    public var medium: SourceMedium { .solidState }
    /// No limit.
    public var mostOpenFiles: Int { .max }
    /// False: this program leaves nothing in the source.
    public func isLeaving(_ path: [UInt8]) -> Bool { false }
    /// `.none`: the judgement of an unknown medium.
    public func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence { .none }

    /// Walks as `walk` does and reports no `.unseen` entries. Throws as `walk` does.
    public func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws { try walk(visit) }
}

extension SourceFile {
    /// True: most files know their size.
    public var hasKnownSize: Bool { true }
    /// Nil: the file is not read from a snapshot.
    public var earlierFindings: EarlierFindings? { nil }
}

/// What an earlier backup noted about a file that is now read from that backup's snapshot.
public struct EarlierFindings: Sendable {
    /// True if the file changed while it was read.
    public var changedWhileRead: Bool
    /// True if the file was read so soon after a change that a later change could leave the same timestamps.
    public var isUnsettled: Bool
    /// The parts of the file that could not be read.
    public var missing: MissingParts

    /// Makes findings.
    public init(changedWhileRead: Bool, isUnsettled: Bool, missing: MissingParts) {
        self.changedWhileRead = changedWhileRead
        self.isUnsettled = isUnsettled
        self.missing = missing
    }
}

/// An open file of the source, used by one thread at a time.
public protocol SourceFile: AnyObject {
    /// True if `stat` reports the size. If false, as for a pipe, the file is read once, in order, until a read reports
    /// the end.
    var hasKnownSize: Bool { get }

    /// What an earlier backup noted about the file, if the file is now read from that backup's snapshot; nil for any
    /// other file.
    var earlierFindings: EarlierFindings? { get }

    /// Returns the file's stat. The first call may return the stat that was read when the file was opened; later calls
    /// return the current one. Throws `SourceError` if the file cannot be examined.
    func stat() throws(SourceError) -> FileStat

    /// Returns the names of the owner and group in `stat`, and the extended attributes with ACLs. Throws if a part of
    /// this cannot be read; the error's `readAttributes` hold the rest.
    func attributes(_ stat: FileStat) throws(SourceError) -> FileAttributes

    /// Reads up to `buffer.count` bytes from `offset`. Returns fewer only at the end of the file, and 0 beyond it.
    /// Throws `SourceError` if the medium fails.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int

    /// Returns the first range at or after `offset` that holds data; nil if only a hole or the end follows. Throws
    /// `SourceError` if the medium fails.
    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>?

    /// Closes the file. Call it once, as the last call.
    func close()
}
