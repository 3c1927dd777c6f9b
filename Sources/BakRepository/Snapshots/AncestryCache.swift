// AncestryCache: remembers the parents of forgotten snapshots, so that `SnapshotOrder` can follow chains of parents
// through them. The records of forgotten snapshots stay in the store for ever and never change, so this machine reads
// each of them once.
//
//   magic "bakkin\0\0" 8 | version 4 | zero 4 | repository id 16 | rows | XXH3-128 of it all 16
//   row: id 16 | original 16 | parent 16, zero for none | seconds 8 | nanoseconds 4 | count 4 | joined archives 16 each
//   count: 0 if it is not a complete archive, else one more than the number of joined archives

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The rows that this machine has read, as a file of the cache.
struct AncestryCache {
    static let cacheName = "ancestry"

    private let cache: any LocalCache
    private let repository: ID128
    private(set) var rows: [ID128: Ancestry] = [:]

    /// Reads the file. If the file is missing or damaged, the records are read again.
    init(_ cache: any LocalCache, repository: ID128) {
        self.cache = cache
        self.repository = repository
        rows =
            cache.readRows(Self.cacheName, Self.header(repository)) { bytes in
                var reader = ByteReader(bytes, object: Self.cacheName)
                var rows: [ID128: Ancestry] = [:]
                while let member = try? Self.decode(&reader) { rows[member.id] = member }
                return rows
            } ?? [:]
    }

    /// Replaces the file with one that has more rows. A failure only costs time later.
    func add(_ more: [Ancestry]) {
        guard !more.isEmpty else { return }
        var all = rows
        for member in more { all[member.id] = member }
        cache.writeRows(Self.cacheName, Self.header(repository)) { writer in
            for member in all.values.sorted(by: { $0.id < $1.id }) {
                for id in [member.id, member.original, member.parent ?? .zero] { writer.id(id) }
                writer.integer(member.time.seconds)
                writer.integer(member.time.nanoseconds)
                writer.integer(UInt32(member.joined.map { $0.count + 1 } ?? 0))
                for id in member.joined ?? [] { writer.id(id) }
            }
        }
    }

    private static func decode(_ row: inout ByteReader) throws(CorruptionError) -> Ancestry {
        let (id, original, parent) = (try row.id(), try row.id(), try row.id())
        let (seconds, nanoseconds) = (try row.integer(Int64.self), try row.integer(UInt32.self))
        let count = try row.integer(UInt32.self)
        var joined: [ID128]? = count == 0 ? nil : []
        for _ in 1..<max(1, count) { joined?.append(try row.id()) }
        return Ancestry(
            id: id, original: original, parent: parent == .zero ? nil : parent,
            time: Timestamp(seconds: seconds, nanoseconds: nanoseconds), joined: joined)
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x0000_6e69_6b6b_6162 /* "bakkin" */, version: 2, repository: repository)
    }
}

extension Repository {
    /// Returns the forgotten snapshots through which the chains of `records` continue. A chain ends at a record that is
    /// gone or unreadable.
    func forgottenAncestors(of records: [CommitRecord], among forgotten: Set<ID128>) -> [Ancestry] {
        let known = Set(records.flatMap { [$0.id, $0.originalID] })
        var (rest, joined): ([ID128], Set<ID128>) = ([], [])
        func goOn(from member: Ancestry) {
            rest += (member.parent.map { [$0] } ?? []).filter {
                !known.contains($0) && forgotten.contains($0)
            }
            for id in member.joined ?? [] where !known.contains(id) && joined.insert(id).inserted {
                rest.append(id)
            }
        }
        for record in records { goOn(from: Ancestry(record)) }
        guard !rest.isEmpty else { return [] }
        let cached = AncestryCache(cache, repository: config.id)
        var found: [ID128: Ancestry] = [:]
        var fresh: [ID128: Ancestry] = [:]
        func read(_ id: ID128) -> Ancestry? {
            if let row = cached.rows[id] ?? fresh[id] { return row }
            guard let record = try? snapshot(id) else { return nil }
            fresh[id] = Ancestry(record)
            return fresh[id]
        }
        /// The forgotten snapshots by their original ids. An archive names the archives that it joined by original id,
        /// and only a snapshot's own record tells its original id. So all forgotten records must be read once.
        lazy var byOriginal = Dictionary(grouping: forgotten.compactMap(read), by: \.original)
        while let id = rest.popLast() {
            guard found[id] == nil else { continue }
            let member = forgotten.contains(id) ? read(id) : nil
            for member in member.map({ [$0] }) ?? (joined.contains(id) ? byOriginal[id] : nil) ?? []
            where found[member.id] == nil {
                found[member.id] = member
                goOn(from: member)
            }
        }
        cached.add(Array(fresh.values))
        return Array(found.values)
    }
}
