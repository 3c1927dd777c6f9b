// PasswordKey: derives, from a password, the key that wraps the repository's key. The derivation costs so much memory
// and time that guessing is expensive (Argon2id, RFC 9106, version 0x13).
//
// The password's hash is never used itself. Two values are derived from it: the wrapping key and the commitment. The
// commitment is stored. The commitment shows if a password is wrong. It also makes it impossible to craft a slot that
// opens under two passwords.

import BakCore
import CArgon2

/// The cost of hashing a password.
public struct PasswordCost: Equatable, Sendable {
    /// Memory in KiB.
    public var memoryKiB: UInt32
    /// The number of passes over the memory.
    public var passes: UInt32
    /// The number of threads that share the work.
    public var lanes: UInt32

    /// Makes a cost.
    public init(memoryKiB: UInt32, passes: UInt32, lanes: UInt32) {
        (self.memoryKiB, self.passes, self.lanes) = (memoryKiB, passes, lanes)
    }

    /// 256 MiB, three passes, four lanes.
    public static let standard = PasswordCost(memoryKiB: 256 << 10, passes: 3, lanes: 4)
    /// The least memory of a new slot on a slow machine: RFC 9106's second recommendation.
    public static let leastMemoryKiB: UInt32 = 64 << 10
    /// The most memory that a stored cost may request, so that a hostile slot cannot exhaust the reader's machine.
    public static let mostMemoryKiB: UInt32 = 1 << 20
    /// The most passes that a stored cost may request.
    public static let mostPasses: UInt32 = 16
    /// The most threads that a stored cost may request.
    public static let mostLanes: UInt32 = 16

    /// The work of one attempt, to compare costs: the number of memory blocks that are filled.
    public var work: UInt64 { UInt64(memoryKiB) * UInt64(passes) }

    /// True if a slot may request this cost.
    public var isAllowed: Bool {
        (1...Self.mostLanes).contains(lanes) && (1...Self.mostPasses).contains(passes)
            && memoryKiB >= 8 * lanes && memoryKiB <= Self.mostMemoryKiB
    }

    /// Measures how long one attempt takes on this machine, and returns a cost that suits it. Throws what `PasswordKey`
    /// throws.
    public static func calibrated(by time: any TimeSource) throws -> PasswordCost {
        let password = SecretBytes(copying: [0])
        return try calibrated { cost in
            let start = time.monotonicNanoseconds()
            _ = try PasswordKey(
                password: password, salt: [UInt8](repeating: 0, count: PasswordKey.saltBytes), cost: cost)
            return time.monotonicNanoseconds() - start
        }
    }

    /// Returns a cost that takes between half a second and about two seconds on this machine, if that is possible with
    /// 64 to 256 MiB and three to eight passes. An attempt takes longer on a very slow machine, and less time on a very
    /// fast one. Throws what `nanoseconds` throws.
    ///
    /// - Parameter nanoseconds: hashes at a cost and returns the time that this took.
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

/// A key derived from a password.
public struct PasswordKey: Sendable {
    /// The length of a slot's salt in bytes.
    public static let saltBytes = 32
    /// The length of a wrapped key of 32 bytes.
    public static let wrappedBytes = Sealer.keyBytes + CipherContext.tagBytes

    private let wrapping: SecretBytes
    /// A value that shows if the password is right. It is stored.
    public let commitment: SecretBytes

    /// Hashes a password. Throws `PasswordHashError` if the machine does not have enough memory.
    public init(
        password: SecretBytes, salt: [UInt8], cost: PasswordCost
    ) throws(PasswordHashError) {
        precondition(cost.isAllowed && salt.count == Self.saltBytes)
        let hash = try Self.argon2id(password: password, salt: salt, cost: cost, count: 32)
        wrapping = KeyDerivation.expand(secret: hash, label: "bakstore slot key", count: 32)
        commitment = KeyDerivation.expand(secret: hash, label: "bakstore slot commitment", count: 32)
    }

    /// Seals a repository's key. `header` is the part of the slot before the wrapped key. Call it only once for each
    /// salt, because the nonce is always the same.
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

    /// Computes Argon2id. `secret` and `associated` are further inputs of the RFC, which slots do not use.
    static func argon2id(
        password: SecretBytes, salt: [UInt8], cost: PasswordCost, secret: [UInt8] = [],
        associated: [UInt8] = [], count: Int
    ) throws(PasswordHashError) -> SecretBytes {
        // The library takes mutable pointers even to inputs that it does not change.
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

/// A failure to hash a password.
public struct PasswordHashError: Error, Equatable, CustomStringConvertible {
    /// The memory that hashing needs.
    public var memoryKiB: UInt32

    /// The error as one line for the user.
    public var description: String {
        "the password cannot be hashed: that needs \(memoryKiB / 1024) MiB of memory and threads"
    }
}
