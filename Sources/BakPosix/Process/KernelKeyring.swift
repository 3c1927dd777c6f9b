// KernelKeyring: keeps a few secret bytes in the memory of the kernel, for a time (keyrings(7), add_key(2), keyctl(2)).
// A secret lies in the keyring of the user, so that every session and every scheduled job of the same user finds it. It
// is in no file, and the kernel never writes it to swap space.
//
// Always holds: other programs find a secret only after it has its permissions and its timeout. Only the same user can
// read it. When its time is over, the kernel refuses it at once and wipes it within minutes.

import CLinux
import Glibc

/// The failure of a call on the kernel's keyring.
public struct KeyringError: Error, Equatable, CustomStringConvertible {
    private let code: Int32

    init(_ error: Errno) { code = error.code }

    /// The reason, for the middle of a message.
    public var description: String {
        switch code {
        case ENOSYS: "this kernel has no keyrings"
        case EPERM, EACCES:
            "this system does not allow programs to use the kernel's keyring, as in many containers"
        case EDQUOT: "this user has no more room in the kernel's keyring"
        default: "the kernel's keyring: \(Errno(code: code).message)"
        }
    }
}

/// The keyring of this user.
public enum KernelKeyring {
    /// Possession and ownership each allow to view, read and search; possession also to link the key to a keyring.
    private static let permissions: UInt32 = 0x1b0b_0000

    /// Fills `buffer` with the secret of that name. Returns false if there is none of exactly this length, or if there
    /// is no keyring.
    public static func read(_ name: String, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        do throws(Errno) {
            guard let key = try find(name) else { return false }
            return try system { linux_key_read(key, buffer.baseAddress, buffer.count) } == buffer.count
        } catch { return false }
    }

    /// Keeps a secret under a name for some seconds, and forgets an earlier secret of that name.
    ///
    /// - Throws: `KeyringError` if the kernel has no keyring, does not allow its use, or has no more room.
    public static func put(
        _ name: String, _ bytes: UnsafeRawBufferPointer, seconds: UInt32
    ) throws(KeyringError) {
        do throws(Errno) {
            // The keyring of this process is as private as its memory.
            let key = Int32(
                try system {
                    linux_key_add(KEY_SPEC_PROCESS_KEYRING, name, bytes.baseAddress, bytes.count)
                })
            defer { _ = linux_key_unlink(key, KEY_SPEC_PROCESS_KEYRING) }
            try system { linux_key_set_timeout(key, seconds) }
            // After this, nothing about the key can be changed.
            try system { linux_key_set_permissions(key, permissions) }
            try system { linux_key_link(key, KEY_SPEC_USER_KEYRING) }
        } catch { throw KeyringError(error) }
    }

    /// Removes the secret of that name. Returns false if there is none, or if there is no keyring.
    ///
    /// - Throws: `KeyringError` if the kernel does not remove it.
    public static func remove(_ name: String) throws(KeyringError) -> Bool {
        guard let key = try? find(name) else { return false }
        do throws(Errno) {
            try system { linux_key_invalidate(key) }
            return true
        } catch { throw KeyringError(error) }
    }

    /// Returns the number of the key of that name; nil if there is none, or if its time is over.
    private static func find(_ name: String) throws(Errno) -> Int32? {
        do throws(Errno) {
            return Int32(try system { linux_key_find(KEY_SPEC_USER_KEYRING, name) })
        } catch {
            if [ENOKEY, EKEYEXPIRED, EKEYREVOKED].contains(error.code) { return nil }
            throw error
        }
    }
}
