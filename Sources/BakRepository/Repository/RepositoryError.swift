// RepositoryError: failures of a repository as a whole, and requests that it cannot meet.

import BakCore
import BakFormat
import BakStorage

/// A failure that is neither the store's (`StoreError`) nor damage (`CorruptionError`).
public enum RepositoryError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no repository at this location.
    case noRepository(location: StoreLocation)
    /// The configuration at this location belongs to another program.
    case notBakstore(location: StoreLocation)
    /// There already is a repository at this location.
    case alreadyExists(location: StoreLocation)
    /// The repository is encrypted, and the caller gave no password.
    case passwordNeeded(location: StoreLocation)
    /// The password opens no key slot. `unreadableSlots` key slots cannot be read.
    case wrongPassword(location: StoreLocation, unreadableSlots: Int)
    /// The repository is encrypted, and no key slot can be read.
    case noKeySlot(location: StoreLocation)
    /// The password opens none of the key slots that were tried, and there are too many to try all of them.
    case tooManyKeySlots(location: StoreLocation)
    /// The key slot is the last one: without it the repository could not be opened any more.
    case lastKeySlot
    /// Every other usable key slot is in this list. A program is removing each of them, or was stopped while it did so.
    case keySlotsBeingRemoved([ID128])
    /// The caller gave a password for a repository that is not encrypted.
    case notEncrypted(location: StoreLocation)
    /// No snapshot has this name.
    case noSuchSnapshot(name: String)
    /// No complete snapshot can be read. `partialCount` snapshots are partial, and `unreadableCount` cannot be read.
    case noCompleteSnapshot(partialCount: Int, unreadableCount: Int = 0)
    /// The name is a prefix of several snapshots' ids.
    case ambiguousSnapshot(name: String, matches: [String])
    /// The store lacks a guarantee that a prune needs while backups run.
    case cannotCollect(location: StoreLocation, reason: String)
    /// A prune runs or was interrupted, and the store cannot keep backups and prunes apart.
    case pruneUnderWay(location: StoreLocation)
    /// Other programs kept changing the repository during all attempts.
    case keepsChanging(location: StoreLocation)
    /// The snapshot was forgotten while it was in use, and a prune has deleted some of its content.
    case snapshotRemoved(ID128)
    /// This machine's index table changed or became unreadable while it was in use.
    case cacheChanged
    /// A prune ended the session, and an object to which the session refers is gone.
    case sessionRevoked(ID128)
    /// The session's staged objects were removed before it published them; the error is the store's.
    case unpublishedRemoved(ID128, StoreError)
    /// An earlier write of the session failed, so the session cannot be committed any more.
    case sessionFailed(ID128)
    /// The manifest is too large to be written.
    case manifestTooLarge
    /// An object exceeds the format's limits; `what` names it and `reason` says how.
    case outsideLimits(what: String, reason: String)

    /// One line for people: what is wrong and what to do.
    public var description: String {
        switch self {
        case .noRepository(let location):
            "there is no repository at \(location). Is its disk connected, and is the path right? "
                + "To make a new one, run: bakstore init"
        case .notBakstore(let location):
            "\(location) is not a bakstore repository: the file config there belongs to another program. Is the path right?"
        case .alreadyExists(let location):
            "there is a repository at \(location) already. Use it, or name another folder"
        case .passwordNeeded(let location):
            "the repository at \(location) is encrypted, but no password is given. Give one with --password-file"
        case .wrongPassword(let location, let unreadable):
            "wrong password for the repository at \(location). Try again, or give another password"
                + (unreadable > 0 ? ". \(unreadable) of its key slots cannot be read" : "")
        case .tooManyKeySlots(let location):
            "the password opens none of the key slots of the repository at \(location) that were tried. There are too many "
                + "to try all of them. Move those that are not yours out of its folder keys"
        case .noKeySlot(let location):
            "the repository at \(location) has no key slot that can be read. Without one, nothing can be decrypted"
        case .lastKeySlot:
            "this is the last key slot. Without it, the repository could not be opened any more"
        case .keySlotsBeingRemoved(let slots):
            "every other key slot is being removed, too, or its removal was interrupted "
                + "(\(slots.map(\.short).joined(separator: ", "))). Nothing was removed. When no other program removes them, "
                + "remove one of those, or first add a password with: bakstore key add"
        case .notEncrypted(let location):
            "the repository at \(location) is not encrypted, but a password is given. Is it the right repository?"
        case .noSuchSnapshot(let name):
            "there is no snapshot \(name.isEmpty ? "''" : name). List them with: bakstore snapshots"
        case .noCompleteSnapshot(let partialCount, let unreadableCount):
            unreadableCount > 0
                ? "no complete snapshot can be read. To find the damage, run: bakstore check"
                : partialCount == 0
                    ? "there is no snapshot yet. Make one with: bakstore backup PATH"
                    : "there are only interrupted backups yet. List them with `bakstore snapshots`, and name one by its id"
        case .ambiguousSnapshot(let name, let matches):
            "\(name) matches several snapshots (\(matches.joined(separator: ", "))). Give more digits"
        case .cannotCollect(let location, let reason):
            "\(location) cannot be pruned, because \(reason). Backups and restores work"
        case .pruneUnderWay(let location):
            "a prune of \(location) is under way or was interrupted, and its disk cannot keep backups and prunes apart. "
                + "When nothing else is running, finish it with: bakstore prune --alone"
        case .keepsChanging(let location):
            "prunes or repairs keep changing \(location). Try again when they are done"
        case .snapshotRemoved(let snapshot):
            "snapshot \(snapshot.short) was removed meanwhile, and a prune has deleted its data. List the other snapshots with: "
                + "bakstore snapshots"
        case .cacheChanged:
            "this machine's cache of the repository was changed, or can no longer be read. Run the command again to "
                + "rebuild the cache"
        case .sessionRevoked(let session):
            "a prune ended session \(session.short) before it was stored. Run the backup again"
        case .unpublishedRemoved(_, let error): "\(error). Run the command again"
        case .sessionFailed(let session):
            "session \(session.short) failed before and cannot be committed. Run the backup again"
        case .outsideLimits(let what, let reason): "\(what) cannot be stored: \(reason)"
        case .manifestTooLarge: "the list of files is too large for one snapshot. Back up in several parts"
        }
    }
}

extension RepositoryError {
    /// True if the error may only mean that a prune has moved or deleted the object.
    static func mayHaveMoved(_ error: any Error) -> Bool {
        switch error {
        case let error as StoreError: error.kind == .notFound
        case let error as CorruptionError: error.cause != .newerProgram
        default: error is MissingBlobError
        }
    }

    /// Decodes a small object before it is stored, and throws if a reader would refuse it.
    static func refuseUnreadable<Record>(
        _ what: String, _ bytes: [UInt8],
        _ decode: (UnsafeRawBufferPointer) throws(CorruptionError) -> Record
    ) throws(RepositoryError) {
        guard bytes.count <= FormatLimits.recordBytes else {
            throw .outsideLimits(what: what, reason: "it would have \(bytes.count) bytes")
        }
        let fault: String? = bytes.withUnsafeBytes { bytes in
            do throws(CorruptionError) {
                _ = try decode(bytes)
                return nil
            } catch { return error.reason }
        }
        if let fault { throw .outsideLimits(what: what, reason: fault) }
    }
}

/// A blob that something refers to is not in the repository.
public struct MissingBlobError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The blob's id.
    public var id: ID128

    /// Makes the error for a blob.
    public init(id: ID128) { self.id = id }

    /// One line for people.
    public var description: String { "chunk \(id) is missing from the repository" }
}
