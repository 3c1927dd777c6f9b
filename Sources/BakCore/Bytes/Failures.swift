// CorruptionError: one of the three kinds of failure, which are never mixed. The other two are I/O (BakStorage's
// StoreError, SourceError and TargetError) and misuse (a usage error on the command line, or a precondition).

/// Stored bytes that cannot be used: the object, the offset, and the reason.
public struct CorruptionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The object's key in the store ("packs/ab/…").
    public var object: String
    /// The byte offset in the object at which decoding failed.
    public var offset: Int
    /// What was expected and what was found, in one line.
    public var reason: String
    /// Why the bytes cannot be used.
    public private(set) var cause = Cause.damage

    /// True if this user lacks the permission to read the bytes; other users may have it.
    public private(set) var isRefused = false

    /// True if the object is no longer in the store. This counts as damage.
    public private(set) var isAbsent = false

    /// The reason why stored bytes cannot be used.
    public enum Cause: Sendable {
        /// The bytes differ from those that were stored.
        case damage
        /// A newer program wrote the bytes in a form that this one does not know.
        case newerProgram
        /// The medium cannot read the bytes.
        case medium
    }

    /// True if the bytes themselves are intact: another program, or another user, can read them.
    public var isWhole: Bool { needsNewerProgram || isRefused }

    /// True if the bytes are intact, but a newer program wrote them in a form that this one does not know.
    public var needsNewerProgram: Bool { cause == .newerProgram }

    /// Makes an error for damaged bytes.
    public init(object: String, offset: Int, reason: String) {
        self.object = object
        self.offset = offset
        self.reason = reason
    }

    /// Makes an error for an object that a newer program wrote.
    public static func unsupported(object: String, _ reason: String) -> CorruptionError {
        var error = CorruptionError(object: object, offset: 0, reason: reason)
        error.cause = .newerProgram
        return error
    }

    /// Makes an error for bytes that the medium cannot read; `reason` is the system's error message.
    public static func unreadable(
        object: String, offset: Int, reason: String, isRefused: Bool = false
    ) -> CorruptionError {
        var error = CorruptionError(object: object, offset: offset, reason: reason)
        error.cause = .medium
        error.isRefused = isRefused
        return error
    }

    /// Makes an error for an object that should be in the store and is not.
    public static func missing(object: String, _ reason: String) -> CorruptionError {
        var error = CorruptionError(object: object, offset: 0, reason: reason)
        error.isAbsent = true
        return error
    }

    /// The error as one line for the user.
    public var description: String {
        switch cause {
        case .damage: isAbsent ? "\(object): \(reason)" : "\(object) is damaged at byte \(offset): \(reason)"
        case .newerProgram: "\(object) cannot be read by this program: \(reason). Use a newer bakstore"
        case .medium:
            isRefused
                ? "\(object) cannot be read: \(reason)"
                : "\(object) cannot be read at byte \(offset): \(reason)"
        }
    }
}
