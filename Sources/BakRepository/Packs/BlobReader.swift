// BlobReader: reads single blobs and ranges of packs, and verifies them. It returns a blob as it was stored, or throws.
//
// In an encrypted repository, each blob is sealed: encrypted and authenticated, under a key that follows from the salt
// in its pack's header. A plain repository has no seals.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The location of a blob.
public struct BlobLocation: Hashable, Sendable {
    /// The pack's id.
    public var pack: ID128
    /// The offset of the blob's header in the pack.
    public var offset: UInt32
    /// The blob's length in the pack, without its header.
    public var storedLength: UInt32

    /// The offset in the pack at which the blob ends.
    @inlinable
    public var endOffset: Int { Int(offset) + PackLayout.blobHeaderBytes + Int(storedLength) }
}

/// Reads and verifies blobs. Each thread needs its own reader, because a reader reuses its buffers.
public final class BlobReader {
    private let repository: Repository
    private let decompressor = Decompressor()
    private let stored = ScratchBuffer()
    private let opened = ScratchBuffer()
    private let content = ScratchBuffer()
    /// The last pack's seal.
    private var lastSeal: (pack: ID128, kind: ObjectKind, seal: ObjectSeal)?
    /// The last pack's name, for errors. Formatting it for each blob would allocate.
    private var lastPack: (id: ID128, name: String)?

    /// Joins blobs into requests that suit the store.
    public let planner: RangePlanner
    /// True if the reader computes the id of a blob's content and compares it with the expected id.
    private let namesOpened: Bool

    /// Makes a reader of a repository's blobs.
    ///
    /// - Parameter trustingSeals: true to accept a sealed blob as soon as it opens under the requested id. A check of
    ///   the content's id would find only errors that happened in memory before the blob was sealed.
    public init(_ repository: Repository, trustingSeals: Bool = false) {
        self.repository = repository
        planner = RangePlanner(for: repository.store)
        namesOpened = !(trustingSeals && repository.isEncrypted)
    }

    /// Reads a blob. The bytes are valid until the next call, and only while the caller holds the reader. If one copy
    /// of the blob is damaged, the reader tries the other copies. If a prune has moved blobs meanwhile, the reader
    /// looks the blob up again.
    ///
    /// - Throws: `MissingBlobError` if the index has no such blob, `CorruptionError` with pack and offset if the bytes
    ///   there are not the blob, and `StoreError`.
    public func read(_ reference: BlobReference, kind: ObjectKind, index: BlobIndex) throws
        -> UnsafeRawBufferPointer
    {
        guard let first = index.location(of: reference) else {
            // Look up again even if the index was up to date: another thread may just have refreshed it.
            _ = try index.refreshIfCollected()
            guard let location = index.location(of: reference) else {
                throw MissingBlobError(id: reference.id)
            }
            return try read(reference, kind: kind, at: location)
        }
        do {
            return try read(reference, kind: kind, at: first)
        } catch let error as CorruptionError {
            _ = try index.refreshIfCollected()
            for location in index.locations(of: reference) where location != first {
                do {
                    return try read(reference, kind: kind, at: location)
                } catch is CorruptionError { continue }
            }
            throw error
        }
    }

    /// Reads a blob into an array. Unlike the bytes that `read` returns, the array does not depend on the reader, which
    /// the compiler may release right after its last use.
    ///
    /// - Throws: the same errors as `read`.
    public func copy(of reference: BlobReference, kind: ObjectKind, index: BlobIndex) throws -> [UInt8] {
        try withExtendedLifetime(self) { Array(try read(reference, kind: kind, index: index)) }
    }

    private func read(
        _ reference: BlobReference, kind: ObjectKind, at location: BlobLocation
    ) throws -> UnsafeRawBufferPointer {
        let range = try readRange(of: location.pack, Int(location.offset)..<location.endOffset)
        return try decode(reference, at: location, kind: kind, in: range, rangeOffset: Int(location.offset))
    }

    /// Reads a range of a pack. If the pack ends before the range does, the pack counts as damaged. The result is valid
    /// until the next call.
    ///
    /// - Throws: `CorruptionError` if the pack ends too early or cannot be read there, and `StoreError`.
    public func readRange(of pack: ID128, _ range: Range<Int>) throws -> UnsafeRawBufferPointer {
        let buffer = stored.bytes(range.count)
        try repository.readPack(pack, range, into: buffer)
        return UnsafeRawBufferPointer(buffer)
    }

    /// Decodes and verifies the blob at `location`, from bytes of its pack that begin at `rangeOffset`. The result is
    /// valid until the next call, and only while `range` is valid.
    ///
    /// - Throws: `CorruptionError` if another blob lies there or its bytes are damaged.
    public func decode(
        _ reference: BlobReference, at location: BlobLocation, kind: ObjectKind,
        in range: UnsafeRawBufferPointer, rangeOffset: Int
    ) throws -> UnsafeRawBufferPointer {
        try verify(reference, at: location, kind: kind, in: range, rangeOffset: rangeOffset).content
    }

    /// Decodes and verifies a blob as `decode` does, and also returns its compressed form.
    func verify(
        _ reference: BlobReference, at location: BlobLocation, kind: ObjectKind,
        in range: UnsafeRawBufferPointer, rangeOffset: Int
    ) throws -> (compressed: Compressed, content: UnsafeRawBufferPointer) {
        let start = Int(location.offset) - rangeOffset
        let end = location.endOffset - rangeOffset
        precondition(start >= 0 && end <= range.count)
        let bytes = UnsafeRawBufferPointer(rebasing: range[start..<end])
        let (header, payload) = try open(bytes, of: location.pack, kind: kind, offset: location.offset)
        guard header.id == reference.id, header.rawLength == reference.length,
            header.storedLength == location.storedLength
        else { throw damage(header, in: location.pack, "another blob than the index says lies here") }
        return try verify(header, payload: payload, pack: location.pack, kind: kind)
    }

    /// Decodes and verifies a blob whose header has been read. If the blob was sealed, the caller has opened it.
    func verify(
        _ header: BlobRecord, payload compressed: UnsafeRawBufferPointer, pack: ID128, kind: ObjectKind
    ) throws(CorruptionError) -> (compressed: Compressed, content: UnsafeRawBufferPointer) {
        if !repository.isEncrypted {
            guard PackLayout.storedChecksum(compressed, codec: header.codec) == header.storedChecksum else {
                throw damage(header, in: pack, "the blob's stored bytes do not match their checksum")
            }
        }
        let plain: UnsafeRawBufferPointer
        if header.codec == .raw {
            plain = compressed
        } else {
            let buffer = content.bytes(Int(header.rawLength))
            do {
                try decompressor.decompress(compressed, codec: header.codec, into: buffer)
            } catch {
                throw damage(header, in: pack, "the blob cannot be decompressed: \(error.description)")
            }
            plain = UnsafeRawBufferPointer(buffer)
        }
        guard !namesOpened || repository.hasher(for: kind).id(of: plain) == header.id else {
            throw damage(header, in: pack, "the blob's bytes do not match its id")
        }
        return (Compressed(codec: header.codec, stored: compressed), plain)
    }

    /// Returns the header and the stored bytes of the blob that fills `bytes`, which begin at `offset` of the pack.
    /// Opens the blob if it is sealed.
    func open(
        _ bytes: UnsafeRawBufferPointer, of pack: ID128, kind: ObjectKind, offset: UInt32
    ) throws -> (blob: BlobRecord, stored: UnsafeRawBufferPointer) {
        guard let seal = try seal(of: pack, kind) else {
            let header = try PackLayout.blobHeader(bytes, pack: name(of: pack), offset: offset)
            return (header, UnsafeRawBufferPointer(rebasing: bytes[PackLayout.blobHeaderBytes...]))
        }
        do throws(CorruptionError) {
            return try SealedPackLayout.openBlob(
                bytes, seal: seal, pack: name(of: pack), offset: offset, scratch: opened)
        } catch {
            // Perhaps only the salt in the pack's header is damaged. The pack's end has a copy of the salt.
            guard let other = try? repository.packSealFromEnd(pack, kind: kind) else { throw error }
            let blob = try SealedPackLayout.openBlob(
                bytes, seal: other, pack: name(of: pack), offset: offset, scratch: opened)
            lastSeal = (pack, kind, other)
            return blob
        }
    }

    /// Returns the seal of a pack's blobs; nil in a plain repository.
    func seal(of pack: ID128, _ kind: ObjectKind) throws -> ObjectSeal? {
        if let lastSeal, lastSeal.pack == pack, lastSeal.kind == kind { return lastSeal.seal }
        guard let seal = try repository.packSeal(pack, kind: kind) else { return nil }
        lastSeal = (pack, kind, seal)
        return seal
    }

    private func name(of pack: ID128) -> String {
        if let lastPack, lastPack.id == pack { return lastPack.name }
        let name = ObjectNames.pack(pack).description
        lastPack = (pack, name)
        return name
    }

    private func damage(_ header: BlobRecord, in pack: ID128, _ reason: String) -> CorruptionError {
        CorruptionError(
            object: ObjectNames.pack(pack).description, offset: Int(header.offset), reason: reason)
    }
}
