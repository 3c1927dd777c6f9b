// RestoreTarget: where files come back to. Nothing is ever written outside the target, whatever the
// paths say: an implementation refuses `..`, empty and absolute components and never follows a symbolic
// link beneath the target. Whatever is made gets its name when it is whole, so that a name never stands
// for a half.

import BakCore

/// A failure to write something of the restore; it concerns that item alone unless `isFatal`.
public struct TargetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What a failure says of the rest of the restore.
    public enum Kind: Sendable, Equatable {
        /// It concerns this entry alone.
        case entry
        /// The entry's name leads to something that stands there already, and stays.
        case taken
        /// The target gives this file no second name.
        case refusesLinks
        /// There is no room for content.
        case full
        /// The target takes no content any more: it is gone, read-only, or its medium fails.
        case gone
        /// This process may not open more files.
        case outOfFiles
        /// What was written may not be on the medium.
        case notDurable
    }

    /// What was tried: "create", "write", "set the owner of", …
    public var operation: String
    /// The system's words.
    public var message: String
    /// What it says of the rest.
    public var kind: Kind
    /// Where, as a user would write it; empty for where the caller knows it.
    public var place: String

    /// Whether the restore ends with it: the rest would fail for the same reason (a full or vanished target).
    public var isFatal: Bool { [.full, .gone, .outOfFiles, .notDurable].contains(kind) }

    /// Makes the error.
    public init(operation: String, message: String, kind: Kind = .entry, place: String = "") {
        self.operation = operation
        self.message = message
        self.kind = kind
        self.place = place
    }

    /// One line for people.
    public var description: String {
        "cannot \(operation)\(place.isEmpty ? "" : " \(place)"): \(message)"
    }
}

/// Something about an entry's metadata that could not be set.
public struct MetadataNote: Sendable, Equatable {
    /// What, and why not.
    public var reason: String
    /// True if it is a matter of course: an ordinary user gives files to nobody else.
    public var isExpected: Bool

    /// Makes the note.
    public init(_ reason: String, isExpected: Bool = false) {
        self.reason = reason
        self.isExpected = isExpected
    }
}

/// A folder that a restore writes into. Every call may come from any thread.
public protocol RestoreTarget: AnyObject, Sendable {
    /// What stands at `path`; nil when nothing does. Throws if the path cannot be looked up.
    func stat(_ path: [UInt8]) throws(TargetError) -> FileStat?

    /// Hands over the names in the folder at `path` (the target itself when it is empty). When `sweeping`, first
    /// removes what restores that were killed have left there. Throws if the folder cannot be read.
    func list(
        _ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void
    ) throws(TargetError)

    /// Whether nothing may be put into a folder that is there, as it belongs to a program: a repository's.
    func isClosed(_ path: [UInt8]) -> Bool

    /// What the target would make of a modification time at `path`, which has the device `device`; the time itself
    /// where that cannot be found out.
    func rendered(_ time: Timestamp, at path: [UInt8], device: UInt64) -> Timestamp

    /// Makes a folder that only its owner may enter until `setMetadata`; false for an existing one, which
    /// stays. Anything else at `path` is an error. Throws if something else is at `path` or the folder cannot be made.
    @discardableResult
    func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool

    /// Starts a regular file of `size` bytes, of which what is never written reads as zeros. It has its name from
    /// `finish` on. When `replacing`, what is at `path` (if not a folder) stays until then; else the name must be
    /// free, now or at `finish`. Throws if the file cannot be made.
    ///
    /// - Parameter mode: the file's mode if its first write is all of its content, or if it gets none. Such a file
    ///   costs least where the target can make one without a name. Nil if its content may come in pieces.
    func createFile(
        _ path: [UInt8], size: UInt64, atOnceWithMode mode: UInt16?, replacing: Bool
    ) throws(TargetError) -> any RestoreFile

    /// Makes a symbolic link, FIFO, socket or device node with its metadata; replaces what is not a
    /// folder when `replacing`. Returns what could not be set. Throws if a folder has the place or the entry cannot be
    /// made.
    func makeSpecial(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool
    ) throws(TargetError) -> [MetadataNote]

    /// Gives the finished file at `existing` a second name; replaces what is not a folder when `replacing`.
    /// Throws `.refusesLinks` if the target allows no second name but the content could still be copied.
    func makeHardLink(_ path: [UInt8], to existing: [UInt8], replacing: Bool) throws(TargetError)

    /// Makes a file with the content of the finished one at `existing`. Returns what could not be set. Throws if one
    /// cannot be read or the other cannot be written.
    func copyFile(
        _ path: [UInt8], from existing: [UInt8], _ stat: FileStat, _ attributes: FileAttributes,
        replacing: Bool
    ) throws(TargetError) -> [MetadataNote]

    /// Whether two regular files have the same content, byte for byte. Throws if one of them cannot be read.
    func hasSameContent(_ path: [UInt8], as other: [UInt8]) throws(TargetError) -> Bool

    /// Sets a folder's owner, mode, extended attributes and times. Returns what could not be set. Throws if the folder
    /// cannot be reached.
    func setMetadata(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes
    ) throws(TargetError) -> [MetadataNote]

    /// Removes what the restore needed for itself, before folders get their times. Nothing is made after that.
    func tidy()

    /// Gives the target's folder the metadata of the folder of the snapshot that it stands for, if it belongs to the
    /// restore: it was missing or empty, or a killed restore has left its traces in it. A folder that was there before
    /// gets nothing but the time, and that only if its mode and owner are the same. Returns what could not be set.
    func finishTop(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote]

    /// Makes everything that was restored durable. Throws `.notDurable` if the medium fails.
    func synchronize() throws(TargetError)

    /// Ends the use of the target, also after a failure: what was opened up for the restore is closed again.
    func close()
}

extension RestoreTarget {
    /// Where nothing else lies, nothing is closed.
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

    /// Sets the metadata and puts the file in its place. Returns what could not be set.
    /// Called once, after the last write. Throws if the file cannot get its place.
    func finish(_ stat: FileStat, _ attributes: FileAttributes) throws(TargetError) -> [MetadataNote]

    /// Gives up: removes what was written.
    func abandon()
}
