// RestoreTarget: where files come back to. Nothing is ever written outside the target, whatever the
// paths say: an implementation refuses `..`, empty and absolute components and never follows a symbolic
// link beneath the target.

import BakCore

/// A failure to write something of the restore; it concerns that item alone unless `isFatal`.
public struct TargetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was tried: "create", "write", "set the owner of", …
    public var operation: String
    /// The system's words.
    public var message: String
    /// Whether the rest of the restore would fail for the same reason (a full or vanished target).
    public var isFatal: Bool

    /// Makes the error.
    public init(operation: String, message: String, isFatal: Bool = false) {
        self.operation = operation
        self.message = message
        self.isFatal = isFatal
    }

    public var description: String { "cannot \(operation): \(message)" }
}

/// A folder that a restore writes into. Every call may come from any thread.
public protocol RestoreTarget: AnyObject, Sendable {
    /// What stands at `path`; nil when nothing does.
    func stat(_ path: [UInt8]) throws(TargetError) -> FileStat?

    /// Makes a folder that only its owner may enter until `setMetadata`; false for an existing one, which
    /// stays. Anything else at `path` is an error.
    @discardableResult
    func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool

    /// Starts a regular file of `size` bytes, of which what is never written reads as zeros. When
    /// `replacing`, what is at `path` (if not a folder) stays until `finish`; else it must be free.
    func createFile(_ path: [UInt8], size: UInt64, replacing: Bool) throws(TargetError) -> any RestoreFile

    /// Makes a symbolic link, FIFO, socket or device node with its metadata; replaces what is not a
    /// folder when `replacing`. Returns what could not be set, each in words.
    func makeSpecial(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool
    ) throws(TargetError) -> [String]

    /// Gives the finished file at `existing` a second name; replaces what is not a folder when `replacing`.
    func makeHardLink(_ path: [UInt8], to existing: [UInt8], replacing: Bool) throws(TargetError)

    /// Sets a folder's owner, mode, extended attributes and times. Returns what could not be set.
    func setMetadata(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes
    ) throws(TargetError) -> [String]

    /// Makes everything that was restored durable.
    func synchronize() throws(TargetError)
}

/// A file that is being restored. Writes may come from several threads, for ranges that do not overlap.
public protocol RestoreFile: AnyObject, Sendable {
    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(TargetError)

    /// Sets the metadata and puts the file in its place. Returns what could not be set, each in words.
    /// Called once, after the last write.
    func finish(_ stat: FileStat, _ attributes: FileAttributes) throws(TargetError) -> [String]

    /// Gives up: removes what was written.
    func abandon()
}
