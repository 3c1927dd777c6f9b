// FormatSpecimen: one interface to all decoders of the format. `recode` decodes bytes and returns the encoding of the
// decoded value.

import BakCodec
import BakCore
import BakFormat

/// A kind of encoded value.
public enum FormatSpecimen: String, CaseIterable, Sendable {
    case config, session, commitRecord, indexSegment, pack, manifestSegment, manifestRoot
    case tombstone, forgetMarker, plan, decision, keySlot, vouch

    /// The repository's id in all specimens.
    public static let repository = ID128(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)
    /// The id in the names of objects, if their names have one.
    public static let object = ID128(high: 0xa1a2_a3a4_a5a6_a7a8, low: 0xb1b2_b3b4_b5b6_b7b8)
    /// The round of plans and decisions.
    public static let round: UInt64 = 12
    /// The context in which objects are framed.
    public static let context = FrameContext(repository: repository, sealer: .plain)

    /// True if a checksum in the value covers every byte. Manifest blobs are covered by their ids instead.
    public var hasChecksum: Bool { self != .manifestSegment && self != .manifestRoot }

    /// Returns the encoding of a random value.
    public func sample(_ random: SeededRandom) -> [UInt8] {
        switch self {
        case .config:
            var config = random.config()
            config.id = Self.repository
            return config.encode()
        case .session:
            return SessionRecord(
                id: Self.object, time: random.timestamp(), host: random.text(upTo: 9), program: "bakstore"
            ).encode(Self.context)
        case .commitRecord: return random.commitRecord(id: Self.object).encode(Self.context)
        case .indexSegment:
            return random.indexSegment(session: Self.object, blobsPerPack: 3).encode(Self.context)
        case .tombstone: return Tombstone(session: Self.object).encode(Self.context)
        case .forgetMarker:
            return ForgetMarker(snapshot: Self.object, origin: random.origin()).encode(Self.context)
        case .plan:
            return CollectionPlan(number: Self.round, origin: random.origin(), condemned: random.ids())
                .encode(Self.context)
        case .decision:
            return CollectionDecision(
                number: Self.round, origin: random.origin(), deleted: random.ids(), base: random.ids(),
                superseded: random.ids()
            ).encode(Self.context)
        case .keySlot:
            let cost = PasswordCost(memoryKiB: UInt32(random.number(8...32)), passes: 1, lanes: 1)
            let note = KeySlotNote(
                name: random.text(upTo: 9), host: random.text(upTo: 9), program: "bakstore",
                created: random.timestamp())
            let slot = try? KeySlot(
                id: Self.object, key: SecretBytes(copying: random.bytes(32)),
                method: random.oneIn(2) ? .aes256GCM : .chaCha20Poly1305, repository: Self.repository,
                password: SecretBytes(copying: random.bytes(4)), cost: cost, note: note, random: random)
            return slot!.encode()
        case .vouch:
            let files = random.paths(random.number(0...4)).map { Vouch.File(content: random.id(), path: $0) }
            return Vouch(
                id: Self.object, origin: random.origin(), snapshot: random.id(),
                files: Vouch.parts(files).first ?? []
            ).encode(Self.context)
        case .pack:
            return Self.pack(
                kind: random.oneIn(2) ? .chunkPack : .manifestPack,
                (0..<random.number(0...3)).map { _ in random.bytes(random.number(1...40)) })
        case .manifestSegment: return Self.segment(random.entries(random.number(0...4)))
        case .manifestRoot: return random.manifestRoot(random.number(0...4)).encode()
        }
    }

    /// Returns a sample of at most 2048 bytes, for tests whose time grows with the square of the sample's length.
    public func smallSample(_ random: SeededRandom) -> [UInt8] {
        while true {
            let bytes = sample(random)
            if bytes.count <= 2048 { return bytes }
        }
    }

    /// Encodes a segment of complete entries. Drops extents beyond the limit of a record.
    public static func segment(_ entries: [ManifestEntry]) -> [UInt8] {
        var encoder = ManifestSegmentEncoder()
        for var entry in entries {
            if case .extents(let extents) = entry.content {
                entry.content = .extents(Array(extents.prefix(FormatLimits.extentsPerRecord)))
            }
            encoder.append(entry)
        }
        return encoder.finish()
    }

    /// Makes a pack of blobs with the given stored bytes. The blobs claim to be compressed with zstd, so that each has
    /// a checksum. They also claim to be twice as long when decoded.
    public static func pack(kind: ObjectKind, _ stored: [[UInt8]]) -> [UInt8] {
        let header = ObjectHeader(kind: kind, id: object, seal: .none)
        var pack = [UInt8](repeating: 0, count: ObjectHeader.byteCount)
        pack.withUnsafeMutableBytes { header.store(to: $0.baseAddress!) }
        var blobs: [BlobRecord] = []
        for bytes in stored {
            let blob = BlobRecord(
                id: bytes.withUnsafeBytes(Checksum.xxh3_128), offset: UInt32(pack.count),
                rawLength: UInt32(bytes.count * 2), storedLength: UInt32(bytes.count), codec: .zstd,
                storedChecksum: bytes.withUnsafeBytes(Checksum.xxh3_64))
            var blobHeader = [UInt8](repeating: 0, count: PackLayout.blobHeaderBytes)
            blobHeader.withUnsafeMutableBytes { PackLayout.storeBlobHeader(blob, to: $0.baseAddress!) }
            pack += blobHeader + bytes
            blobs.append(blob)
        }
        return pack + PackLayout.encodeEnd(header: header, blobs: blobs, footerOffset: pack.count)
    }

    /// Decodes `bytes` and encodes the value again.
    public func recode(_ bytes: [UInt8]) throws(CorruptionError) -> [UInt8] {
        let result: Result<[UInt8], CorruptionError> = bytes.withUnsafeBytes { bytes in
            do throws(CorruptionError) { return .success(try recode(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Decodes `bytes` and encodes the value again.
    public func recode(_ bytes: UnsafeRawBufferPointer) throws(CorruptionError) -> [UInt8] {
        let (object, id, context) = ("test", Self.object, Self.context)
        switch self {
        case .config: return try RepositoryConfig(decoding: bytes, object: object).encode()
        case .session:
            return try SessionRecord(decoding: bytes, object: object, id: id, context: context)
                .encode(context)
        case .commitRecord:
            return try CommitRecord(decoding: bytes, object: object, id: id, context: context).encode(context)
        case .indexSegment:
            return try IndexSegment(decoding: bytes, object: object, session: id, context: context)
                .encode(context)
        case .pack: return try Self.recodePack(bytes)
        case .tombstone:
            return try Tombstone(decoding: bytes, object: object, session: id, context: context)
                .encode(context)
        case .forgetMarker:
            return try ForgetMarker(decoding: bytes, object: object, snapshot: id, context: context)
                .encode(context)
        case .plan:
            return try CollectionPlan(decoding: bytes, object: object, number: Self.round, context: context)
                .encode(context)
        case .decision:
            return try CollectionDecision(
                decoding: bytes, object: object, number: Self.round, context: context
            ).encode(context)
        case .keySlot: return try KeySlot(decoding: bytes, object: object, id: id).encode()
        case .vouch:
            return try Vouch(decoding: bytes, object: object, id: id, context: context).encode(context)
        case .manifestSegment:
            let decoder = try ManifestSegmentDecoder(bytes, object: object)
            var encoder = ManifestSegmentEncoder()
            while let record = try decoder.next() {
                switch record {
                case .entry(let entry): encoder.append(entry)
                case .continuation(let extents): encoder.append(continuation: extents, path: [])
                }
            }
            return encoder.finish()
        case .manifestRoot: return try ManifestRoot(decoding: bytes, object: object).encode()
        }
    }

    private static func recodePack(_ bytes: UnsafeRawBufferPointer) throws(CorruptionError) -> [UInt8] {
        func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { .init(rebasing: bytes[range]) }
        guard bytes.count >= PackLayout.minimumBytes else {
            throw CorruptionError(object: "test", offset: 0, reason: "short")
        }
        let tail = part(bytes.count - PackLayout.tailBytes..<bytes.count)
        let (offset, count) = try PackLayout.footerOffset(
            header: part(0..<ObjectHeader.byteCount), tail: tail, pack: "test", packBytes: bytes.count)
        let (kind, blobs) = try PackLayout.footer(
            header: part(0..<ObjectHeader.byteCount), end: part(offset..<bytes.count), footerOffset: offset,
            pack: "test", id: object)
        precondition(blobs.count == count)
        var stored: [[UInt8]] = []
        for blob in blobs {
            let start = Int(blob.offset)
            let header = try PackLayout.blobHeader(
                part(start..<blob.endOffset), pack: "test", offset: blob.offset)
            let payload = part(start + PackLayout.blobHeaderBytes..<blob.endOffset)
            guard header == blob, PackLayout.storedChecksum(payload, codec: blob.codec) == blob.storedChecksum
            else { throw CorruptionError(object: "test", offset: start, reason: "a damaged blob") }
            stored.append(Array(payload))
        }
        return pack(kind: kind, stored)
    }

    /// Corrects the checksums of mutated bytes, so that a decoder goes on to check the values.
    public func repair(_ bytes: inout [UInt8]) {
        switch self {
        case .config, .session, .commitRecord, .indexSegment, .tombstone, .forgetMarker, .plan, .decision,
            .keySlot, .vouch:
            guard bytes.count >= ObjectFrame.checksumBytes else { return }
            Self.store(Checksum.xxh3_128, of: 0..<bytes.count - 16, at: bytes.count - 16, in: &bytes)
        case .pack:
            guard bytes.count >= PackLayout.minimumBytes else { return }
            let rows = bytes.count - PackLayout.tailBytes - ObjectHeader.byteCount
            let count = Int(bytes[bytes.count - 44])
            let footer = count * PackLayout.footerEntryBytes <= rows ? count * PackLayout.footerEntryBytes : 0
            let start = bytes.count - PackLayout.tailBytes - footer
            let checked = bytes[..<ObjectHeader.byteCount] + bytes[start..<bytes.count - 16]
            let checksum = Array(checked).withUnsafeBytes(Checksum.xxh3_128)
            bytes.withUnsafeMutableBytes { checksum.store(to: $0.baseAddress! + $0.count - 16) }
        case .manifestSegment, .manifestRoot: break
        }
    }

    private static func store(
        _ checksum: (UnsafeRawBufferPointer) -> ID128, of range: Range<Int>, at offset: Int,
        in bytes: inout [UInt8]
    ) {
        let value = bytes.withUnsafeBytes { checksum(.init(rebasing: $0[range])) }
        bytes.withUnsafeMutableBytes { value.store(to: $0.baseAddress! + offset) }
    }

    /// Checks what a decoder must do with any bytes: refuse them, or return a value whose encoding decodes to the same
    /// value. Returns true if the decoder took the bytes. Traps if neither holds.
    @discardableResult
    public func challenge(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let once = try? recode(bytes) else { return false }
        guard let twice = try? recode(once) else { preconditionFailure("\(self): own encoding refused") }
        precondition(once == twice, "\(self): encoding is not stable")
        return true
    }
}

extension SeededRandom {
    /// Makes a few random changes: to bits, to bytes, to numbers near their limits, and by removing, repeating or
    /// splicing in parts.
    public func mutate(_ bytes: inout [UInt8], splicing other: [UInt8] = []) {
        for _ in 0..<number(1...4) {
            let offset = number(0...max(0, bytes.count - 1))
            switch number(0...6) {
            case 0 where !bytes.isEmpty: bytes[offset] ^= 1 << UInt8(number(0...7))
            case 1 where !bytes.isEmpty: bytes[offset] = UInt8(truncatingIfNeeded: next())
            case 2:
                let edges: [UInt64] = [0, 1, 0x7f, 0x80, 0xffff, 1 << 31, 0xffff_ffff, 1 << 63, .max]
                let value = withUnsafeBytes(of: edges[number(0...8)].littleEndian) { Array($0) }
                let width = min([1, 2, 4, 8][number(0...3)], bytes.count - offset)
                bytes.replaceSubrange(offset..<offset + width, with: value.prefix(width))
            case 3:
                bytes.removeSubrange(offset..<min(bytes.count, offset + number(1...16)))
            case 4:
                let range = offset..<min(bytes.count, offset + number(1...32))
                bytes.insert(contentsOf: Array(bytes[range]), at: offset)
            case 5: bytes.insert(contentsOf: repeatElement(0xff, count: number(1...9)), at: offset)
            default:
                let start = number(0...other.count)
                bytes.insert(contentsOf: other[start..<min(other.count, start + 16)], at: offset)
            }
        }
    }
}
