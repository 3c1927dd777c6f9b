// The kinds of failure that never mix: corruption (here), I/O (BakStorage's StoreError, SourceError and
// TargetError) and misuse (a usage error of the command line, or a precondition).

/// Stored bytes are not what they must be: which object, where in it, and what is wrong.
public struct CorruptionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The object's key, as listed in the store ("packs/ab/…").
    public var object: String
    /// The byte offset in the object at which decoding failed.
    public var offset: Int
    /// What was expected and what was found, in one line.
    public var reason: String
    /// Why the bytes cannot be used.
    public private(set) var cause = Cause.damage

    /// True if the system does not let this user read them; others may.
    public private(set) var isRefused = false

    /// Why stored bytes cannot be used.
    public enum Cause: Sendable {
        /// They are not what was stored.
        case damage
        /// They were written by a program that knows more than this one.
        case newerProgram
        /// The medium does not give them.
        case medium
    }

    /// True if nothing is wrong with the bytes: another program, or another user, can read them.
    public var isWhole: Bool { needsNewerProgram || isRefused }

    /// The bytes are whole, but were written by a program that knows more than this one.
    public var needsNewerProgram: Bool { cause == .newerProgram }

    /// Makes the error of damage.
    public init(object: String, offset: Int, reason: String) {
        self.object = object
        self.offset = offset
        self.reason = reason
    }

    /// Makes the error of an object that a newer program wrote.
    public static func unsupported(object: String, _ reason: String) -> CorruptionError {
        var error = CorruptionError(object: object, offset: 0, reason: reason)
        error.cause = .newerProgram
        return error
    }

    /// Makes the error of bytes that the medium does not give; `reason` is what the system says.
    public static func unreadable(
        object: String, offset: Int, reason: String, isRefused: Bool = false
    ) -> CorruptionError {
        var error = CorruptionError(object: object, offset: offset, reason: reason)
        error.cause = .medium
        error.isRefused = isRefused
        return error
    }

    /// One line for people.
    public var description: String {
        switch cause {
        case .damage: "\(object) is damaged at byte \(offset): \(reason)"
        case .newerProgram: "\(object) cannot be read by this program: \(reason); use a newer bakstore"
        case .medium:
            isRefused
                ? "\(object) cannot be read: \(reason)"
                : "\(object) cannot be read at byte \(offset): \(reason)"
        }
    }
}
