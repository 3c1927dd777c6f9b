// StoreError: the failures of a store, in kinds that a caller can act on. Each store maps its own system's error
// numbers to these kinds.

/// A failure of the medium: the operation, the object, and the system's error message.
public struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A kind of failure that a caller can act on.
    public enum Kind: Sendable, Equatable {
        /// The object does not exist.
        case notFound
        /// The object ends before the requested bytes; it has `size` bytes.
        case shortRead(size: Int)
        /// A name that should have been free was taken.
        case alreadyExists
        /// Something that is not an object has the object's name.
        case obstructed
        /// Something that is not a folder, such as a link or a file, has the name of one of the store's folders.
        case obstructedFolder
        /// No space or quota is left.
        case full
        /// The store is read-only.
        case readOnly
        /// This user lacks the permission.
        case denied
        /// The medium has lost the bytes that were requested. Other bytes may still be readable.
        case lostData
        /// The medium was unplugged, or the server is gone.
        case lostMedium
        /// The store does not support the call.
        case unsupported
        /// The same call may succeed later. The store may say after how many milliseconds.
        case transient(retryAfterMs: UInt64?)
        /// The program was told to stop while it waited for the store.
        case cancelled
        /// Any other failure of the medium.
        case failed
    }

    /// The kind of failure.
    public var kind: Kind
    /// The operation that failed: "read", "write", "sync", "list", …
    public var operation: String
    /// The object or folder that the operation was for.
    public var object: String
    /// The system's error message.
    public var message: String

    /// Makes the error.
    public init(kind: Kind, operation: String, object: String, message: String) {
        self.kind = kind
        self.operation = operation
        self.object = object
        self.message = message
    }

    /// True if the error concerns only this object, for example because this user may not read it.
    public var concernsOneObject: Bool { kind == .denied || kind == .obstructed }

    /// The error as one line for the user.
    public var description: String { "cannot \(operation) \(object): \(message)" }
}
