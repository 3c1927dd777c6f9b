// StoreError+Errno: makes a StoreError from a failed system call. Only this file maps errno values to the kinds of a
// StoreError.

import BakStorage
import Glibc

extension StoreError {
    /// Makes the error for a failed call on an object.
    init(_ error: Errno, _ operation: String, _ object: String, isWriting: Bool = false) {
        let message =
            error.code == EFBIG ? "files may not grow so large there (see: ulimit -f)" : error.message
        self.init(
            kind: Self.kind(error, isWriting: isWriting), operation: operation, object: object,
            message: message)
    }

    private static func kind(_ error: Errno, isWriting: Bool) -> Kind {
        if error.isFull { return .full }
        return switch error.code {
        case ENOENT: .notFound
        case EEXIST: .alreadyExists
        case EROFS: .readOnly
        case EACCES, EPERM: isWriting ? .readOnly : .denied
        case ENOTDIR: .obstructedFolder
        case EISDIR, ELOOP: .obstructed
        case EIO, EBADMSG, EUCLEAN: .lostData
        // The medium was pulled out, or the server is gone.
        case ENXIO, ENODEV, ECONNABORTED, ECONNRESET, ENOTCONN, ESHUTDOWN, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH,
            ESTALE:
            .lostMedium
        case ENOSYS, ENOTSUP: .unsupported
        default: .failed
        }
    }

    static func short(_ key: ObjectKey, size: Int, wanted: Int) -> StoreError {
        StoreError(
            kind: .shortRead(size: size), operation: "read", object: key.description,
            message: "it ends at byte \(size) instead of \(wanted)")
    }
}
