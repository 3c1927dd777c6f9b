// The configuration of a repository: `config`, in the frame of ObjectFrame. `init` writes it once, and seals it as
// every other object is sealed.
//
//   body
//    16  repository id
//     8  features that a reader must know to read       8  features that a reader may ignore
//     1  id algorithm       1  seal method, again        1  number of chunk classes
//        each class: number 1, then minimum, average, maximum as varints, in bytes
//    32  secret
//        varints: target size of a pack, longest inline file; text: compression; timestamp: created

import BakCodec
import BakCore

/// The chunk sizes of one class of content.
public struct ChunkClass: Equatable, Sendable {
    /// The class's number (BakChunking's `ContentClass`).
    public var number: UInt8
    /// The shortest chunk in bytes.
    public var minimum: Int
    /// The average chunk in bytes.
    public var average: Int
    /// The longest chunk in bytes.
    public var maximum: Int

    /// Makes a class.
    public init(number: UInt8, minimum: Int, average: Int, maximum: Int) {
        self.number = number
        self.minimum = minimum
        self.average = average
        self.maximum = maximum
    }
}

/// The parameters that every reader and writer of a repository must agree on.
public struct RepositoryConfig: Equatable, Sendable {
    /// The repository's id.
    public var id: ID128
    /// How ids of blobs are computed.
    public var idAlgorithm: IDAlgorithm
    /// How objects are sealed.
    public var encryption = SealMethod.none
    /// The chunk sizes for each class of content.
    public var classes: [ChunkClass]
    /// 32 random bytes from which the keys for ids and for cut points are derived. The key of an encrypted repository
    /// is another secret, which key slots hold.
    public var secret: [UInt8]
    /// The size at which a pack is closed, in bytes.
    public var packBytes: Int
    /// The longest file that is stored in the manifest, in bytes.
    public var inlineBytes: Int
    /// How chunks are compressed unless a run chooses otherwise.
    public var compression: CompressionMode
    /// When the repository was made.
    public var created: Timestamp

    /// The length of the secret.
    public static let secretBytes = 32
    /// The sizes at which a pack may be closed.
    public static let packByteRange = (1 << 20)...(1 << 30)

    /// Makes a configuration.
    public init(
        id: ID128, idAlgorithm: IDAlgorithm, classes: [ChunkClass], secret: [UInt8], packBytes: Int,
        inlineBytes: Int, compression: CompressionMode, created: Timestamp
    ) {
        precondition(secret.count == Self.secretBytes)
        self.id = id
        self.idAlgorithm = idAlgorithm
        self.classes = classes
        self.secret = secret
        self.packBytes = packBytes
        self.inlineBytes = inlineBytes
        self.compression = compression
        self.created = created
    }

    /// Returns the whole object. `sealer` must use the method in `encryption`.
    public func encode(_ sealer: Sealer = .plain) -> [UInt8] {
        precondition(sealer.method == encryption)
        var body = ByteWriter()
        body.id(id)
        body.integer(UInt64(0))
        body.integer(UInt64(0))
        body.byte(idAlgorithm.rawValue)
        body.byte(encryption.rawValue)
        body.byte(UInt8(classes.count))
        for chunkClass in classes {
            body.byte(chunkClass.number)
            body.varint(chunkClass.minimum)
            body.varint(chunkClass.average)
            body.varint(chunkClass.maximum)
        }
        body.raw(secret)
        body.varint(packBytes)
        body.varint(inlineBytes)
        body.text(compression.description)
        body.timestamp(created)
        return ObjectFrame.encode(kind: .config, id: id, body: body.bytes, sealer: sealer)
    }

    /// Returns the parts of a configuration that need no key: the repository's id and its seal method.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not a configuration, or needs a newer program.
    public static func frame(
        _ bytes: UnsafeRawBufferPointer, object: String
    ) throws(CorruptionError) -> ObjectHeader {
        try ObjectFrame.frame(bytes, object: object, expecting: [.config], id: nil).header
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, sealer: Sealer = .plain
    ) throws(CorruptionError) {
        self = try ObjectFrame.decode(
            bytes, object: object, expecting: .config, id: nil, sealer: sealer
        ) { header, body throws(CorruptionError) in
            try body.expectRepository(header.id)
            return try Self(body: &body, header: header)
        }
    }

    private init(body: inout ByteReader, header: ObjectHeader) throws(CorruptionError) {
        id = header.id
        encryption = header.seal
        let required = try body.integer(UInt64.self)
        guard required == 0 else {
            throw .unsupported(object: body.object, "it needs features of a newer program (\(required))")
        }
        _ = try body.integer(UInt64.self)
        guard let algorithm = IDAlgorithm(rawValue: try body.byte()) else {
            throw body.corruption("unknown id algorithm")
        }
        idAlgorithm = algorithm
        guard try body.byte() == encryption.rawValue else {
            throw body.corruption("another seal than in the header")
        }
        guard encryption == .none || idAlgorithm == .sha256 else {
            throw body.corruption("an encrypted repository whose ids are \(idAlgorithm)")
        }
        classes = []
        for _ in 0..<(try body.byte()) {
            let row = body
            let chunkClass = ChunkClass(
                number: try body.byte(), minimum: try body.count(upTo: 8 << 20, "a chunk size"),
                average: try body.count(upTo: 8 << 20, "a chunk size"),
                maximum: try body.count(upTo: 8 << 20, "a chunk size"))
            guard chunkClass.minimum >= 64, chunkClass.minimum < chunkClass.average,
                chunkClass.average < chunkClass.maximum,
                !classes.contains(where: { $0.number == chunkClass.number })
            else { throw row.corruption("impossible chunk sizes") }
            classes.append(chunkClass)
        }
        guard classes.contains(where: { $0.number == 1 }) else {
            throw body.corruption("no chunk sizes for general content")
        }
        secret = Array(try body.take(Self.secretBytes))
        packBytes = try body.count(upTo: Self.packByteRange.upperBound, "the pack size")
        guard Self.packByteRange.contains(packBytes) else {
            throw body.corruption("a pack size of \(packBytes)")
        }
        inlineBytes = try body.count(upTo: FormatLimits.inlineBytes, "the inline limit")
        let text = try body.text(upTo: 64, "the compression")
        guard let mode = CompressionMode(text) else { throw body.corruption("unknown compression \(text)") }
        compression = mode
        created = try body.timestamp()
        try body.expectEnd()
    }
}
