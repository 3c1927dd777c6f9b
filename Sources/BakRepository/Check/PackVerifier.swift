// PackVerifier: compares a pack with its footer and with the index, and its blobs with their ids. It reads a pack from
// beginning to end in pieces, so that memory does not grow with the pack's size.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The findings about a pack.
struct PackFindings {
    /// The faults in words; only the first few if there are many.
    private(set) var reasons: [String] = []
    /// The blobs of the pack that cannot be read.
    var badBlobs: Set<BlobLocation> = []
    /// True if the footer cannot tell which blobs are whole. `verifyIndexed` can tell, by the index.
    var needsIndex = false
    /// The cause of the worst fault.
    private(set) var cause: CorruptionError.Cause?
    /// True if the only fault is that the system does not let this user read the pack.
    private(set) var isRefused = false
    /// True if the index contradicts the footer, which is whole. Either may be wrong.
    var isContradicted = false
    private var reasonsLeftOut = 0
    private static let mostReasons = 10

    /// True if nothing is wrong.
    var isClean: Bool { reasons.isEmpty }

    mutating func add(_ reason: String, _ cause: CorruptionError.Cause = .damage) {
        if self.cause == nil || cause == .damage { self.cause = cause }
        isRefused = false
        if reasons.count < Self.mostReasons { reasons.append(reason) } else { reasonsLeftOut += 1 }
    }

    mutating func add(_ error: CorruptionError) {
        let isOther = !isClean && !isRefused
        add(error.isRefused ? error.reason : "at byte \(error.offset): \(error.reason)", error.cause)
        isRefused = error.isRefused && !isOther
    }

    /// All faults in words, with the number of those left out.
    var words: [String] {
        reasonsLeftOut > 0 ? reasons + ["and \(reasonsLeftOut) more blobs of it"] : reasons
    }
}

/// Verifies packs. For one thread.
final class PackVerifier {
    private let repository: Repository
    private let index: BlobIndex
    private let buffer = ScratchBuffer()
    private let reader: BlobReader
    private let trustingReader: BlobReader
    private let stop: StopSignal
    private let onRead: (_ bytes: Int) -> Void
    /// Plans requests that read whole packs, however large the gaps between the blobs are.
    private static let planner = RangePlanner(gapBytes: .max)

    /// Makes a verifier; `onRead` receives the number of bytes read and verified.
    init(
        _ repository: Repository, _ index: BlobIndex, stop: StopSignal = .never,
        onRead: @escaping (_ bytes: Int) -> Void = { _ in }
    ) {
        self.repository = repository
        self.index = index
        self.stop = stop
        self.onRead = onRead
        reader = BlobReader(repository)
        trustingReader = BlobReader(repository, trustingSeals: true)
    }

    /// Verifies a pack by its footer, and with `readsData` also every blob. It does not read bytes beyond the size in
    /// the index. Throws if the store fails.
    ///
    /// - Parameter trustingSeals: true to accept a sealed blob that opens, without computing its id.
    func verify(_ pack: CountedPack, readsData: Bool, trustingSeals: Bool) throws -> PackFindings {
        var findings = PackFindings()
        let size = Int(min(pack.storedBytes ?? 0, pack.indexed.size))
        do {
            guard size >= PackLayout.minimumBytes else {
                throw CorruptionError(
                    object: ObjectNames.pack(pack.id).description, offset: size, reason: "it ends here")
            }
            let blobs = try footer(pack.indexed, size: size)
            if !agrees(blobs, with: pack) {
                findings.add("its footer and the index disagree")
                (findings.needsIndex, findings.isContradicted) = (true, true)
            } else if readsData {
                try verify(blobs, of: pack.indexed, trustingSeals ? trustingReader : reader, &findings)
                try verifyPadding(of: pack.indexed, size: size)
            }
        } catch let error as CorruptionError {
            findings.add(error)
            findings.needsIndex = true
        }
        return findings
    }

    /// Decodes the blobs that the index has in a pack. `entries` are their entries, sorted by offset. Returns the blobs
    /// that cannot be read.
    func verifyIndexed(_ entries: [IndexEntry], of pack: IndexedPack) throws -> Set<BlobLocation> {
        var bad: Set<BlobLocation> = []
        for entry in entries where !stop.isRequested {
            let location = BlobLocation(pack: pack.id, offset: entry.offset, storedLength: entry.storedLength)
            let reference = BlobReference(id: entry.id, length: entry.rawLength)
            if try fault(of: reference, at: location, kind: pack.kind) != nil { bad.insert(location) }
        }
        return bad
    }

    private func fault(
        of reference: BlobReference, at location: BlobLocation, kind: ObjectKind
    ) throws -> CorruptionError? {
        do {
            let start = Int(location.offset)
            let bytes = try reader.readRange(of: location.pack, start..<location.endOffset)
            _ = try reader.decode(reference, at: location, kind: kind, in: bytes, rangeOffset: start)
            return nil
        } catch let error as CorruptionError { return error }
    }

    private func footer(_ pack: IndexedPack, size: Int) throws -> [BlobRecord] {
        let (kind, blobs) = try repository.packFooter(pack.id, size: size) { range in
            Array(try read(pack.id, range))
        }
        guard kind == pack.kind else {
            throw CorruptionError(
                object: ObjectNames.pack(pack.id).description, offset: 8,
                reason: "it is a \(kind.noun), but the index says otherwise")
        }
        return blobs
    }

    /// Verifies the checksums of those bytes of a sealed pack that are neither blobs nor footer.
    private func verifyPadding(of pack: IndexedPack, size: Int) throws {
        guard repository.isEncrypted else { return }
        func read(_ range: Range<Int>) throws -> [UInt8] { Array(try self.read(pack.id, range)) }
        let header = try read(0..<ObjectHeader.byteCount)
        let end = try repository.sealedPackEnd(pack.id, size: size, header: header, read: read)
        let padding = try repository.sealedBlobs(of: end, pack.id, read: read).padding
        for block in end.blocks(in: padding) where !padding.isEmpty {
            try end.verify(try self.read(pack.id, end.range(ofBlock: block)), block: block)
        }
    }

    private func read(_ pack: ID128, _ range: Range<Int>) throws -> UnsafeRawBufferPointer {
        let bytes = buffer.bytes(range.count)
        try repository.readPack(pack, range, into: bytes)
        return UnsafeRawBufferPointer(bytes)
    }

    /// True if the footer lists every blob that the index has in this pack. The footer may list more blobs: of a blob
    /// with copies in several packs, the index may name only one copy.
    private func agrees(_ blobs: [BlobRecord], with pack: CountedPack) -> Bool {
        var matching = 0
        for blob in blobs {
            let reference = BlobReference(id: blob.id, length: blob.rawLength)
            let location = BlobLocation(pack: pack.id, offset: blob.offset, storedLength: blob.storedLength)
            if index.location(of: reference) == location || index.locations(of: reference).contains(location)
            {
                matching += 1
            }
        }
        return matching == pack.blobCount
    }

    /// Decodes every blob that the footer lists, in the footer's order.
    private func verify(
        _ blobs: [BlobRecord], of pack: IndexedPack, _ reader: BlobReader, _ findings: inout PackFindings
    ) throws {
        func location(_ blob: BlobRecord) -> BlobLocation {
            BlobLocation(pack: pack.id, offset: blob.offset, storedLength: blob.storedLength)
        }
        var rest = blobs[...]
        while !stop.isRequested, let request = Self.planner.next(&rest, location) {
            try reader.read(
                request, kind: pack.kind, { (BlobReference(id: $0.id, length: $0.rawLength), location($0)) }
            ) { blob, result in
                guard case .failure(let fault) = result else { return }
                findings.add(fault)
                findings.badBlobs.insert(location(blob))
            }
            onRead(request.range.count)
        }
    }
}
