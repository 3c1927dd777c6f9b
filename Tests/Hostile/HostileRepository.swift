// HostileRepository: a whole repository with hostile content: extreme numbers, lists out of order, records that refer
// to each other in circles, entries beneath files. All its checksums and content ids are correct, so that the program
// reads on to the hostile parts.
//
// If the format's own encoders would refuse a value, its layout is written byte by byte. An input of zeros gives a
// sound repository with one snapshot.

import BakCodec
import BakCore
import BakFormat

/// The objects of a repository without encryption.
public struct HostileRepository {
    /// The objects by their names.
    public private(set) var objects: [String: [UInt8]] = [:]
    /// The entries of the repository's manifests, in order. A test can make a source from them.
    public private(set) var entries: [HostileEntry] = []

    var choices: Choices
    let repository = ID128(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)
    let secret = [UInt8](repeating: 0x53, count: RepositoryConfig.secretBytes)
    let algorithm: IDAlgorithm
    private let chunkHasher: ContentHasher
    private let manifestHasher: ContentHasher
    private var context: FrameContext { FrameContext(repository: repository, sealer: .plain) }

    private var nextID: UInt64 = 1
    private var sessions: [ID128] = []
    /// The stored blobs of each kind: chunks, manifest segments and manifest roots.
    private var blobs: [ObjectKind: [(reference: BlobReference, stored: [UInt8], codec: Codec)]] = [:]
    private var packs: [IndexedPack] = []
    /// The location of each blob. `pack` is an index into `packs`.
    private var rows: [IndexEntry] = []
    private var roots: [BlobReference] = []

    /// Makes the repository that an input describes.
    public init(_ input: some Sequence<UInt8>) {
        choices = Choices(input)
        algorithm = choices.oneIn(3) ? .sha256 : .xxh3
        chunkHasher = ContentHasher(algorithm, secret: secret, domain: "chunk")
        manifestHasher = ContentHasher(algorithm, secret: secret, domain: "manifest")
        putConfig()
        makeChunks()
        for _ in 0...choices.number(2) { makeManifest() }
        for kind in [ObjectKind.chunkPack, .manifestPack] { putPacks(kind) }
        for _ in 0...choices.number(3) { putSession() }
        for _ in 0..<choices.number(2) { putRound() }
        putMarkers()
    }

    private mutating func freshID() -> ID128 {
        defer { nextID += 1 }
        // Ids are spread over folders, as random ones are.
        return ID128(high: nextID &* 0x9e37_79b9_7f4a_7c15, low: nextID)
    }

    /// Returns one of the known ids, or sometimes an id that nothing has.
    private mutating func someID(_ known: [ID128]) -> ID128 {
        choices.oneIn(5) ? freshID() : choices.pick(known) ?? freshID()
    }

    private mutating func put(_ name: String, _ kind: ObjectKind, _ id: ID128, _ body: ByteWriter) {
        var bytes = body.bytes
        if choices.oneIn(40) { bytes.removeLast(min(bytes.count, 1 + choices.number(15))) }
        if choices.oneIn(40) { bytes += [UInt8](repeating: choices.byte(), count: 1 + choices.number(15)) }
        if choices.oneIn(30), !bytes.isEmpty {
            bytes[choices.number(min(bytes.count - 1, 0xffff))] = choices.byte()
        }
        objects[name] = ObjectFrame.encode(kind: kind, id: id, body: bytes, sealer: .plain)
    }

    // MARK: Configuration

    private mutating func putConfig() {
        var body = ByteWriter()
        body.id(repository)
        body.integer(choices.oneIn(60) ? UInt64(1) : 0)
        body.integer(choices.number(usually: 0))
        body.byte(algorithm.rawValue)
        body.byte(0)
        body.byte(2)
        for number in 1...2 {
            body.byte(UInt8(number))
            let sizes = choices.pick([
                [2048, 8192, 65536], [64, 65, 66], [64, 4096, 8 << 20], [8 << 20 - 2, 8 << 20 - 1, 8 << 20],
            ])!
            for size in sizes { body.varint(size) }
        }
        body.raw(secret)
        body.varint(choices.pick([1 << 20, 32 << 20, 1 << 30])!)
        body.varint(choices.pick([512, 0, 4096])!)
        body.text(choices.pick(["auto", "off", "max", "zstd:19"])!)
        body.timestamp(choices.time())
        objects["config"] = ObjectFrame.encode(
            kind: .config, id: repository, body: body.bytes, sealer: .plain)
    }

    // MARK: Blobs

    private mutating func makeChunks() {
        for number in 0...choices.number(5) {
            let content = [UInt8](
                repeating: UInt8(number + 1), count: choices.pick([100, 1, 255, 256, 5000, 70_000])!)
            store(content, .chunkPack)
        }
    }

    @discardableResult
    private mutating func store(_ content: [UInt8], _ kind: ObjectKind) -> BlobReference {
        let hasher = kind == .chunkPack ? chunkHasher : manifestHasher
        let id = content.withUnsafeBytes { hasher.id(of: $0) }
        let reference = BlobReference(id: id, length: UInt32(content.count))
        // Sometimes the blob claims a compression that it does not have.
        let codec: Codec = choices.oneIn(20) ? (choices.oneIn(2) ? .lz4 : .zstd) : .raw
        blobs[kind, default: []].append((reference, content, codec))
        return reference
    }

    private mutating func putPacks(_ kind: ObjectKind) {
        var left = (blobs[kind] ?? [])[...]
        while !left.isEmpty {
            let count = choices.oneIn(3) ? 1 + choices.number(left.count - 1) : left.count
            putPack(kind, Array(left.prefix(count)))
            left = left.dropFirst(count)
        }
    }

    private mutating func putPack(
        _ kind: ObjectKind, _ blobs: [(reference: BlobReference, stored: [UInt8], codec: Codec)]
    ) {
        let id = freshID()
        let header = ObjectHeader(kind: choices.oneIn(40) ? .chunkPack : kind, id: id, seal: .none)
        var pack = [UInt8](repeating: 0, count: ObjectHeader.byteCount)
        pack.withUnsafeMutableBytes { header.store(to: $0.baseAddress!) }
        var records: [BlobRecord] = []
        for (reference, stored, codec) in blobs {
            var record = BlobRecord(
                id: reference.id, offset: UInt32(pack.count), rawLength: reference.length,
                storedLength: UInt32(stored.count), codec: codec,
                storedChecksum: stored.withUnsafeBytes { PackLayout.storedChecksum($0, codec: codec) })
            if choices.oneIn(30) { record.rawLength = UInt32(truncatingIfNeeded: choices.edge()) }
            var head = [UInt8](repeating: 0, count: PackLayout.blobHeaderBytes)
            head.withUnsafeMutableBytes { PackLayout.storeBlobHeader(record, to: $0.baseAddress!) }
            pack += head + stored
            if choices.oneIn(30) { record.offset = UInt32(truncatingIfNeeded: choices.edge()) }
            if choices.oneIn(30) { record.storedLength = UInt32(truncatingIfNeeded: choices.edge()) }
            records.append(record)
        }
        let footerOffset = choices.oneIn(40) ? Int(choices.edge() >> 1) : pack.count
        pack += PackLayout.encodeEnd(header: header, blobs: records, footerOffset: footerOffset)
        let size = choices.number(usually: UInt64(pack.count))
        for record in records {
            rows.append(
                IndexEntry(
                    id: record.id, pack: UInt32(packs.count), offset: record.offset,
                    rawLength: record.rawLength, storedLength: record.storedLength))
        }
        packs.append(IndexedPack(id: id, size: size, kind: kind))
        let name = "\(id)"
        if !choices.oneIn(20) { objects["packs/\(name.prefix(2))/\(name)"] = pack }
    }

    // MARK: Manifests

    private mutating func makeManifest() {
        var maker = HostileManifestMaker(choices: choices, chunks: (blobs[.chunkPack] ?? []).map(\.reference))
        let segments = maker.segments()
        choices = maker.choices
        entries = maker.entries
        var references: [ManifestSegmentReference] = []
        for segment in segments {
            let blob = store(segment.bytes, .manifestPack)
            references.append(
                ManifestSegmentReference(
                    blob: blob, recordCount: segment.recordCount, firstPath: segment.firstPath))
        }
        if choices.oneIn(12), let repeated = choices.pick(references) { references.append(repeated) }
        if choices.oneIn(20) { references.reverse() }
        var root = ByteWriter()
        root.byte(choices.oneIn(80) ? 2 : 1)
        root.varint(choices.number(usually: UInt64(references.count)))
        var previous: [UInt8] = []
        for reference in references {
            root.id(choices.oneIn(40) ? freshID() : reference.blob.id)
            root.varint(choices.number(usually: UInt64(reference.blob.length)))
            root.varint(choices.number(usually: UInt64(reference.recordCount)))
            let shared = zip(previous, reference.firstPath).prefix { $0 == $1 }.count
            root.varint(choices.number(usually: UInt64(shared)))
            root.byteString(reference.firstPath[shared...])
            previous = reference.firstPath
        }
        roots.append(store(root.bytes, .manifestPack))
    }

    // MARK: Sessions

    private mutating func putSession() {
        let id = freshID()
        if choices.oneIn(4) {
            let record = SessionRecord(id: id, time: choices.time(), host: "h", program: "p")
            objects["sessions/\(id)"] = record.encode(context)
        }
        let hasIndex = sessions.isEmpty || choices.oneIn(2)
        if hasIndex, !choices.oneIn(20) { putIndex("index/\(id)", id) }
        if choices.oneIn(12) {
            objects["snapshots/\(id)"] = Tombstone(session: id).encode(context)
        } else {
            putCommit(id, hasIndex: hasIndex)
        }
        sessions.append(id)
    }

    private mutating func putCommit(_ id: ID128, hasIndex: Bool) {
        var body = ByteWriter()
        body.id(repository)
        body.timestamp(choices.time())
        body.timestamp(choices.time())
        for text in ["host", choices.oneIn(4) ? "another" : "device", "user", "program"] { body.text(text) }
        let paths = [Array("a".utf8), [], Array("..".utf8), Array("a/b".utf8)].prefix(1 + choices.number(3))
        body.varint(choices.number(usually: UInt64(paths.count)))
        for path in paths { body.byteString(path) }
        body.varint(0)
        let parent = sessions.isEmpty && !choices.oneIn(4) ? nil : someID(sessions + [id])
        body.byte(parent == nil ? 0 : 1)
        if let parent { body.id(parent) }
        body.byte(choices.oneIn(4) ? 0 : 1)
        body.byte(hasIndex ? 1 : 0)
        let root =
            choices.oneIn(20)
            ? choices.pick((blobs[.manifestPack] ?? []).map(\.reference))! : choices.pick(roots)!
        body.id(root.id)
        body.varint(choices.number(usually: UInt64(root.length)))
        for _ in 0..<14 { body.varint(choices.number(usually: 1)) }
        putFields(to: &body, paths.count)
        put("snapshots/\(id)", .commitRecord, id, body)
    }

    private mutating func putFields(to body: inout ByteWriter, _ paths: Int) {
        if choices.oneIn(4) {
            body.byte(1)
            body.id(someID(sessions))
        }
        if choices.oneIn(3) { body.byte(2) }
        if choices.oneIn(4) {
            body.byte(3)
            body.varint(choices.number(usually: 1))
            body.varint(choices.number(usually: 1))
        }
        if choices.oneIn(4) {
            body.byte(4)
            let numbers = (0..<paths).filter { _ in !choices.oneIn(2) }
            body.varint(numbers.count)
            for number in numbers { body.varint(choices.number(usually: UInt64(number))) }
        }
        if choices.oneIn(5) {
            body.byte(5)
            body.varint(1)
            body.id(someID(sessions))
        }
    }

    /// Puts an index segment with some or all of the stored blobs.
    private mutating func putIndex(_ name: String, _ id: ID128) {
        var places: [Int] = packs.indices.sorted { packs[$0].id < packs[$1].id }
        if choices.oneIn(10) { places.removeLast() }
        if choices.oneIn(30) { places.reverse() }
        var body = ByteWriter()
        body.id(repository)
        var named = rows.filter { places.contains(Int($0.pack)) && !choices.oneIn(40) }.sorted {
            $0.id < $1.id
        }
        if choices.oneIn(30), let twice = choices.pick(named) { named.append(twice) }
        // A segment names each blob once, even if it is stored twice.
        named = named.enumerated().filter { $0 == 0 || named[$0 - 1].id != $1.id }.map(\.element)
        body.integer(choices.oneIn(60) ? UInt32(truncatingIfNeeded: choices.edge()) : UInt32(places.count))
        body.integer(choices.oneIn(60) ? UInt32(truncatingIfNeeded: choices.edge()) : UInt32(named.count))
        for place in places {
            body.id(packs[place].id)
            body.integer(packs[place].size)
            body.byte(choices.oneIn(60) ? choices.byte() : packs[place].kind.rawValue)
            body.zeros(7)
        }
        for row in named {
            body.id(row.id)
            body.integer(UInt32(places.firstIndex(of: Int(row.pack)) ?? 0))
            body.integer(choices.oneIn(80) ? UInt32(truncatingIfNeeded: choices.edge()) : row.offset)
            body.integer(choices.oneIn(80) ? UInt32(truncatingIfNeeded: choices.edge()) : row.rawLength)
            body.integer(choices.oneIn(80) ? UInt32(truncatingIfNeeded: choices.edge()) : row.storedLength)
        }
        put(name, .indexSegment, id, body)
    }

    // MARK: Collections

    private mutating func putRound() {
        let number = choices.pick([UInt64(1), 2, 3, 1 << 62 - 1, 1 << 62, .max])!
        let id = ID128(high: 0, low: number)
        var base: [ID128] = []
        if choices.oneIn(2) {
            let segment = freshID()
            putIndex("index/\(number)-\(segment)", segment)
            base.append(segment)
        }
        if choices.oneIn(8) { base.append(freshID()) }
        let condemned = packs.map(\.id).filter { _ in choices.oneIn(3) }.sorted()
        let superseded = sessions.filter { _ in choices.oneIn(3) }.sorted()
        if !choices.oneIn(4) {
            putRound("gc/\(number).plan", .collectionPlan, id, number, [condemned])
        }
        if choices.oneIn(2) {
            putRound(
                "gc/\(number).decision", .collectionDecision, id, number,
                [condemned, base.sorted(), superseded])
        }
    }

    private mutating func putRound(
        _ name: String, _ kind: ObjectKind, _ id: ID128, _ number: UInt64, _ lists: [[ID128]]
    ) {
        var body = ByteWriter()
        body.id(repository)
        body.integer(choices.number(usually: number))
        putOrigin(to: &body)
        for list in lists {
            body.integer(choices.oneIn(40) ? UInt32(truncatingIfNeeded: choices.edge()) : UInt32(list.count))
        }
        for list in lists { for id in list { body.id(id) } }
        put(name, kind, id, body)
    }

    private mutating func putOrigin(to body: inout ByteWriter) {
        body.timestamp(choices.time())
        body.text("host")
        body.text("program")
    }

    // MARK: Markers and vouches

    private mutating func putMarkers() {
        for session in sessions where choices.oneIn(4) {
            var body = ByteWriter()
            body.id(repository)
            putOrigin(to: &body)
            put("forget/\(session)", .forgetMarker, session, body)
        }
        guard choices.oneIn(3) else { return }
        let id = freshID()
        var body = ByteWriter()
        body.id(repository)
        putOrigin(to: &body)
        body.id(someID(sessions))
        body.varint(choices.number(usually: 1))
        body.id(freshID())
        body.byteString(Array("a/b".utf8))
        put("vouched/\(id)", .vouch, id, body)
    }
}
