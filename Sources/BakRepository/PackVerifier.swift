// PackVerifier: compares a pack with its own footer and with the index, and its blobs with their ids.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// What is wrong with a pack.
struct PackFindings {
    var reasons: [String] = []
    /// Blobs of it that cannot be read and that the index has nowhere else.
    var badBlobs: Set<ID128> = []
    /// Its own footer cannot say which blobs are whole: `verifyIndexed` can.
    var needsIndex = false
}

/// Verifies packs. For one thread.
final class PackVerifier {
    private let repository: Repository
    private let index: BlobIndex
    private let depth: CheckDepth
    private let buffer = ScratchBuffer()
    private let reader: BlobReader

    init(_ repository: Repository, _ index: BlobIndex, depth: CheckDepth) {
        self.repository = repository
        self.index = index
        self.depth = depth
        reader = BlobReader(repository)
    }

    /// Verifies a pack of `size` bytes by its footer; `indexedBlobs` is how many blobs the index says it has.
    /// Bytes beyond the size that the index knows are not read. Throws when the store fails.
    func verify(_ pack: IndexedPack, size: Int, indexedBlobs: Int) throws -> PackFindings {
        var findings = PackFindings()
        let size = min(size, Int(pack.size))
        do {
            guard size >= PackLayout.minimumBytes else {
                throw CorruptionError(
                    object: Layout.pack(pack.id).description, offset: size, reason: "it ends here")
            }
            let bytes = depth == .readData ? try read(pack.id, 0..<size) : nil
            let blobs = try footer(pack, size: size, whole: bytes)
            if !agrees(blobs, with: pack, indexedBlobs) {
                findings.reasons.append("its footer and the index disagree")
                findings.needsIndex = true
            } else if let bytes {
                verify(blobs, of: pack, in: bytes, &findings)
            }
        } catch let error as CorruptionError {
            findings.reasons.append(Self.words(error))
            findings.needsIndex = true
        }
        return findings
    }

    /// Decodes the blobs that the index has in a pack, sorted by offset; returns those that cannot be read.
    func verifyIndexed(_ entries: [IndexEntry], of pack: IndexedPack) throws -> Set<ID128> {
        var bad: Set<ID128> = []
        for entry in entries {
            let location = BlobLocation(pack: pack.id, offset: entry.offset, storedLength: entry.storedLength)
            let reference = BlobReference(id: entry.id, length: entry.rawLength)
            do {
                let start = Int(entry.offset)
                let bytes = try reader.readRange(of: pack.id, start..<location.endOffset)
                _ = try reader.decode(reference, at: location, kind: pack.kind, in: bytes, rangeOffset: start)
            } catch is CorruptionError { bad.insert(entry.id) }
        }
        return bad
    }

    private static func words(_ error: CorruptionError) -> String {
        "at byte \(error.offset): \(error.reason)"
    }

    private func footer(
        _ pack: IndexedPack, size: Int, whole: UnsafeRawBufferPointer?
    ) throws -> [BlobRecord] {
        let (kind, blobs) = try repository.packFooter(pack.id, size: size) { range in
            if let whole { return Array(whole[range]) }
            return Array(try read(pack.id, range))
        }
        guard kind == pack.kind else {
            throw CorruptionError(
                object: Layout.pack(pack.id).description, offset: 8,
                reason: "it is a \(kind.noun), the index says otherwise")
        }
        return blobs
    }

    private func read(_ pack: ID128, _ range: Range<Int>) throws -> UnsafeRawBufferPointer {
        let bytes = buffer.bytes(range.count)
        try repository.readPack(pack, range, into: bytes)
        return UnsafeRawBufferPointer(bytes)
    }

    /// Whether each blob of the footer is where the index says, unless the index has it in another pack, and
    /// none that the index has here is missing.
    private func agrees(_ blobs: [BlobRecord], with pack: IndexedPack, _ indexedBlobs: Int) -> Bool {
        var matching = 0
        for blob in blobs {
            let location = index.location(of: BlobReference(id: blob.id, length: blob.rawLength))
            if location == BlobLocation(pack: pack.id, offset: blob.offset, storedLength: blob.storedLength) {
                matching += 1
            }
        }
        return matching == indexedBlobs
    }

    /// Decodes every blob that the footer lists.
    private func verify(
        _ blobs: [BlobRecord], of pack: IndexedPack, in bytes: UnsafeRawBufferPointer,
        _ findings: inout PackFindings
    ) {
        for blob in blobs {
            let location = BlobLocation(pack: pack.id, offset: blob.offset, storedLength: blob.storedLength)
            let reference = BlobReference(id: blob.id, length: blob.rawLength)
            do {
                _ = try reader.decode(reference, at: location, kind: pack.kind, in: bytes, rangeOffset: 0)
            } catch {
                if let error = error as? CorruptionError { findings.reasons.append(Self.words(error)) }
                if index.location(of: reference) == location { findings.badBlobs.insert(blob.id) }
            }
        }
    }
}
