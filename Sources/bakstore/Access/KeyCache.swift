// KeyCache: keeps the key of an open repository for later commands of the same user, if the user asks for it with
// `bakstore key cache`. It never keeps a password.
//
// Always holds: a cached key only saves the work of unlocking a key slot. It opens a repository only if it decrypts the
// configuration; otherwise the command goes on as if there were none.

import BakCodec
import BakCore
import BakPosix

/// Keeps keys between commands.
protocol KeyCache: Sendable {
    /// Returns the key that is cached for a repository; nil if none is.
    func key(of repository: ID128) -> SecretBytes?
    /// Caches a repository's key for some seconds, in place of an earlier one.
    func keep(_ key: SecretBytes, of repository: ID128, seconds: UInt32) throws(KeyringError)
    /// Removes a repository's key. Returns false if none was cached.
    func remove(_ repository: ID128) throws(KeyringError) -> Bool
}

/// The key cache in the kernel's memory.
struct KernelKeyCache: KeyCache {
    private static func name(_ repository: ID128) -> String { "bakstore:\(repository)" }

    func key(of repository: ID128) -> SecretBytes? {
        var isThere = false
        let key = SecretBytes(count: Sealer.keyBytes) {
            isThere = KernelKeyring.read(Self.name(repository), into: $0)
        }
        return isThere ? key : nil
    }

    func keep(_ key: SecretBytes, of repository: ID128, seconds: UInt32) throws(KeyringError) {
        try key.withBytes { bytes throws(KeyringError) in
            try KernelKeyring.put(Self.name(repository), bytes, seconds: seconds)
        }
    }

    func remove(_ repository: ID128) throws(KeyringError) -> Bool {
        try KernelKeyring.remove(Self.name(repository))
    }
}

extension CommandContext {
    /// Returns the cached key with which a command may open a repository. There is none for `bakstore key`, which must
    /// know the slot of the password, and none if the command line gives a password, because a wrong one must not go
    /// unnoticed.
    func cachedKey(_ purpose: PasswordPurpose, of repository: ID128, _ invocation: Invocation) -> SecretBytes?
    {
        let isTyped = [purpose.flags.file, purpose.flags.command].contains { flag in
            invocation.has(flag) && !invocation.profileFlags.contains(flag)
        }
        return isTyped || invocation.command == .key ? nil : keyCache.key(of: repository)
    }
}
