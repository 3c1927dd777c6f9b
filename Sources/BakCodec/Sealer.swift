// Sealer: the one seam through which every stored byte string passes on its way to the store and back.
// Today nothing is sealed and bytes pass through uncopied; integrity is the frames' checksums' matter.
//
// The signatures are those that an AEAD needs: a key per object from its salt and kind, so an ObjectSeal
// is made once per object; a nonce that never repeats under that key, which is the entry's number; and
// additional data that ties a sealed string to its place.

import BakCore

/// How an object's byte strings are sealed. The raw values are stored in every object's header.
public enum SealMethod: UInt8, Sendable, CaseIterable {
    /// Not at all.
    case none = 0
}

/// Seals and opens a repository's objects. Any number of threads may use it at once.
public struct Sealer: Sendable {
    /// Stores bytes as they are.
    public static let plain = Sealer(method: .none)

    /// What an object's header says.
    public let method: SealMethod

    /// The bytes of fresh randomness that a new object's header carries.
    public var saltBytes: Int {
        switch method {
        case .none: 0
        }
    }

    /// How many bytes a sealed string is longer than its plaintext.
    public var overhead: Int {
        switch method {
        case .none: 0
        }
    }

    /// The seal of one object: of what kind it is, its name, and the `saltBytes` bytes in its header.
    public func object(kind: UInt8, id: ID128, salt: [UInt8]) -> ObjectSeal {
        precondition(salt.count == saltBytes, "a salt of \(salt.count) bytes, \(saltBytes) expected")
        return ObjectSeal(overhead: overhead)
    }
}

/// Seals and opens the byte strings of one object. For one thread at a time.
public struct ObjectSeal {
    /// How many bytes a sealed string is longer than its plaintext.
    public let overhead: Int

    /// Seals a byte string and returns what to store: memory of `scratch`, or `plaintext` itself.
    ///
    /// - Parameters:
    ///   - entry: the string's number within the object; no number may be sealed twice.
    ///   - header: bytes stored beside the string in the clear that must not change either.
    public func seal(
        _ plaintext: UnsafeRawBufferPointer, entry: UInt64, authenticating header: UnsafeRawBufferPointer,
        scratch: ScratchBuffer
    ) -> UnsafeRawBufferPointer {
        plaintext
    }

    /// Opens what `seal` returned for the same entry and header: memory of `scratch`, or `stored` itself.
    ///
    /// Throws when the bytes are not what was sealed. The plain seal cannot tell and leaves that to the
    /// checksums.
    public func open(
        _ stored: UnsafeRawBufferPointer, entry: UInt64, authenticating header: UnsafeRawBufferPointer,
        scratch: ScratchBuffer
    ) throws(SealError) -> UnsafeRawBufferPointer {
        guard stored.count >= overhead else { throw SealError() }
        return stored
    }
}

/// A stored byte string is not what was sealed for its place.
public struct SealError: Error, Equatable, CustomStringConvertible {
    /// Makes the error.
    public init() {}

    public var description: String { "the bytes are not what was sealed here" }
}
