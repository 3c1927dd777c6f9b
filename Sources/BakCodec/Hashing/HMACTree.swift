// HMACTree: the ids of `sha256`. A tree of HMAC-SHA-256 (RFC 2104) with two levels names the content:
//
//     leaf  = HMAC(the leaves' key, up to 4,096 bytes of the content)
//     id    = the first 128 bits of HMAC(the root's key, all leaves | the content's length, a little-endian u64)
//
// Two different contents have the same id only if one of two collisions exists: two different strings under the leaves'
// key with the same HMAC-SHA-256, or two different strings under the root's key whose HMACs agree in their first 128
// bits. Without such a collision, both contents have the same root string, and so the same length and the same leaves:
// they are equal. Leaves do not depend on each other, so a processor computes many at once. That takes a third of the
// time of one HMAC over all the content.

import BakCore
import CKernels
import COpenSSL

/// Names content. Any number of threads may use it at once: each call takes a workspace and returns it.
final class HMACTree: @unchecked Sendable {
    static let leafBytes = 4096
    private let leafKey: HMACKey
    private let rootKey: HMACKey
    private let usesVectors: Bool
    private let monitor = Monitor()
    private var idle: [Workspace] = []

    /// - Parameter usesVectors: true to compute many leaves at once if the processor can. The ids are the same.
    init(leafKey: [UInt8], rootKey: [UInt8], usesVectors: Bool = true) {
        (self.leafKey, self.rootKey) = (HMACKey(leafKey), HMACKey(rootKey))
        self.usesVectors = usesVectors
    }

    func id(of content: UnsafeRawBufferPointer) -> ID128 {
        let workspace =
            monitor.locked { idle.popLast() } ?? Workspace(leafKey: leafKey, usesVectors: usesVectors)
        defer { monitor.locked { idle.append(workspace) } }
        return workspace.id(of: content, leafKey: leafKey, rootKey: rootKey)
    }
}

/// A key, combined with HMAC's inner and outer pad, each one block. It is wiped when it is released.
final class HMACKey: Sendable {
    private static let blockBytes = 64
    private let pads: SecretBytes

    init(_ key: [UInt8]) {
        precondition(key.count <= Self.blockBytes)
        pads = SecretBytes(count: 2 * Self.blockBytes) { pads in
            pads.copyBytes(from: key)
            UnsafeMutableRawBufferPointer(rebasing: pads[Self.blockBytes...]).copyBytes(from: key)
            for place in pads.indices { pads[place] ^= place < Self.blockBytes ? 0x36 : 0x5c }
        }
    }

    /// Passes the inner and the outer block to `body`.
    func withPads<Result>(_ body: (_ inner: UnsafePointer<UInt8>, _ outer: UnsafePointer<UInt8>) -> Result)
        -> Result
    {
        pads.withBytes {
            let inner = $0.baseAddress!.assumingMemoryBound(to: UInt8.self)
            return body(inner, inner + Self.blockBytes)
        }
    }
}

/// The buffers and states that one thread needs to name content. They are reused.
private final class Workspace {
    private static let tagBytes = 32
    /// The number of leaves that the processor computes together, and the least number for which this is faster than
    /// computing them one by one.
    private static let laneCount = 16
    private static let leastTogether = 6
    private static let groupLeaves = ck_most_strings

    private let root = HMACState()
    private let leaf = HMACState()
    private let tags = UnsafeMutableRawPointer.allocate(byteCount: groupLeaves * tagBytes, alignment: 64)
    private let many: UnsafeMutableRawPointer?
    private var key = ck_hmac_key()

    init(leafKey: HMACKey, usesVectors: Bool) {
        many = usesVectors ? ck_many_open() : nil
        if let many { leafKey.withPads { ck_many_key(many, $0, $1, &key) } }
    }

    deinit {
        if let many { ck_many_close(many) }
        withUnsafeMutableBytes(of: &key) { $0.wipe() }
        tags.deallocate()
    }

    func id(of content: UnsafeRawBufferPointer, leafKey: HMACKey, rootKey: HMACKey) -> ID128 {
        root.begin(rootKey)
        var position = 0
        while position < content.count {
            let count = min(content.count - position, Self.groupLeaves * HMACTree.leafBytes)
            let group = UnsafeRawBufferPointer(rebasing: content[position..<position + count])
            root.update(hashLeaves(of: group, leafKey))
            position += count
        }
        return withUnsafeTemporaryAllocation(byteCount: Self.tagBytes, alignment: 8) { tag in
            tag.storeBytes(of: UInt64(content.count).littleEndian, as: UInt64.self)
            root.update(UnsafeRawBufferPointer(rebasing: tag[..<8]))
            root.finish(rootKey, into: tag.baseAddress!)
            return ID128(loading: tag.baseAddress!)
        }
    }

    /// Returns the HMACs of the leaves of `group`, which is at most `groupLeaves` leaves of content.
    private func hashLeaves(of group: UnsafeRawBufferPointer, _ leafKey: HMACKey) -> UnsafeRawBufferPointer {
        let leaves = (group.count + HMACTree.leafBytes - 1) / HMACTree.leafBytes
        let rest = leaves % Self.laneCount
        let together = many == nil ? 0 : rest < Self.leastTogether ? leaves - rest : leaves
        if let many, together > 0 {
            let isDone = ck_many_hmac_sha256(
                many, &key, group.baseAddress!.assumingMemoryBound(to: UInt8.self),
                min(group.count, together * HMACTree.leafBytes), HMACTree.leafBytes,
                tags.assumingMemoryBound(to: UInt8.self))
            precondition(isDone, "libipsec-mb could not compute an HMAC-SHA-256")
        }
        for number in together..<leaves {
            let start = number * HMACTree.leafBytes
            leaf.begin(leafKey)
            leaf.update(.init(rebasing: group[start..<min(start + HMACTree.leafBytes, group.count)]))
            leaf.finish(leafKey, into: tags + number * Self.tagBytes)
        }
        return UnsafeRawBufferPointer(start: tags, count: leaves * Self.tagBytes)
    }
}

/// Computes the HMAC-SHA-256 of one string after another, by libcrypto.
final class HMACState {
    private let state = EVP_MD_CTX_new()
    private static nonisolated(unsafe) let sha256 = Libcrypto.digest("SHA2-256")

    deinit { EVP_MD_CTX_free(state) }

    func begin(_ key: HMACKey) {
        Self.require(EVP_DigestInit_ex(state, Self.sha256, nil))
        key.withPads { inner, _ in Self.require(EVP_DigestUpdate(state, inner, 64)) }
    }

    func update(_ bytes: UnsafeRawBufferPointer) {
        Self.require(EVP_DigestUpdate(state, bytes.baseAddress, bytes.count))
    }

    /// Writes the tag, which has 32 bytes.
    func finish(_ key: HMACKey, into tag: UnsafeMutableRawPointer) {
        let tag = tag.assumingMemoryBound(to: UInt8.self)
        Self.require(EVP_DigestFinal_ex(state, tag, nil))
        Self.require(EVP_DigestInit_ex(state, Self.sha256, nil))
        key.withPads { _, outer in Self.require(EVP_DigestUpdate(state, outer, 64)) }
        Self.require(EVP_DigestUpdate(state, tag, 32))
        Self.require(EVP_DigestFinal_ex(state, tag, nil))
    }

    /// SHA-256 fails only if there is no memory. The program then ends instead of using a wrong id.
    private static func require(_ result: Int32) {
        guard result == 1 else { Memory.exhausted("hashing") }
    }
}
