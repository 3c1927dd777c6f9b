// SourceTree: what is backed up, seen as a sorted walk and files to read.

import BakCore

/// A failure to read something of the source. It concerns that item alone: the backup goes on.
public struct SourceError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was tried: "open", "read", "list", …
    public var operation: String
    /// The system's words.
    public var message: String
    /// Whether the item was not there (any more).
    public var isNotFound: Bool
    /// True if the process, not the item, is at fault, as when no more files may be opened: the run ends.
    public var endsRun = false
    /// What could be read of the attributes when only a part of them failed.
    public var readAttributes: FileAttributes?

    /// Makes the error.
    public init(operation: String, message: String, isNotFound: Bool = false) {
        self.operation = operation
        self.message = message
        self.isNotFound = isNotFound
    }

    /// One line for people.
    public var description: String { "cannot \(operation): \(message)" }
}

/// What a walk meets.
public enum WalkEvent: Sendable {
    /// An entry and its stat.
    case entry(path: [UInt8], stat: FileStat)
    /// An entry that is no folder and that no one has looked at yet. Only `walkAhead` gives these.
    case unseen(path: [UInt8], in: any OpenFolder)
    /// An item, or a folder's list, that could not be read. A folder was announced as an entry before.
    case failure(path: [UInt8], SourceError)

    /// The path that it is about.
    public var path: [UInt8] {
        switch self {
        case .entry(let path, _), .unseen(let path, _), .failure(let path, _): path
        }
    }
}

/// What a walk does after an entry.
public enum WalkDecision: Sendable {
    /// Go on, into the folder if it is one.
    case proceed
    /// Leave out what is beneath this folder.
    case skipChildren
    /// End the walk.
    case stop
}

extension WalkEvent {
    /// The same event, looked at if it was not.
    public var seen: WalkEvent {
        guard case .unseen(let path, let folder) = self else { return self }
        do {
            return .entry(path: path, stat: try folder.stat(ofEntryAt: path))
        } catch {
            return .failure(path: path, error)
        }
    }
}

/// A folder that is kept open for those of its entries that are still to be looked at. May be used from any
/// thread; it holds a descriptor, so few may be kept at a time.
public protocol OpenFolder: AnyObject, Sendable {
    /// The stat of the folder's entry at `path`, the whole path. Throws when it has become a folder: what is
    /// beneath it was not listed.
    func stat(ofEntryAt path: [UInt8]) throws(SourceError) -> FileStat
}

/// What a source's files lie on, as far as it decides how to read them.
public enum SourceMedium: Sendable {
    /// Any place is as near as any other; also where nothing is known.
    case solidState
    /// A disk whose head has to go from place to place.
    case rotational
    /// Another machine, whose answers take their time.
    case network
}

/// What a medium's numbers and times are worth as evidence of what a file is and of whether it changed.
public struct MediumEvidence: Sendable, Equatable {
    /// True if device and inode name one file for as long as it exists, and ctime tells every change of it. Where it is
    /// false, numbers may be given out anew or twice, and ctime may be a copy of mtime.
    public var hasIdentity: Bool
    /// How long two changes may carry one timestamp, in nanoseconds.
    public var granularityNanoseconds: UInt64
    /// True if the sizes shown are placeholders, as in /proc and /sys.
    public var hasNominalSizes: Bool

    /// Makes a judgement.
    public init(hasIdentity: Bool, granularityNanoseconds: UInt64, hasNominalSizes: Bool = false) {
        self.hasIdentity = hasIdentity
        self.granularityNanoseconds = granularityNanoseconds
        self.hasNominalSizes = hasNominalSizes
    }

    /// The judgement of a medium that nothing is known of: nothing is believed, and times may be as coarse as FAT's.
    public static let none = MediumEvidence(hasIdentity: false, granularityNanoseconds: 2_000_000_000)
}

/// A tree of files to back up. `walk` and `walkAhead` run on one thread; every other call may come from any.
public protocol SourceTree: AnyObject, Sendable {
    /// Visits every root with its ancestors and all beneath it in `PathOrder`, each path once. Paths
    /// are absolute without the leading slash. Symbolic links are not followed. An ancestor of a root
    /// is visited for its metadata; its other children are not. Throws what `visit` throws, and a `SourceError` that
    /// ends the run.
    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws

    /// The same, but entries that are no folders may come as `.unseen`, so that another thread can look at
    /// them while the walk goes on. Throws as `walk` does.
    func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws

    /// Opens a regular file without following a symbolic link anywhere in its path. Throws `SourceError` if it cannot
    /// be opened or is no regular file.
    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile

    /// Reads the variable-size metadata of an entry that is not a regular file. Throws when a part of it cannot be
    /// read; the error's `readAttributes` are the rest.
    func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes

    /// The owner's and group's names for numeric ids; empty when unknown. Answers are cached.
    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8])

    /// The device of the root of everything where that is asked for, because `walk` does not visit it; nil
    /// when there is none.
    var topDevice: UInt64? { get }

    /// Whether it can be read a second time, as a pipe cannot.
    var isRepeatable: Bool { get }

    /// What most of its files lie on.
    var medium: SourceMedium { get }

    /// What the numbers and times of the medium with the entry at `path` are worth. Answers are cached by device, so a
    /// call costs next to nothing.
    func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence

    /// Whether what is there, which is no folder, is certainly what a run of this program has left that is over.
    func isLeaving(_ path: [UInt8]) -> Bool

    /// How many of its files may be open at a time.
    var mostOpenFiles: Int { get }
}

extension SourceTree {
    /// Nil: the source is on no device.
    public var topDevice: UInt64? { nil }
    /// True: a source can usually be walked again.
    public var isRepeatable: Bool { true }
    /// A medium on which reads may run side by side.
    public var medium: SourceMedium { .solidState }
    /// Any number.
    public var mostOpenFiles: Int { .max }
    /// False: nothing is left behind in the source.
    public func isLeaving(_ path: [UInt8]) -> Bool { false }
    /// Numbers and times say nothing.
    public func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence { .none }

    /// Walks as `walk` does. Throws as `walk` does.
    public func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws { try walk(visit) }
}

extension SourceFile {
    /// True: a file usually says how long it is.
    public var hasKnownSize: Bool { true }
    /// Nil: nothing is known from before.
    public var earlierFindings: EarlierFindings? { nil }
}

/// What an earlier reading found out about a file that is not read from where it lives, but from a copy.
public struct EarlierFindings: Sendable {
    /// It changed while it was read.
    public var changedWhileRead: Bool
    /// It was read so soon after a change that another could carry the same timestamps.
    public var isUnsettled: Bool
    /// What of it could not be read.
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
    /// Whether `stat` tells the size. If not, as with a pipe, the file ends where a read says so, and it is
    /// read once, from its beginning, in order.
    var hasKnownSize: Bool { get }

    /// What was found out when the copy was made; nil for a file that is read from where it lives.
    var earlierFindings: EarlierFindings? { get }

    /// The file's stat: the first time it is asked for as it was no earlier than the opening began, later as it is now.
    /// Throws `SourceError` if the file cannot be examined.
    func stat() throws(SourceError) -> FileStat

    /// Names for the owner and group in `stat`, and extended attributes with ACLs. Throws when a part of it cannot be
    /// read; the error's `readAttributes` are the rest.
    func attributes(_ stat: FileStat) throws(SourceError) -> FileAttributes

    /// Reads up to `buffer.count` bytes from `offset`; fewer only at the end of the file; 0 there. Throws `SourceError`
    /// if the medium fails.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int

    /// The first range at or after `offset` that holds data; nil when only a hole or the end follows. Throws
    /// `SourceError` if the medium fails.
    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>?

    /// Closes the file; later calls are errors. Called once.
    func close()
}
