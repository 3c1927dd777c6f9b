// ForgetDoubts: finds the forgotten snapshots whose forget marker is damaged. Each of them is a doubt: it is not
// certain that the user removed the snapshot. A doubtful snapshot stays hidden, because an earlier prune may have
// deleted some of its content. But later prunes keep its remaining content.
//
// If the index no longer has the root of a snapshot's manifest, a prune has deleted the content, and the marker need
// not be read any more. This machine remembers the roots of forgotten snapshots in a file, so that it need not read the
// snapshots' records to look the roots up in the index:
//
//   magic "bakgone\0" 8 | version 4 | zero 4 | repository id 16 | rows, sorted | XXH3-128 of it all 16
//   row: snapshot id 16 | root id 16 | root's length 4 | zero 4

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A forgotten snapshot whose marker cannot be read, although some of its content may still be stored.
public struct ForgetDoubt: Sendable {
    /// The snapshot's id.
    public let id: ID128
    /// The snapshot's commit record; nil if neither the record nor its spare can be read. Then it is unknown which
    /// blobs are the snapshot's content.
    public let snapshot: CommitRecord?
    /// What is wrong with the marker.
    public let error: CorruptionError
}

extension Repository {
    /// Returns the doubts about forgotten snapshots, in the order of their ids.
    func doubts(about forgotten: Set<ID128>, _ index: BlobIndex) throws -> [ForgetDoubt] {
        let known = ForgottenRoots(self)
        var roots = known.roots.filter { forgotten.contains($0.key) }
        var doubts: [ForgetDoubt] = []
        for id in forgotten.sorted() {
            if roots[id] == nil { roots[id] = try recordOrSpare(id)?.root }
            if let root = roots[id], index.location(of: root) == nil { continue }
            guard let error = try faultOfMarker(id), let doubt = try doubt(about: id, error, index) else {
                continue
            }
            doubts.append(doubt)
        }
        if roots != known.roots { known.replace(with: roots) }
        return doubts
    }

    /// Returns the fault of a forgotten snapshot's marker; nil if the marker is whole.
    func faultOfMarker(_ snapshot: ID128) throws -> CorruptionError? {
        do {
            try expectForgetMarker(snapshot)
            return nil
        } catch let error as CorruptionError { return error }
    }

    /// Returns the doubt about a snapshot with a damaged marker; nil if the index does not have the snapshot's root.
    func doubt(about id: ID128, _ error: CorruptionError, _ index: BlobIndex) throws -> ForgetDoubt? {
        guard let snapshot = try recordOrSpare(id) else {
            var error = error
            error.reason += ". The snapshot's record cannot be read, either. Remove the snapshot again with: "
            error.reason += "bakstore forget \(id.short)"
            return ForgetDoubt(id: id, snapshot: nil, error: error)
        }
        guard index.location(of: snapshot.root) != nil else { return nil }
        return ForgetDoubt(id: id, snapshot: snapshot, error: error)
    }
}

/// The roots of forgotten snapshots in this copy of the repository, as a file of the cache.
struct ForgottenRoots {
    static let cacheName = "forgotten"

    private let repository: Repository
    private(set) var roots: [ID128: BlobReference] = [:]

    /// Reads the file. If it is missing or damaged, the records are read again.
    init(_ repository: Repository) {
        self.repository = repository
        roots =
            repository.cache.readRows(name, Self.header(repository.config.id)) { bytes in
                var reader = ByteReader(bytes, object: Self.cacheName)
                var roots: [ID128: BlobReference] = [:]
                while let (id, root) = try? Self.decode(&reader) { roots[id] = root }
                return roots
            } ?? [:]
    }

    private var name: String { repository.cacheNameHere(Self.cacheName) }

    private static func decode(
        _ row: inout ByteReader
    ) throws(CorruptionError) -> (id: ID128, root: BlobReference) {
        let (id, root, length) = (try row.id(), try row.id(), try row.integer(UInt32.self))
        _ = try row.integer(UInt32.self)
        return (id, BlobReference(id: root, length: length))
    }

    /// Replaces the file. If that fails, the next prune only takes longer.
    func replace(with roots: [ID128: BlobReference]) {
        repository.cache.writeRows(name, Self.header(repository.config.id)) { writer in
            for (id, root) in roots.sorted(by: { $0.key < $1.key }) {
                writer.id(id)
                writer.id(root.id)
                writer.integer(root.length)
                writer.integer(UInt32(0))
            }
        }
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x0065_6e6f_676b_6162 /* "bakgone" */, version: 2, repository: repository)
    }
}
