// HostileManifestMaker: encodes manifest segments byte by byte, so that it can write entries that the real encoder
// refuses.

import BakCore
import BakFormat

/// A manifest entry as a source would report it, without its content.
public struct HostileEntry: Sendable {
    /// The entry's path.
    public var path: [UInt8]
    /// The stat that a source would report for the entry.
    public var stat: FileStat
}

/// Makes the segments of one manifest. For one thread.
struct HostileManifestMaker {
    struct Segment {
        var bytes: [UInt8]
        var recordCount: Int
        var firstPath: [UInt8]
    }

    var choices: Choices
    /// The chunks that files may refer to.
    let chunks: [BlobReference]
    private(set) var entries: [HostileEntry] = []

    init(choices: Choices, chunks: [BlobReference]) { (self.choices, self.chunks) = (choices, chunks) }

    mutating func segments() -> [Segment] {
        var segments: [Segment] = []
        var left = paths()[...]
        while !left.isEmpty {
            let count = choices.oneIn(2) ? 1 + choices.number(min(left.count - 1, 200)) : left.count
            segments.append(segment(Array(left.prefix(count))))
            left = left.dropFirst(count)
            if choices.oneIn(12) {
                let more = continuation(of: segments.last!)
                segments += repeatElement(more, count: 1 + choices.number(2))
            }
        }
        return segments
    }

    /// Returns sorted paths in few folders, so that some paths lie beneath others. Rarely returns them in reverse
    /// order.
    private mutating func paths() -> [[UInt8]] {
        let names = ["a", "b", "c.jpg", "a.", "~", "é", ".bakignore"].map { Array($0.utf8) }
        if choices.oneIn(40) { return chain() }
        var paths: [[UInt8]] = [Array("a".utf8)]
        for _ in 0..<(2 + choices.number(12)) {
            let folder = choices.pick(paths)!
            paths.append(PathOrder.join(folder, choices.pick(names)!))
            if choices.oneIn(6) { paths.append(choices.pick(names)!) }
            if choices.oneIn(60) { paths.append(Array("..".utf8)) }
            if choices.oneIn(60) { paths.append([UInt8](repeating: 97, count: 1 + choices.number(1100))) }
        }
        let sorted = Set(paths).sorted { PathOrder.precedes($0, $1) }
        return choices.oneIn(25) ? sorted.reversed() : sorted
    }

    /// Returns a chain of nested folders. The last paths may be longer than the format allows.
    private mutating func chain() -> [[UInt8]] {
        let name = [UInt8](repeating: 97, count: choices.pick([1, 1, 255, 1000])!)
        let depth = min(1 + choices.number(choices.oneIn(8) ? 3000 : 300), 70_000 / name.count)
        var path = name
        return (0..<depth).map { _ in
            defer { path = PathOrder.join(path, name) }
            return path
        }
    }

    private mutating func segment(_ paths: [[UInt8]]) -> Segment {
        var records = ByteWriter()
        var count = 0
        var previous: [UInt8] = []
        for (place, path) in paths.enumerated() {
            let holds = place + 1 < paths.count && PathOrder.isAtOrBeneath(paths[place + 1], path)
            let (bytes, isOfExtents) = entry(
                path, after: previous, isFirst: count == 0, isFolder: holds && !choices.oneIn(9))
            records.raw(bytes)
            count += 1
            previous = path
            if isOfExtents ? choices.oneIn(4) : choices.oneIn(60) {
                records.raw(continuation())
                count += 1
            }
        }
        return Segment(
            bytes: finish(records, count), recordCount: count,
            firstPath: choices.oneIn(40) ? Array("zz".utf8) : paths[0])
    }

    private mutating func continuation(of segment: Segment) -> Segment {
        let count = 1 + choices.number(2)
        var records = ByteWriter()
        for _ in 0..<count { records.raw(continuation()) }
        let path = entries.last?.path ?? segment.firstPath
        return Segment(bytes: finish(records, count), recordCount: count, firstPath: path)
    }

    private mutating func finish(_ records: ByteWriter, _ count: Int) -> [UInt8] {
        var segment = ByteWriter()
        segment.byte(choices.oneIn(20) ? 2 : 1)
        segment.varint(choices.number(usually: UInt64(count)))
        segment.raw(records.bytes)
        return segment.bytes
    }

    private mutating func continuation() -> [UInt8] {
        var record = ByteWriter()
        record.byte(2)
        _ = extents(to: &record, fewest: choices.oneIn(12) ? 0 : 1)
        return record.bytes
    }

    /// Returns an entry's record, and whether the entry has extents.
    private mutating func entry(
        _ path: [UInt8], after previous: [UInt8], isFirst: Bool, isFolder: Bool
    ) -> ([UInt8], isOfExtents: Bool) {
        var record = ByteWriter()
        record.byte(1)
        var shared = isFirst ? 0 : zip(previous, path).prefix { $0 == $1 }.count
        if choices.oneIn(12) { shared = choices.number(shared) }
        record.varint(choices.oneIn(80) ? choices.edge() : UInt64(shared))
        record.byteString(path[shared...])
        let type = isFolder || choices.oneIn(4) ? FileType.directory : choices.pick(FileType.allCases)!
        var stat = FileStat(type: type)
        var flags: UInt8 = isFirst ? 0 : 3
        if choices.oneIn(8) { flags ^= 1 << UInt8(choices.number(6)) }
        stat.mode = UInt16(truncatingIfNeeded: choices.number(usually: 0o755))
        (stat.mtime, stat.ctime) = (choices.time(), choices.time())
        (stat.device, stat.inode) = (choices.number(usually: 1), choices.number(usually: UInt64(path.count)))
        record.byte(type.rawValue)
        record.byte(flags)
        record.varint(stat.mode)
        if flags & 1 == 0 {
            record.varint(choices.number(usually: 0))
            record.varint(choices.number(usually: 0))
            for name in ["root", "root"] { record.byteString(Array(name.utf8)) }
        }
        record.timestamp(stat.mtime)
        record.timestamp(stat.ctime)
        if flags & 2 == 0 { record.varint(stat.device) }
        record.varint(stat.inode)
        if flags & 4 != 0 { record.varint(choices.number(usually: 2)) }
        let isOfExtents = content(of: &stat, to: &record)
        if flags & 8 != 0 {
            record.varint(choices.number(usually: 1))
            record.byteString(Array((choices.oneIn(3) ? "security.capability" : "user.a").utf8))
            record.byteString([UInt8](repeating: 1, count: choices.number(20)))
        }
        if flags & 64 != 0 { record.timestamp(choices.time()) }
        entries.append(HostileEntry(path: path, stat: stat))
        return (record.bytes, isOfExtents)
    }

    private mutating func content(of stat: inout FileStat, to record: inout ByteWriter) -> Bool {
        switch stat.type {
        case .regular: return fileContent(of: &stat, to: &record)
        case .symlink:
            record.byteString(Array((choices.oneIn(3) ? "/etc/passwd" : "../..").utf8))
        case .characterDevice, .blockDevice: record.varint(choices.edge())
        case .directory, .fifo, .socket: break
        }
        return false
    }

    private mutating func fileContent(of stat: inout FileStat, to record: inout ByteWriter) -> Bool {
        if choices.oneIn(3) {
            let bytes = [UInt8](repeating: 65, count: choices.number(40))
            stat.size = choices.number(usually: UInt64(bytes.count))
            record.varint(stat.size)
            record.byte(0)
            record.byteString(bytes)
            return false
        }
        var extents = ByteWriter()
        let length = self.extents(to: &extents)
        stat.size = choices.number(usually: length)
        record.varint(stat.size)
        record.byte(1)
        record.raw(extents.bytes)
        return true
    }

    /// Writes a list of extents. Returns the sum of their lengths.
    private mutating func extents(to record: inout ByteWriter, fewest: Int = 0) -> UInt64 {
        let count = max(fewest, choices.number(4))
        record.varint(choices.number(usually: UInt64(count)))
        var total: UInt64 = 0
        for _ in 0..<count {
            if choices.oneIn(4) {
                let length = choices.oneIn(3) ? choices.edge() : UInt64(1 + choices.number(100_000))
                record.varint(length << 1 | 1)
                total.add(length)
            } else if let chunk = choices.pick(chunks) {
                let length = choices.number(usually: UInt64(chunk.length))
                record.varint(length << 1)
                record.id(choices.oneIn(20) ? ID128(high: 7, low: 7) : chunk.id)
                total.add(length)
            }
        }
        return total
    }
}
