// ReadLog: when this machine last read each pack and found it whole, and which packs it found damaged at the last
// reading. With the log, a check continues where an earlier check ended, reports how much has been read in all checks,
// and reads damaged packs again. The log lies in the cache. Without it, a check treats all packs as unread. Each copy
// of a repository has its own log, because reading one copy says nothing about another's disk.
//
//   magic "bakreads" 8 | version 4 | zero 4 | repository id 16 | number of rows 8 | XXH3-64 of the rows 8 | row *
//   row: pack id 16 | seconds since 1970 8 | 1 if the pack was found damaged since, else 0 8
//
// The rows are sorted by pack id. A pack that was never found whole has -1 for the seconds.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The packs that this machine has read, with the time of each reading.
struct ReadLog: Equatable {
    static let cacheName = "read-log"
    private static let headBytes = CacheHeader.byteCount + 16
    private static let rowBytes = 32
    private static let never: Int64 = -1

    /// When each pack was last found whole, in seconds since 1970.
    private(set) var seconds: [ID128: Int64] = [:]
    /// The packs that were found damaged and not found whole since.
    private(set) var damaged: Set<ID128> = []

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x7364_6165_726b_6162 /* "bakreads" */, version: 2, repository: repository)
    }

    /// Makes an empty log.
    init() {}

    /// True if the pack was whole when this machine last read it.
    func isWhole(_ pack: ID128) -> Bool { seconds[pack] != nil && !damaged.contains(pack) }

    /// Notes that a pack has been read and is whole.
    mutating func note(_ pack: ID128, at time: Timestamp) {
        seconds[pack] = time.seconds
        damaged.remove(pack)
    }

    /// Notes that a pack has been read and is not whole.
    mutating func noteDamage(_ pack: ID128) { damaged.insert(pack) }

    /// Drops the packs that `isPack` refuses, such as packs that the index no longer names.
    mutating func keep(_ isPack: (ID128) -> Bool) {
        seconds = seconds.filter { isPack($0.key) }
        damaged = damaged.filter(isPack)
    }

    /// Reads the log. A missing or damaged log counts as empty.
    init(_ repository: Repository) {
        let bytes = repository.cache.read(repository.cacheNameHere(Self.cacheName)) ?? []
        bytes.withUnsafeBytes { decode($0, repository.config.id) }
        // Times in the future come from a clock that was wrong. With such a time, a pack would be read last, for years.
        let now = repository.time.now().seconds
        seconds = seconds.filter { $0.value <= now }
    }

    private mutating func decode(_ bytes: UnsafeRawBufferPointer, _ repository: ID128) {
        guard Self.header(repository).isAtStart(of: bytes) else { return }
        var reader = ByteReader(.init(rebasing: bytes[CacheHeader.byteCount...]), object: Self.cacheName)
        do {
            let count = try reader.integer(UInt64.self)
            let checksum = try reader.integer(UInt64.self)
            guard UInt64(reader.remaining) == count.multipliedReportingOverflow(by: UInt64(Self.rowBytes)).0,
                count <= UInt64(reader.remaining),
                Checksum.xxh3_64(.init(rebasing: bytes[Self.headBytes...])) == checksum
            else { return }
            seconds.reserveCapacity(Int(count))
            while !reader.isAtEnd {
                let pack = try reader.id()
                let time = Int64(bitPattern: try reader.integer(UInt64.self))
                if time != Self.never { seconds[pack] = time }
                if try reader.integer(UInt64.self) != 0 { damaged.insert(pack) }
            }
        } catch { (seconds, damaged) = ([:], []) }
    }

    /// Writes the log. A failure is ignored: without the log, a later check only reads more.
    func write(for repository: Repository) {
        let packs = damaged.union(seconds.keys).sorted()
        var rows = ByteWriter(reservingCapacity: packs.count * Self.rowBytes)
        for pack in packs {
            rows.id(pack)
            rows.integer(UInt64(bitPattern: seconds[pack] ?? Self.never))
            rows.integer(damaged.contains(pack) ? UInt64(1) : 0)
        }
        var head = ByteWriter(reservingCapacity: Self.headBytes)
        head.raw(Self.header(repository.config.id).bytes)
        head.integer(UInt64(packs.count))
        head.integer(rows.bytes.withUnsafeBytes(Checksum.xxh3_64))
        try? repository.cache.replace(repository.cacheNameHere(Self.cacheName)) { append in
            try head.bytes.withUnsafeBytes(append)
            try rows.bytes.withUnsafeBytes(append)
        }
    }
}

extension Repository {
    /// Returns the packs that a check by this machine found damaged at the last reading and that the index still names,
    /// so that sessions may rely on them.
    ///
    /// - Throws: `CorruptionError` or `StoreError` if the index cannot be read.
    public func packsFoundDamaged() throws -> [ID128] {
        let damaged = ReadLog(self).damaged
        if damaged.isEmpty { return [] }
        return damaged.intersection(try BlobIndex(self).packs.map(\.id)).sorted()
    }
}
