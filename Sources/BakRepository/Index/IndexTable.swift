// IndexTable: this machine's index of a repository, one sorted table in a mapped file. It is a cache, rebuilt from the
// store's index segments if it is missing, stale or damaged.
//
//   block 0 (4096 bytes)   magic "bakindex" 8 | version 4 | zero 4 | repository id 16
//                          | entries 8 | packs 8 | sessions 8 | XXH3-64 of the lists 8 | generation 16
//                          | zero | XXH3-64 of bytes 0 to 4087, 8
//   entry blocks           136 entries of 30 bytes, sorted by id, one for each copy of a blob | zero 8
//                          | (XXH3-64 of the bytes before it) XOR (a number made of generation and block number) 8
//     entry                id 16 | pack number 4 | offset 4 | raw length 3 | stored length 3
//   lists                  packs: id 16 | size 8 | kind 1 | zero 7    then sessions covered: id 16, sorted
//                          then for each block the first 8 bytes of its first id, as a little-endian number
//
// A blob costs 30.2 bytes and a pack 32. Ids are uniform, so a look-up guesses the block from the first bits of the id.
// It corrects the guess with the list of the blocks' first ids, which is small and contiguous. It then guesses again
// within the block. A hit counts only if the block matches its checksum. Each block is verified once, at its first hit.
// Every table has a random generation of its own, which changes the checksums. So a block from another table, or from
// another place in this table, does not match its checksum.
//
// The file may be damaged or cut short while it is mapped. Reads stay in bounds even then, and `isIntact` says
// afterwards whether their results are right.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import Synchronization

/// A mapped table. May be used from any thread.
package final class IndexTable: Sendable {
    /// The table's name in the cache.
    package static let cacheName = "index"
    private static let blockBytes = 4096
    private static let entryBytes = 30
    private static let entriesPerBlock = 136
    private static let packBytes = 32
    private static let headBytes = 8

    private let mapped: MappedBytes
    /// Where the list of the blocks' first ids begins. It holds the first eight bytes of each id.
    private let headsOffset: Int
    private let verified: BlockSet
    private let generation: ID128
    private let lastPack: UInt32
    /// The number of entries, one for each copy of a blob.
    package let count: Int
    /// The packs that entries refer to.
    let packs: [IndexedPack]
    /// The ids of the segments that the table holds. The segment of a session has the session's id.
    let sessions: Set<ID128>

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x7865_646e_696b_6162 /* "bakindex" */, version: 4, repository: repository)
    }

    /// Opens a mapped file; nil if it is not a complete table of this repository.
    package init?(_ mapped: MappedBytes, repository: ID128) {
        let bytes = mapped.bytes
        guard bytes.count >= Self.blockBytes,
            Checksum.xxh3_64(.init(rebasing: bytes[..<(Self.blockBytes - 8)]))
                == bytes.integer(at: Self.blockBytes - 8),
            Self.header(repository).isAtStart(of: bytes)
        else { return nil }
        let counts = (0..<3).map { Int(truncatingIfNeeded: bytes.integer(at: 32 + 8 * $0)) }
        guard counts.allSatisfy({ (0...(1 << 40)).contains($0) }) else { return nil }
        let blocks = Self.blockCount(counts[0])
        let listsOffset = Self.blockBytes * (1 + blocks)
        let headsOffset = listsOffset + counts[1] * Self.packBytes + counts[2] * ID128.byteCount
        guard bytes.count == headsOffset + blocks * Self.headBytes else { return nil }
        let lists = UnsafeRawBufferPointer(rebasing: bytes[listsOffset...])
        guard Checksum.xxh3_64(lists) == bytes.integer(at: 56) else { return nil }
        generation = ID128(loading: bytes.baseAddress! + 64)
        packs = (0..<counts[1]).map { number in
            let row = lists.baseAddress! + number * Self.packBytes
            return IndexedPack(
                id: ID128(loading: row), size: lists.integer(at: number * Self.packBytes + 16),
                kind: ObjectKind(rawValue: row.load(fromByteOffset: 24, as: UInt8.self)) ?? .config)
        }
        guard packs.allSatisfy(\.isPossible), counts[0] == 0 || !packs.isEmpty else { return nil }
        lastPack = UInt32(truncatingIfNeeded: max(packs.count, 1) - 1)
        let sessionsOffset = counts[1] * Self.packBytes
        sessions = Set((0..<counts[2]).map { ID128(loading: lists.baseAddress! + sessionsOffset + $0 * 16) })
        count = counts[0]
        self.headsOffset = headsOffset
        verified = BlockSet(count: blocks)
        self.mapped = mapped
        // The code above read bytes again after it had verified them, so they must not have changed meanwhile.
        guard mapped.isIntact else { return nil }
    }

    /// True if the file has neither changed nor become unreadable since it was mapped. If false, earlier results may be
    /// wrong. Only this property asks the system; look-ups do not, because that would cost time.
    var isIntact: Bool { mapped.isIntact }

    private static func blockCount(_ entries: Int) -> Int {
        (entries + entriesPerBlock - 1) / entriesPerBlock
    }

    private func block(_ number: Int) -> UnsafeRawPointer {
        mapped.bytes.baseAddress! + (1 + number) * Self.blockBytes
    }

    /// Returns the entry at a position of the sorted order. Its pack is a position in `packs`.
    func entry(at position: Int) -> IndexEntry {
        let row = block(position / Self.entriesPerBlock) + position % Self.entriesPerBlock * Self.entryBytes
        // Six bytes hold both lengths; loading eight stays in the block, because 16 bytes follow its last entry.
        let lengths = (row + 24).loadUnaligned(as: UInt64.self).littleEndian
        return IndexEntry(
            // An unverified or changed pack number must not lead out of `packs`.
            id: ID128(loading: row), pack: min(pack(at: position), lastPack),
            offset: (row + 20).loadUnaligned(as: UInt32.self).littleEndian,
            rawLength: UInt32(lengths & 0xff_ffff), storedLength: UInt32(lengths >> 24 & 0xff_ffff))
    }

    private func pack(at position: Int) -> UInt32 {
        let row = block(position / Self.entriesPerBlock) + position % Self.entriesPerBlock * Self.entryBytes
        return (row + 16).loadUnaligned(as: UInt32.self).littleEndian
    }

    /// Finds the first entry of a blob. An entry in a block that does not match its checksum is not found.
    package func find(_ id: ID128) -> IndexEntry? { position(of: id).map(entry(at:)) }

    /// Returns the position of a blob's first entry.
    func position(of id: ID128) -> Int? {
        guard count > 0, let block = blockThatMayHold(id) else { return nil }
        let start = block * Self.entriesPerBlock
        let end = min(start + Self.entriesPerBlock, count)
        let width = (end < count ? head(block + 1) : .max) &- head(block)
        let share = width > 0 ? Double(id.high &- head(block)) / Double(width) : 0
        var low = Self.partitionPoint(
            of: start..<end, near: start + Int(min(share, 1) * Double(end - start)), step: 2
        ) { self.id(at: $0) < id }
        guard low < end, self.id(at: low) == id, isValid(low) else { return nil }
        // The copies of one blob may begin in the block before.
        while low > 0, low <= start, self.id(at: low - 1) == id, isValid(low - 1) { low -= 1 }
        return low
    }

    private func id(at position: Int) -> ID128 {
        ID128(
            loading: block(position / Self.entriesPerBlock) + position % Self.entriesPerBlock
                * Self.entryBytes)
    }

    /// True if the entry's block matches its checksum and the entry names a pack of the table.
    private func isValid(_ position: Int) -> Bool {
        isWhole(position / Self.entriesPerBlock) && pack(at: position) <= lastPack
    }

    private func isWhole(_ number: Int) -> Bool {
        if verified.contains(number) { return true }
        guard matchesChecksum(number) else { return false }
        verified.insert(number)
        return true
    }

    private func matchesChecksum(_ number: Int) -> Bool {
        let bytes = UnsafeRawBufferPointer(start: block(number), count: Self.blockBytes - 8)
        return Checksum.xxh3_64(bytes) ^ Self.mark(of: number, generation)
            == (block(number) + bytes.count).loadUnaligned(as: UInt64.self).littleEndian
    }

    /// A number to XOR into the checksum of a block, so that the checksum matches only at this place and in this
    /// generation. Each step of the mixing can be undone, so two places of one generation never have the same number.
    private static func mark(of block: Int, _ generation: ID128) -> UInt64 {
        var number = generation.high ^ UInt64(block)
        number = (number ^ number >> 32) &* 0xd6e8_feb8_6659_fd93
        number = (number ^ number >> 32) &* 0xd6e8_feb8_6659_fd93
        return number ^ number >> 32 ^ generation.low
    }

    /// True if every block matches its checksum and names existing packs. This reads the whole table. Call it before
    /// copying or walking the table, so that damage never gets a fresh checksum.
    func isSound() -> Bool {
        (0..<Self.blockCount(count)).allSatisfy(matchesChecksum)
            && (0..<count).allSatisfy { pack(at: $0) <= lastPack } && isIntact
    }

    /// The first eight bytes of a block's first id, as a number.
    private func head(_ block: Int) -> UInt64 {
        mapped.bytes.integer(at: headsOffset + block * Self.headBytes)
    }

    /// Returns the last block whose first id is not above `id`.
    private func blockThatMayHold(_ id: ID128) -> Int? {
        let blocks = Self.blockCount(count)
        let guess = Int(id.high.multipliedFullWidth(by: UInt64(blocks)).high)
        let next = Self.partitionPoint(of: 0..<blocks, near: guess, step: 8) { head($0) <= id.high }
        guard next > 0 else { return nil }
        var block = next - 1
        // Ids with the same first bytes may fill several blocks.
        while block > 0, head(block) == id.high, ID128(loading: self.block(block)) > id { block -= 1 }
        return block
    }

    /// Returns the first position of a range for which `isBelow` is false, or the range's end. The search starts at a
    /// guess, moves in steps that double (Bentley and Yao, Information Processing Letters 5(3), 1976), and ends by
    /// bisection. It ends within the range for any guess and any order of the entries.
    private static func partitionPoint(
        of range: Range<Int>, near guess: Int, step: Int, isBelow: (Int) -> Bool
    ) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        var step = step
        var probe = min(max(guess, low), high - 1)
        // `isBelow` is true for all positions before `low`, and false from `high` on.
        if isBelow(probe) {
            low = probe + 1
            while low < high {
                probe = min(low + step, high) - 1
                guard isBelow(probe) else {
                    high = probe
                    break
                }
                low = probe + 1
                step *= 2
            }
        } else {
            high = probe
            while low < high {
                probe = max(high - step, low)
                guard !isBelow(probe) else {
                    low = probe + 1
                    break
                }
                high = probe
                step *= 2
            }
        }
        while low < high {
            let middle = (low + high) / 2
            if isBelow(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// A set of block numbers that several threads add to.
private final class BlockSet: Sendable {
    private nonisolated(unsafe) let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let count: Int

    /// Makes an empty set for numbers below `count`.
    init(count: Int) {
        self.count = (count + 63) / 64
        words = .allocate(capacity: max(1, self.count))
        for word in 0..<self.count { (words + word).initialize(to: Atomic(0)) }
    }

    deinit {
        words.deinitialize(count: count)
        words.deallocate()
    }

    func contains(_ number: Int) -> Bool {
        words[number / 64].load(ordering: .relaxed) >> UInt64(number % 64) & 1 == 1
    }

    func insert(_ number: Int) {
        words[number / 64].bitwiseOr(1 << UInt64(number % 64), ordering: .relaxed)
    }
}

extension IndexTable {
    /// Writes a table with the content of `old` and `overlay`, and maps it.
    ///
    /// - Parameter generation: a random number that no other table has.
    /// - Throws: `StoreError` if the cache cannot be written, and `RepositoryError.cacheChanged` if `old` changes.
    package static func write(
        merging old: IndexTable?, _ overlay: IndexOverlay, repository: ID128, generation: ID128,
        to cache: any LocalCache
    ) throws -> IndexTable? {
        let merged = SortedIndex(table: old, overlay: overlay)
        let packs = merged.packs
        let sessions = (old?.sessions ?? []).union(overlay.sessions).sorted()
        try cache.replace(cacheName) { append in
            var lists = ByteWriter(reservingCapacity: packs.count * packBytes + sessions.count * 16)
            for pack in packs {
                lists.id(pack.id)
                lists.integer(pack.size)
                lists.byte(pack.kind.rawValue)
                lists.zeros(7)
            }
            for session in sessions { lists.id(session) }
            // The number of entries is known only after duplicates are dropped, so count them first.
            var entryCount = 0
            try merged.forEach { _, entry in
                if entryCount % entriesPerBlock == 0 { lists.integer(entry.id.high) }
                entryCount += 1
            }
            var header = ByteWriter(reservingCapacity: blockBytes)
            header.raw(Self.header(repository).bytes)
            for count in [entryCount, packs.count, sessions.count] { header.integer(UInt64(count)) }
            header.integer(lists.bytes.withUnsafeBytes(Checksum.xxh3_64))
            header.id(generation)
            try flush(&header, xor: 0, to: append)
            var block = ByteWriter(reservingCapacity: blockBytes)
            var (blocks, blockEntries) = (0, 0)
            func flushBlock() throws {
                try flush(&block, xor: mark(of: blocks, generation), to: append)
                (blocks, blockEntries) = (blocks + 1, 0)
            }
            try merged.forEach { _, entry in
                block.id(entry.id)
                block.integer(entry.pack)
                block.integer(entry.offset)
                let lengths = UInt64(entry.rawLength) | UInt64(entry.storedLength) << 24
                withUnsafeBytes(of: lengths.littleEndian) { block.raw($0.prefix(6)) }
                blockEntries += 1
                if blockEntries == entriesPerBlock { try flushBlock() }
            }
            if blockEntries > 0 { try flushBlock() }
            try lists.bytes.withUnsafeBytes(append)
        }
        return cache.map(cacheName).flatMap { IndexTable($0, repository: repository) }
    }

    /// Pads a block, adds its checksum, appends it and empties it.
    private static func flush(
        _ block: inout ByteWriter, xor mark: UInt64,
        to append: (UnsafeRawBufferPointer) throws(StoreError) -> Void
    ) throws {
        block.zeros(blockBytes - 8 - block.count)
        block.integer(block.bytes.withUnsafeBytes(Checksum.xxh3_64) ^ mark)
        try block.bytes.withUnsafeBytes(append)
        block.bytes.removeAll(keepingCapacity: true)
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func integer(at offset: Int) -> UInt64 {
        loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian
    }
}
