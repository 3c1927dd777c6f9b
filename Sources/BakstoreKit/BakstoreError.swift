// BakstoreError: the error that every call of the library throws.

import BakCore
import BakEngine
import BakRepository
import BakStorage

/// A failure of a call: its kind, and one line for the user.
public struct BakstoreError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure.
    public enum Kind: Sendable, Equatable {
        /// There is no repository in that folder.
        case noRepository
        /// That folder already has a repository or something else in it.
        case alreadyExists
        /// The repository is encrypted and no password was given.
        case passwordNeeded
        /// The password is wrong.
        case wrongPassword
        /// The repository is older than when this machine last saw it. An old copy may have replaced it.
        case olderThanSeen
        /// The snapshot, folder or file does not exist.
        case notFound
        /// Something in the repository is damaged or missing. The message names the object and the offset.
        case damaged
        /// The removal would delete the last copy of files that were called safe to delete.
        case endangersFiles
        /// The disk that holds the repository refused a read or a write.
        case storage
        /// The files to back up cannot be read.
        case source
        /// The folder to restore into cannot be written.
        case target
        /// An argument is invalid, or the state of the repository does not allow the call.
        case refused
    }

    /// The kind of failure.
    public let kind: Kind
    /// One line for the user: what happened, and to what.
    public let message: String

    /// The message.
    public var description: String { message }

    init(_ kind: Kind, _ message: String) { (self.kind, self.message) = (kind, message) }

    /// Wraps an error of the engine.
    init(_ error: any Error) {
        switch error {
        case let error as BakstoreError: self = error
        case let error as RepositoryError: self.init(Self.kind(of: error), "\(error)")
        case is CorruptionError, is MissingBlobError: self.init(.damaged, "\(error)")
        case is LatestUnreadableError: self.init(.damaged, "\(error)")
        case is SnapshotPathError: self.init(.notFound, "\(error)")
        case is StoreError: self.init(.storage, "\(error)")
        case is SourceError: self.init(.source, "\(error)")
        case is TargetError: self.init(.target, "\(error)")
        default: self.init(.refused, "\(error)")
        }
    }

    private static func kind(of error: RepositoryError) -> Kind {
        switch error {
        case .noRepository, .notBakstore: .noRepository
        case .alreadyExists: .alreadyExists
        case .passwordNeeded: .passwordNeeded
        case .wrongPassword, .tooManyKeySlots: .wrongPassword
        case .noKeySlot: .damaged
        case .noSuchSnapshot, .noCompleteSnapshot, .snapshotRemoved: .notFound
        default: .refused
        }
    }

    /// Runs `body` and converts any error that it throws to a `BakstoreError`.
    static func wrapping<Result>(_ body: () throws -> Result) throws(BakstoreError) -> Result {
        do {
            return try body()
        } catch {
            throw BakstoreError(error)
        }
    }
}
