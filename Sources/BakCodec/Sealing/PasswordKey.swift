// PasswordKey: from a password to a key that wraps the repository's key, at a price in memory and time that makes
// guessing dear (Argon2id, RFC 9106, version 0x13).
//
// The password's hash is never used itself. Two values come from it: the commitment, which is stored, so that a
// password can be told wrong and a slot cannot be made to open under two passwords; and the wrapping key.

import BakCore
import CArgon2

/// What a password's hash costs.
public struct PasswordCost: Equatable, Sendable {
    /// Memory in KiB.
    public var memoryKiB: UInt32
    /// How often the memory is gone through.
    public var passes: UInt32
    /// How many threads share the work.
    public var lanes: UInt32

    /// Makes a cost.
    public init(memoryKiB: UInt32, passes: UInt32, lanes: UInt32) {
        (self.memoryKiB, self.passes, self.lanes) = (memoryKiB, passes, lanes)
    }

    /// 256 MiB, three passes, four lanes.
    public static let standard = PasswordCost(memoryKiB: 256 << 10, passes: 3, lanes: 4)
    /// The least memory that a new slot on a slow machine has: RFC 9106's second recommendation.
    public static let leastMemoryKiB: UInt32 = 64 << 10
    /// Limits on what a stored slot may ask for: whoever wrote it must not be able to exhaust who reads it.
    public static let mostMemoryKiB: UInt32 = 1 << 20
    /// The most passes that a stored cost may ask for.
    public static let mostPasses: UInt32 = 16
    /// The most threads that a stored cost may ask for.
    public static let mostLanes: UInt32 = 16

    /// What a try takes, to compare one cost with another: blocks of memory that are filled.
    public var work: UInt64 { UInt64(memoryKiB) * UInt64(passes) }

    /// Whether a slot may ask for it.
    public var isAllowed: Bool {
        (1...Self.mostLanes).contains(lanes) && (1...Self.mostPasses).contains(passes)
            && memoryKiB >= 8 * lanes && memoryKiB <= Self.mostMemoryKiB
    }

    /// A cost that suits this machine, by how long one try takes on it. Throws what `PasswordKey` throws.
    public static func calibrated(by time: any TimeSource) throws -> PasswordCost {
        let password = SecretBytes(copying: [0])
        return try calibrated { cost in
            let start = time.monotonicNanoseconds()
            _ = try PasswordKey(
                password: password, salt: [UInt8](repeating: 0, count: PasswordKey.saltBytes), cost: cost)
            return time.monotonicNanoseconds() - start
        }
    }

    /// A cost of at most about two seconds on this machine and, where it is fast, no less than half a second. Throws
    /// what `nanoseconds` throws.
    ///
    /// - Parameter nanoseconds: how long hashing at a cost took.
    public static func calibrated(
        _ nanoseconds: (PasswordCost) throws -> UInt64
    ) rethrows -> PasswordCost {
        var probe = standard
        probe.memoryKiB = leastMemoryKiB / 2
        let probed = min(max(1, try nanoseconds(probe)), 1_000_000_000_000)
        func expected(_ cost: PasswordCost) -> UInt64 {
            let times = UInt64(cost.memoryKiB / probe.memoryKiB) * UInt64(cost.passes)
            return probed * times / UInt64(probe.passes)
        }
        var cost = standard
        while cost.memoryKiB > leastMemoryKiB, expected(cost) > 2_000_000_000 { cost.memoryKiB /= 2 }
        while cost.passes < 8, expected(cost) < 500_000_000 { cost.passes += 1 }
        return cost
    }
}

/// A key that a password gives.
public struct PasswordKey: Sendable {
    /// The bytes of a slot's salt.
    public static let saltBytes = 32
    /// The bytes of a wrapped key of 32 bytes.
    public static let wrappedBytes = Sealer.keyBytes + CipherContext.tagBytes

    private let wrapping: SecretBytes
    /// What tells whether it is the right password. Stored.
    public let commitment: SecretBytes

    /// Hashes a password. Throws when the machine does not have the memory.
    public init(
        password: SecretBytes, salt: [UInt8], cost: PasswordCost
    ) throws(PasswordHashError) {
        precondition(cost.isAllowed && salt.count == Self.saltBytes)
        let hash = try Self.argon2id(password: password, salt: salt, cost: cost, count: 32)
        wrapping = KeyDerivation.expand(secret: hash, label: "bakstore slot key", count: 32)
        commitment = KeyDerivation.expand(secret: hash, label: "bakstore slot commitment", count: 32)
    }

    /// Seals a repository's key. `header` is what stands before it in the slot. Once for each salt.
    public func wrap(_ key: SecretBytes, authenticating header: [UInt8]) -> [UInt8] {
        let seal = ObjectSeal(.chaCha20Poly1305, key: wrapping, header: header)
        return [UInt8](unsafeUninitializedCapacity: key.count + seal.overhead) { buffer, count in
            key.withBytes { seal.seal($0, entry: 0, into: buffer.baseAddress!) }
            count = key.count + seal.overhead
        }
    }

    /// Opens a wrapped key. Throws `SealError` if it does not open with this password or is too short.
    public func unwrap(
        _ wrapped: UnsafeRawBufferPointer, authenticating header: [UInt8]
    ) throws(SealError) -> SecretBytes {
        let seal = ObjectSeal(.chaCha20Poly1305, key: wrapping, header: header)
        guard wrapped.count >= seal.overhead else { throw SealError() }
        return try SecretBytes(count: wrapped.count - seal.overhead) { output throws(SealError) in
            try seal.open(wrapped, entry: 0, into: output.baseAddress!)
        }
    }

    /// Argon2id. `secret` and `associated` are the RFC's further inputs, which slots do not use.
    static func argon2id(
        password: SecretBytes, salt: [UInt8], cost: PasswordCost, secret: [UInt8] = [],
        associated: [UInt8] = [], count: Int
    ) throws(PasswordHashError) -> SecretBytes {
        // The library takes pointers to what it does not change.
        var (salt, secret, associated) = (salt, secret, associated)
        var status = ARGON2_OK.rawValue
        let hash = SecretBytes(count: count) { output in
            password.withBytes { password in
                salt.withUnsafeMutableBufferPointer { salt in
                    secret.withUnsafeMutableBufferPointer { secret in
                        associated.withUnsafeMutableBufferPointer { associated in
                            var context = argon2_context()
                            context.out = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
                            context.outlen = UInt32(output.count)
                            context.pwd = UnsafeMutablePointer(
                                mutating: password.baseAddress!.assumingMemoryBound(to: UInt8.self))
                            context.pwdlen = UInt32(password.count)
                            (context.salt, context.saltlen) = (salt.baseAddress, UInt32(salt.count))
                            (context.secret, context.secretlen) = (secret.baseAddress, UInt32(secret.count))
                            (context.ad, context.adlen) = (associated.baseAddress, UInt32(associated.count))
                            (context.t_cost, context.m_cost) = (cost.passes, cost.memoryKiB)
                            (context.lanes, context.threads) = (cost.lanes, cost.lanes)
                            context.version = ARGON2_VERSION_13.rawValue
                            status = argon2_ctx(&context, Argon2_id)
                        }
                    }
                }
            }
        }
        if status != ARGON2_OK.rawValue { throw PasswordHashError(memoryKiB: cost.memoryKiB) }
        return hash
    }
}

/// A password could not be hashed.
public struct PasswordHashError: Error, Equatable, CustomStringConvertible {
    /// The memory that was wanted.
    public var memoryKiB: UInt32

    /// One line for people.
    public var description: String {
        "the password cannot be hashed: that needs \(memoryKiB / 1024) MiB of memory and threads"
    }
}
