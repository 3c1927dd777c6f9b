// RestoreTarget: the place that a restore writes to. Nothing is ever written outside the target, whatever the paths
// say: an implementation refuses `..`, empty and absolute components, and never follows a symbolic link beneath the
// target. An entry gets its name only when it is complete, so no partial file has the name of a restored one.

import BakCore

/// A failure to write one item of the restore. The restore continues without that item unless `isFatal` is true.
public struct TargetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What a failure means for the rest of the restore.
    public enum Kind: Sendable, Equatable {
        /// Only this entry is affected.
        case entry
        /// Something else has the entry's name already. That item stays.
        case taken
        /// The target cannot give this file a second name.
        case refusesLinks
        /// There is no space left for content.
        case full
        /// The target accepts no more content: it is gone, read-only, or its medium fails.
        case gone
        /// This process may not open more files.
        case outOfFiles
        /// The restored data may not be on the medium.
        case notDurable
    }

    /// The operation that failed: "create", "write", "set the owner of", …
    public var operation: String
    /// The system's error message.
    public var message: String
    /// What the failure means for the rest of the restore.
    public var kind: Kind
    /// The path as a user would write it; empty if the caller knows it.
    public var place: String

    /// True if the restore ends, because all further entries would fail for the same reason, such as a full or missing
    /// target.
    public var isFatal: Bool { [.full, .gone, .outOfFiles, .notDurable].contains(kind) }

    /// Makes the error.
    public init(operation: String, message: String, kind: Kind = .entry, place: String = "") {
        self.operation = operation
        self.message = message
        self.kind = kind
        self.place = place
    }

    /// The error as one line for the user.
    public var description: String {
        "cannot \(operation)\(place.isEmpty ? "" : " \(place)"): \(message)"
    }
}

/// A part of an entry's metadata that could not be set.
public struct MetadataNote: Sendable, Equatable {
    /// What could not be set, and why.
    public var reason: String
    /// True if the failure is normal, as when a user without privileges cannot give files to another owner.
    public var isExpected: Bool

    /// Makes the note.
    public init(_ reason: String, isExpected: Bool = false) {
        self.reason = reason
        self.isExpected = isExpected
    }
}

/// A folder that a restore writes into. Every call may come from any thread.
public protocol RestoreTarget: AnyObject, Sendable {
    /// Returns the stat of the entry at `path`; nil if there is none. Throws if the path cannot be looked up.
    func stat(_ path: [UInt8]) throws(TargetError) -> FileStat?

    /// Passes each name in the folder at `path` to `visit`; an empty path means the target itself. If `sweeping`, first
    /// removes the leftovers of killed restores there. Throws if the folder cannot be read.
    func list(
        _ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void
    ) throws(TargetError)

    /// True if the folder at `path` exists and belongs to a program, as a repository does. Nothing may be put into it.
    func isClosed(_ path: [UInt8]) -> Bool

    /// Returns the modification time that the target would store at `path`, which lies on `device`. Returns `time`
    /// itself if that cannot be determined.
    func rendered(_ time: Timestamp, at path: [UInt8], device: UInt64) -> Timestamp

    /// Makes a folder that only its owner may enter until `setMetadata`. Returns false if the folder exists already; it
    /// stays. Throws if something else is at `path` or the folder cannot be made.
    @discardableResult
    func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool

    /// Starts a regular file of `size` bytes. Parts that are never written read as zeros. The file gets its name at
    /// `finish`. If `replacing`, `finish` replaces the item at `path`, which must not be a folder. If not, the name
    /// must be free; a target may check that here or at `finish`. Throws if the file cannot be made.
    ///
    /// - Parameter mode: the file's mode, if all content comes in one write or there is no content. The target may then
    ///   make the file without a temporary name, which costs less. Nil if the content may come in pieces.
    func createFile(
        _ path: [UInt8], size: UInt64, atOnceWithMode mode: UInt16?, replacing: Bool
    ) throws(TargetError) -> any RestoreFile

    /// Makes a symbolic link, FIFO, socket or device node with its metadata. If `replacing`, it replaces anything but a
    /// folder. Returns what could not be set. Throws if a folder has the name or the entry cannot be made.
    func makeSpecial(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool
    ) throws(TargetError) -> [MetadataNote]

    /// Gives the finished file at `existing` the second name `path`. If `replacing`, it replaces anything but a folder.
    /// Throws `.refusesLinks` if the target allows no second name but the content could still be copied.
    func makeHardLink(_ path: [UInt8], to existing: [UInt8], replacing: Bool) throws(TargetError)

    /// Makes a file with the content of the finished file at `existing`. Returns what could not be set. Throws if
    /// `existing` cannot be read or the new file cannot be written.
    func copyFile(
        _ path: [UInt8], from existing: [UInt8], _ stat: FileStat, _ attributes: FileAttributes,
        replacing: Bool
    ) throws(TargetError) -> [MetadataNote]

    /// Compares two regular files byte for byte. Returns true if they have the same content. Throws if one of them
    /// cannot be read.
    func hasSameContent(_ path: [UInt8], as other: [UInt8]) throws(TargetError) -> Bool

    /// Sets a folder's owner, mode, extended attributes and times. Returns what could not be set. Throws if the folder
    /// cannot be reached.
    func setMetadata(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes
    ) throws(TargetError) -> [MetadataNote]

    /// Removes the restore's own helper files, before folders get their times. No entry is made after this.
    func tidy()

    /// Sets the metadata of the target's own folder to that of the snapshot's folder, if the restore owns it: it was
    /// missing or empty, or it has the traces of a killed restore. Any other folder gets only the time, and only if it
    /// already has the mode and owner of the snapshot's folder. Returns what could not be set.
    func finishTop(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote]

    /// Makes all restored data durable. Throws `.notDurable` if the medium fails.
    func synchronize() throws(TargetError)

    /// Ends the use of the target, also after a failure. If the restore changed the mode of a folder to get access, it
    /// sets the former mode again.
    func close()
}

extension RestoreTarget {
    /// False: the target has no folders of other programs.
    public func isClosed(_ path: [UInt8]) -> Bool { false }

    /// Starts a regular file whose content may come in pieces. Throws as the other `createFile` does.
    public func createFile(
        _ path: [UInt8], size: UInt64, replacing: Bool
    ) throws(TargetError) -> any RestoreFile {
        try createFile(path, size: size, atOnceWithMode: nil, replacing: replacing)
    }
}

/// A file that is being restored. Writes may come from several threads, for ranges that do not overlap.
public protocol RestoreFile: AnyObject, Sendable {
    /// Writes all of `bytes` at `offset`. Throws if the target does not take them.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(TargetError)

    /// Sets the metadata and gives the file its name. Call it once, after the last write. Returns what could not be
    /// set. Throws if the file cannot get its name.
    func finish(_ stat: FileStat, _ attributes: FileAttributes) throws(TargetError) -> [MetadataNote]

    /// Discards the file and what was written to it.
    func abandon()
}
