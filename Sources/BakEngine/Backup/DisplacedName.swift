// DisplacedName: the names under which an archive goes on with what something else has taken the place of, in the
// folder where it was: `Holiday~gone-2026-11-30-092655` for a folder, `IMG_0001~gone-2026-11-30-092655.JPG` for a file,
// which programs still know by its extension. The time is the backup's that found the place taken, in UTC.
//
// Always holds: the name comes after the one it is made from in the order of a walk, and a target with names of 255
// bytes can take it if it could take that one.

import BakCodec
import BakCore
import BakFormat
import BakRepository

/// One such name; where another entry has it, the next is taken.
struct DisplacedName: Sendable {
    /// The path that it is made from.
    let old: [UInt8]
    /// The path that the entry goes on under.
    private(set) var path: [UInt8]
    private let type: FileType
    private let time: Timestamp
    private var number = 1

    /// The first name that the entry at `path` goes on under.
    init(of path: [UInt8], _ type: FileType, at time: Timestamp) {
        (old, self.type, self.time) = (path, type, time)
        self.path = Self.path(of: path, type, at: time)
    }

    /// Goes on to the next name.
    mutating func takeNext() {
        number += 1
        path = Self.path(of: old, type, at: time, number: number)
    }

    private static let word = "~gone-"
    /// What many file systems take.
    private static let nameBytes = 255
    /// What comes after the last period of a longer name is not an extension.
    private static let extensionBytes = 16
    /// Of a shortened name at least so much is left.
    private static let shortestCut = 180

    /// What may stand between a shortened name and the rest, in increasing order.
    private static let separators = ["~", "\u{ff5e}", "\u{10fffd}"].map { Array($0.utf8) }

    /// The path that the entry at `path` goes on under; `number`, from 1 up, tells those from each other that would
    /// have one path, and later numbers make later paths.
    private static func path(of path: [UInt8], _ type: FileType, at time: Timestamp, number: Int = 1)
        -> [UInt8]
    {
        let (folder, stem, ending) = parts(of: path, type)
        let end = Array((word + text(time) + suffix(number)).utf8) + ending
        let whole = [UInt8](folder + stem + end)
        for separator in separators where stem.count + end.count > nameBytes {
            // Two long names that begin alike must not become one.
            let end = separator + Array(hash(stem).utf8) + end
            let short = [UInt8](folder + cut(stem, to: nameBytes - end.count) + end)
            if PathOrder.precedes(path, short) { return short }
        }
        return whole
    }

    /// Nothing, `~2` to `~9`, `~92` to `~99`, and so on.
    private static func suffix(_ number: Int) -> String {
        guard number > 1 else { return "" }
        let (nines, digit) = (number - 2).quotientAndRemainder(dividingBy: 8)
        return "~" + String(repeating: "9", count: nines) + String(digit + 2)
    }

    /// Whether `path` is at or beneath one under which the entry at `root` may go on.
    static func isOf(_ root: [UInt8], _ path: [UInt8]) -> Bool {
        [FileType.directory, .regular].contains { type in
            let (folder, stem, _) = parts(of: root, type)
            guard path.starts(with: folder) else { return false }
            let name = path[folder.count...].prefix { $0 != UInt8(ascii: "/") }
            if name.starts(with: stem + Array(word.utf8)) { return true }
            guard stem.count > shortestCut, name.starts(with: stem.prefix(shortestCut)) else { return false }
            let mark = Array((hash(stem) + word).utf8)
            return name.indices.contains { name[$0...].starts(with: mark) }
        }
    }

    /// What all of these paths begin with.
    static func prefix(of root: [UInt8]) -> [UInt8] {
        let (folder, stem, _) = parts(of: root, .regular)
        return [UInt8](folder + stem.prefix(shortestCut))
    }

    private static func hash(_ stem: ArraySlice<UInt8>) -> String {
        String(stem.withUnsafeBytes(Checksum.xxh3_128).description.prefix(8))
    }

    private static func parts(of path: [UInt8], _ type: FileType) -> (
        folder: ArraySlice<UInt8>, stem: ArraySlice<UInt8>, ending: ArraySlice<UInt8>
    ) {
        let start = (path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1
        let name = path[start...]
        guard type == .regular, let period = name.lastIndex(of: UInt8(ascii: ".")), period > start,
            path.count - period <= extensionBytes
        else { return (path[..<start], name, []) }
        return (path[..<start], path[start..<period], path[period...])
    }

    /// Cuts between characters.
    private static func cut(_ name: ArraySlice<UInt8>, to count: Int) -> ArraySlice<UInt8> {
        var end = name.startIndex + count
        while end > name.startIndex, name[end] & 0xc0 == 0x80 { end -= 1 }
        return name[..<end]
    }

    private static func text(_ time: Timestamp) -> String {
        // Beyond the calendar only the number of seconds tells one from another.
        guard CivilTime.calendar.contains(time.seconds) else { return "\(time.seconds)" }
        let civil = CivilTime(time, offsetSeconds: 0)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let day = "\(civil.year)-\(two(civil.month))-\(two(civil.day))"
        return "\(day)-\(two(civil.hour))\(two(civil.minute))\(two(civil.second))"
    }
}

extension CommitRecord {
    /// The paths that were backed up, and those under which an archive goes on with what something else has taken the
    /// place of at these paths themselves. Where the list of files is damaged there may be more.
    ///
    /// Throws `StoreError`.
    public func pathsWithDisplaced(_ repository: Repository, _ index: BlobIndex) throws -> [[UInt8]] {
        guard isArchive else { return paths }
        var found = Set(paths)
        for root in paths {
            let prefix = DisplacedName.prefix(of: root)
            do {
                let reader = try ManifestReader(self, repository: repository, index: index, from: prefix)
                while let kind = try reader.advance() {
                    guard kind == .entry, let path = reader.segment?.path else { continue }
                    guard path.starts(with: prefix) else {
                        if PathOrder.precedes(path, prefix) { continue }
                        break
                    }
                    if let end = path[prefix.count...].firstIndex(of: UInt8(ascii: "/")) {
                        reader.skipContent(of: Array(path[..<end]))
                    } else if DisplacedName.isOf(root, path) {
                        found.insert(path)
                    }
                }
            } catch  where error is CorruptionError || error is MissingBlobError {
                // Whoever lists the paths comes upon the same damage and tells of it.
            }
        }
        return Array(found)
    }
}
