// StoreError: what may fail at a store, in kinds that a caller acts on. Which number of which system is of which kind
// only the store itself knows.

/// A failure of the medium: what was tried on which object, and what the system said.
public struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is, as far as a caller may act on it.
    public enum Kind: Sendable, Equatable {
        /// The object is not there.
        case notFound
        /// The object ends before the bytes asked for; it has `size` bytes.
        case shortRead(size: Int)
        /// A name that should have been free was taken.
        case alreadyExists
        /// What has the name of the object is none.
        case obstructed
        /// Something else, such as a link or a file, has the place of a folder of the store.
        case obstructedFolder
        /// No space or quota is left.
        case full
        /// The store may not be written to.
        case readOnly
        /// The store does not let this user do it.
        case denied
        /// The medium has lost these bytes, while it may well have others.
        case lostData
        /// The medium was pulled out, or the server has gone.
        case lostMedium
        /// The store knows no such call.
        case unsupported
        /// The same call may well come through later, after so many milliseconds if the store says when.
        case transient(retryAfterMs: UInt64?)
        /// The program was told to stop while it waited for the store.
        case cancelled
        /// Anything else that the medium reports.
        case failed
    }

    /// What kind of failure it is.
    public var kind: Kind
    /// What was tried: "read", "write", "sync", "list", …
    public var operation: String
    /// The object or folder it was tried on.
    public var object: String
    /// The system's words.
    public var message: String

    /// Makes the error.
    public init(kind: Kind, operation: String, object: String, message: String) {
        self.kind = kind
        self.operation = operation
        self.object = object
        self.message = message
    }

    /// True if the error says something of this object alone, such as that this user may not read it.
    public var concernsOneObject: Bool { kind == .denied || kind == .obstructed }

    /// One line for people.
    public var description: String { "cannot \(operation) \(object): \(message)" }
}
