// ForgetDoubts: snapshots that a damaged marker forgets. They stay hidden, since a prune may have deleted what they
// had; but nothing that is still there is deleted on the word of such a marker.
//
// A marker that was put from here or once found whole has said what it had to say, so this machine remembers it:
//
//   magic "bakgone\0" 8 | version 4 | zero 4 | repository id 16 | snapshot ids 16 each, sorted | XXH3-128 of it all 16

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A snapshot that is forgotten by a marker which cannot be read, while something of it is there.
public struct ForgetDoubt: Sendable {
    /// The snapshot.
    public let snapshot: CommitRecord
    /// What is wrong with the marker.
    public let error: CorruptionError
}

extension Repository {
    /// Those of the forgotten snapshots that are in doubt, in the order of their ids.
    func doubts(about forgotten: Set<ID128>, _ index: BlobIndex) throws -> [ForgetDoubt] {
        let known = KnownMarkers(self)
        var doubts: [ForgetDoubt] = []
        var whole = known.ids.intersection(forgotten)
        for id in forgotten.subtracting(whole).sorted() {
            guard let error = try faultOfMarker(id) else {
                whole.insert(id)
                continue
            }
            if let doubt = try doubt(about: id, error, index) { doubts.append(doubt) }
        }
        if whole != known.ids { known.replace(with: whole) }
        return doubts
    }

    /// What is wrong with the marker of a forgotten snapshot; nil when it is whole.
    func faultOfMarker(_ snapshot: ID128) throws -> CorruptionError? {
        do {
            try expectForgetMarker(snapshot)
            return nil
        } catch let error as CorruptionError { return error }
    }

    /// The doubt that a damaged marker leaves; nil when nothing of its snapshot is there.
    func doubt(about id: ID128, _ error: CorruptionError, _ index: BlobIndex) throws -> ForgetDoubt? {
        guard let snapshot = try commitRecord(id), index.location(of: snapshot.root) != nil else {
            return nil
        }
        return ForgetDoubt(snapshot: snapshot, error: error)
    }

    /// A forgotten snapshot's commit record; nil when it is damaged or missing, so that nobody can restore it.
    private func commitRecord(_ id: ID128) throws -> CommitRecord? {
        do {
            return try snapshot(id)
        } catch is CorruptionError {
            return nil
        } catch let error as StoreError where error.kind == .notFound {
            return nil
        }
    }
}

/// The markers that this machine has put or found whole in this copy of the repository, in a file of the cache.
struct KnownMarkers {
    static let cacheName = "forgotten"
    private static let headBytes = CacheHeader.byteCount

    private let repository: Repository
    private(set) var ids: Set<ID128> = []

    /// Reads the file. Whatever is wrong with it only costs reading.
    init(_ repository: Repository) {
        self.repository = repository
        guard let mapped = repository.cache.map(repository.cacheNameHere(Self.cacheName)) else { return }
        let bytes = mapped.bytes
        let end = bytes.count - ID128.byteCount
        guard end >= Self.headBytes, (end - Self.headBytes) % ID128.byteCount == 0,
            Self.header(repository.config.id).isAtStart(of: bytes),
            Checksum.xxh3_128(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
                == ID128(loading: bytes.baseAddress! + end)
        else { return }
        for offset in stride(from: Self.headBytes, to: end, by: ID128.byteCount) {
            ids.insert(ID128(loading: bytes.baseAddress! + offset))
        }
    }

    /// Writes the file anew with more ids.
    func add(_ more: [ID128]) {
        if !more.isEmpty { replace(with: ids.union(more)) }
    }

    /// Writes the file anew. A cache that cannot be written only costs time.
    func replace(with ids: Set<ID128>) {
        var writer = ByteWriter(reservingCapacity: Self.headBytes + (ids.count + 1) * ID128.byteCount)
        writer.raw(Self.header(repository.config.id).bytes)
        for id in ids.sorted() { writer.id(id) }
        writer.id(writer.bytes.withUnsafeBytes { Checksum.xxh3_128($0) })
        try? repository.cache.replace(repository.cacheNameHere(Self.cacheName)) { append in
            try writer.bytes.withUnsafeBytes(append)
        }
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x0065_6e6f_676b_6162 /* "bakgone" */, version: 1, repository: repository)
    }
}
