// DisplacedName: the names under which an archive carries over entries whose path another item has taken. The new name
// is in the same folder: `Holiday~gone-2026-11-30-092655` for a folder, `IMG_0001~gone-2026-11-30-092655.JPG` for a
// file, so that programs still recognise its extension. The time, in UTC, is that of the backup that found the path
// taken.
//
// Always holds: in the order of a walk, the new name comes after the old one. If a target limits names to 255 bytes and
// accepts the old name, it accepts the new one, too.

import BakCodec
import BakCore
import BakFormat
import BakRepository

/// The new name of one entry. If another entry already has the name, the caller takes the next.
struct DisplacedName: Sendable {
    /// The entry's old path.
    let old: [UInt8]
    /// The entry's new path.
    private(set) var path: [UInt8]
    private let type: FileType
    private let time: Timestamp
    private var number = 1

    /// Makes the first new name of the entry at `path`.
    init(of path: [UInt8], _ type: FileType, at time: Timestamp) {
        (old, self.type, self.time) = (path, type, time)
        self.path = Self.path(of: path, type, at: time)
    }

    /// Moves to the next name.
    mutating func takeNext() {
        number += 1
        path = Self.path(of: old, type, at: time, number: number)
    }

    private static let word = "~gone-"
    /// The length of names that many file systems accept.
    private static let nameBytes = 255
    /// A longer ending is not an extension.
    private static let extensionBytes = 16
    /// The minimum number of bytes of the old name that a shortened name keeps.
    private static let shortestCut = 180

    /// Separators between the kept start of a shortened name and the rest, in increasing order. A name gets the first
    /// separator with which the new path comes after the old one.
    private static let separators = ["~", "\u{ff5e}", "\u{10fffd}"].map { Array($0.utf8) }

    /// Returns the new path of the entry at `path`. `number` starts at 1 and makes paths unique; higher numbers give
    /// paths that come later in the order of a walk.
    private static func path(of path: [UInt8], _ type: FileType, at time: Timestamp, number: Int = 1)
        -> [UInt8]
    {
        let (folder, stem, ending) = parts(of: path, type)
        let end = Array((word + text(time) + suffix(number)).utf8) + ending
        let whole = [UInt8](folder + stem + end)
        for separator in separators where stem.count + end.count > nameBytes {
            // Two long names with the same start must not become the same name.
            let end = separator + Array(hash(stem).utf8) + end
            let short = [UInt8](folder + cut(stem, to: nameBytes - end.count) + end)
            if PathOrder.precedes(path, short) { return short }
        }
        return whole
    }

    /// Returns the suffix for a number: nothing for 1, then `~2` to `~9`, then `~92` to `~99`, and so on.
    private static func suffix(_ number: Int) -> String {
        guard number > 1 else { return "" }
        let (nines, digit) = (number - 2).quotientAndRemainder(dividingBy: 8)
        return "~" + String(repeating: "9", count: nines) + String(digit + 2)
    }

    /// True if `path` is at or beneath a new path of the entry at `root`.
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

    /// Returns the common prefix of all new paths of the entry at `root`.
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

    /// Cuts a name between characters.
    private static func cut(_ name: ArraySlice<UInt8>, to count: Int) -> ArraySlice<UInt8> {
        var end = name.startIndex + count
        while end > name.startIndex, name[end] & 0xc0 == 0x80 { end -= 1 }
        return name[..<end]
    }

    private static func text(_ time: Timestamp) -> String {
        // Times outside the calendar are written as seconds.
        guard CivilTime.calendar.contains(time.seconds) else { return "\(time.seconds)" }
        let civil = CivilTime(time, offsetSeconds: 0)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let day = "\(civil.year)-\(two(civil.month))-\(two(civil.day))"
        return "\(day)-\(two(civil.hour))\(two(civil.minute))\(two(civil.second))"
    }
}

extension CommitRecord {
    /// Returns the paths that were backed up, and the new paths of entries that were displaced from these paths
    /// themselves. If the manifest is damaged, some may be missing.
    ///
    /// - Throws: `StoreError`.
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
                // The caller meets the same damage when it lists the paths, and reports it.
            }
        }
        return Array(found)
    }
}
