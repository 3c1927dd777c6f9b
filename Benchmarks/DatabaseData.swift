// DatabaseData: three versions of a chat database that resembles SQLite. Its pages have 4 KiB and lie in the order in
// which they were allocated. New rows are appended to a table. An index is ordered by key. Its leaves are filled in
// place and split when they are full.

import SeededNumbers

/// A B-tree leaf. Cells fill the page from its end, and pointers to the cells fill it from its start.
private struct Page {
    static let size = 4096
    var isTable: Bool
    /// Cells with their sort key, in order.
    var cells: [(key: UInt64, bytes: [UInt8])] = []
    var usedBytes = 8

    func fits(_ cell: [UInt8]) -> Bool { usedBytes + cell.count + 2 <= Self.size }

    mutating func insert(_ cell: [UInt8], key: UInt64) {
        let place = cells.firstIndex { $0.key > key } ?? cells.count
        cells.insert((key, cell), at: place)
        usedBytes += cell.count + 2
    }

    /// Moves the upper half of the cells to a new page.
    mutating func split() -> Page {
        var upper = Page(isTable: isTable)
        for cell in cells[(cells.count / 2)...] { upper.insert(cell.bytes, key: cell.key) }
        cells.removeSubrange((cells.count / 2)...)
        usedBytes = cells.reduce(8) { $0 + $1.bytes.count + 2 }
        return upper
    }

    var image: [UInt8] {
        var image = [UInt8](repeating: 0, count: Self.size)
        var end = Self.size
        image[0] = isTable ? 13 : 10
        func put(_ value: Int, at offset: Int) {
            image[offset] = UInt8(truncatingIfNeeded: value >> 8)
            image[offset + 1] = UInt8(truncatingIfNeeded: value)
        }
        put(cells.count, at: 3)
        for (index, cell) in cells.enumerated() {
            end -= cell.bytes.count
            image.replaceSubrange(end..<end + cell.bytes.count, with: cell.bytes)
            put(end, at: 8 + 2 * index)
        }
        put(end, at: 5)
        return image
    }
}

/// A table of messages and an index of them by conversation and time.
struct ChatDatabase {
    private var generator: SplitMix64
    private let vocabulary: Vocabulary
    private var pages: [Page] = [Page(isTable: true), Page(isTable: false)]
    private var tablePages = [0]
    /// The index's leaves, ordered by key.
    private var indexPages = [1]
    private var messageCount = 0
    private var changeCount = 0

    init(seed: UInt64 = 21) {
        generator = SplitMix64(seed: seed)
        vocabulary = Vocabulary(count: 3000, &generator)
    }

    /// Appends a message to a conversation. A few conversations are much busier than the others.
    mutating func add() {
        messageCount += 1
        let conversation = generator.skewed(in: 0..<400)
        let time = 1_700_000_000 + messageCount * 97
        var cell: [UInt8] = [0, UInt8(conversation & 127), 1]
        withUnsafeBytes(of: UInt64(time).bigEndian) { cell += $0.dropFirst(2) }
        cell += generator.once(in: 6) ? generator.bytes(32) : []  // an attachment's digest
        vocabulary.append(1 + generator.skewed(in: 0..<120), to: &cell, &generator)
        cell = Array(cell.prefix(2000))
        if !pages[tablePages.last!].fits(cell) {
            pages.append(Page(isTable: true))
            tablePages.append(pages.count - 1)
        }
        pages[tablePages.last!].insert(cell, key: UInt64(messageCount))
        index(key: UInt64(conversation) << 32 | UInt64(messageCount))
    }

    private mutating func index(key: UInt64) {
        var low = 0
        var high = indexPages.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if pages[indexPages[middle]].cells[0].key <= key { low = middle } else { high = middle }
        }
        let cell = withUnsafeBytes(of: (key.bigEndian, UInt32(messageCount).bigEndian)) {
            Array($0.prefix(12))
        }
        if !pages[indexPages[low]].fits(cell) {
            pages.append(pages[indexPages[low]].split())
            indexPages.insert(pages.count - 1, at: low + 1)
            if pages.last!.cells[0].key <= key { low += 1 }
        }
        pages[indexPages[low]].insert(cell, key: key)
    }

    /// Changes the status byte of a message: of a recent message if `recent`, otherwise of any message.
    mutating func touch(recent: Bool) {
        let span = recent ? tablePages.count / 20 : tablePages.count
        let page = tablePages[tablePages.count - 1 - Int.random(in: 0..<max(1, span), using: &generator)]
        guard let cell = pages[page].cells.indices.randomElement(using: &generator) else { return }
        pages[page].cells[cell].bytes[2] &+= 1
    }

    /// Simulates a week of use after `count` messages. New messages are added, a fortieth of `count`, and some older
    /// messages are read or answered.
    mutating func advance(from count: Int) {
        for _ in 0..<count / 40 { add() }
        for _ in 0..<count / 200 { touch(recent: true) }
        for _ in 0..<count / 1000 { touch(recent: false) }
    }

    /// Returns the file: a header page with a change counter, then every page.
    mutating func image() -> [UInt8] {
        changeCount += 1
        var file = Array("SQLite format 3".utf8) + [0, 0x10, 0, 1, 1, 0, 64, 32, 32]
        withUnsafeBytes(of: (UInt32(changeCount).bigEndian, UInt32(pages.count + 1).bigEndian)) { file += $0 }
        file += [UInt8](repeating: 0, count: Page.size - file.count)
        for page in pages { file += page.image }
        return file
    }
}

/// Makes the versions.
enum DatabaseData {
    static func make(_ scale: BenchmarkScale) -> DataSet {
        var database = ChatDatabase()
        for _ in 0..<scale.messageCount { database.add() }
        var versions = [database.image()]
        for _ in 1...2 {
            database.advance(from: scale.messageCount)
            versions.append(database.image())
        }
        return DataSet(name: "chat database, 3 versions", files: versions)
    }
}
