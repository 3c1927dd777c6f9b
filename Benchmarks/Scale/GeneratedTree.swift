// GeneratedTree: a source of any number of entries that takes neither a disk nor memory. The walk computes each entry
// from its number. A backup that opens a file computes the number from the path.
//
// The tree is pictures/CAMERA/YEAR/MONTH/DAY, with 100 files a day and 1008 days a camera, named as phones name photos.

import BakCore
import BakStorage

/// A source whose entries are computed.
final class GeneratedTree: SourceTree {
    /// The path of the tree: the root of a backup.
    static let root = Array("pictures".utf8)
    /// The largest number of entries. The name of a camera has three digits.
    static let mostEntries = 100_000_000

    private static let filesPerDay = 100
    private static let daysPerCamera = 36 * 28
    private static let secondsPerFile = 86_400 / filesPerDay
    /// The ends of the names of a day's files.
    private static let nameEnds = (0..<filesPerDay).map { number in
        Array((CaptureTime(month: 0, day: 1, second: number * secondsPerFile).text.suffix(7) + ".jpg").utf8)
    }

    private let entryCount: Int
    private let isLater: Bool

    /// Makes a tree of `entryCount` files and folders. If `isLater`, some of the files are edited.
    init(entryCount: Int, isLater: Bool = false) {
        precondition(entryCount <= Self.mostEntries)
        (self.entryCount, self.isLater) = (entryCount, isLater)
    }

    // MARK: Names

    private static func date(ofDay day: Int) -> String {
        let day = day % daysPerCamera
        return String(CaptureTime(month: day / 28, day: 1 + day % 28, second: 0).text.prefix(8))
    }

    /// Returns the paths of a day's folders, the outermost first.
    private static func folders(ofDay day: Int) -> [[UInt8]] {
        let date = date(ofDay: day)
        let names = [
            "camera-\(String(1000 + day / daysPerCamera).dropFirst())", "\(date.prefix(4))",
            "\(date.dropFirst(4).prefix(2))", "\(date.suffix(2))",
        ]
        return names.reduce(into: [root]) { $0.append(PathOrder.join($0.last!, Array($1.utf8))) }
    }

    /// Returns the beginning of the paths of a day's files.
    private static func pathStart(ofDay day: Int) -> [UInt8] {
        folders(ofDay: day).last! + Array("/IMG_\(date(ofDay: day))".utf8)
    }

    /// Returns the path of a file.
    static func path(ofFile number: Int) -> [UInt8] {
        pathStart(ofDay: number / filesPerDay) + nameEnds[number % filesPerDay]
    }

    /// Returns the folder in which a file lies, relative to the root of the file system.
    static func folder(ofFile number: Int) -> [UInt8] { folders(ofDay: number / filesPerDay).last! }

    /// Returns the number of the file at `path`; nil if no tree has such a path.
    static func number(ofFileAt path: [UInt8]) -> Int? {
        // The digits are at the same places in all paths: pictures/camera-000/2023/01/01/IMG_20230101_000000.jpg.
        guard path.count == 54 else { return nil }
        func decimal(_ range: Range<Int>) -> Int { path[range].reduce(0) { $0 * 10 + Int($1) - 48 } }
        let month = (decimal(20..<24) - 2023) * 12 + decimal(25..<27) - 1
        let day = decimal(16..<19) * daysPerCamera + month * 28 + decimal(28..<30) - 1
        let second = decimal(44..<46) * 3600 + decimal(46..<48) * 60 + decimal(48..<50)
        let number = day * filesPerDay + second / secondsPerFile
        return number >= 0 && path == Self.path(ofFile: number) ? number : nil
    }

    // MARK: SourceTree

    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        var left = entryCount
        var skipped: [UInt8]?
        /// Visits an entry. Returns false if the walk ends.
        func report(_ path: [UInt8], _ stat: FileStat) throws -> Bool {
            guard left > 0 else { return false }
            left -= 1
            if let skipped, PathOrder.isAtOrBeneath(path, skipped) { return true }
            switch try visit(.entry(path: path, stat: stat)) {
            case .stop: return false
            case .skipChildren: skipped = path
            case .proceed: skipped = nil
            }
            return true
        }
        var visited: [[UInt8]] = []
        for day in 0... {
            let folders = Self.folders(ofDay: day)
            for (level, folder) in folders.enumerated()
            where level >= visited.count || visited[level] != folder {
                guard try report(folder, GeneratedFile.stat(ofFolder: day * folders.count + level)) else {
                    return
                }
            }
            visited = folders
            let start = Self.pathStart(ofDay: day)
            for number in 0..<Self.filesPerDay {
                let file = GeneratedFile(number: day * Self.filesPerDay + number, isLater: isLater)
                guard try report(start + Self.nameEnds[number], file.stat) else { return }
            }
        }
    }

    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        guard let number = Self.number(ofFileAt: path) else {
            throw SourceError(operation: "open", message: "the tree does not have it", isNotFound: true)
        }
        return OpenGeneratedFile(GeneratedFile(number: number, isLater: isLater))
    }

    func attributes(_ path: [UInt8], _ stat: FileStat) -> FileAttributes { GeneratedFile.attributes }

    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) {
        (GeneratedFile.attributes.userName, GeneratedFile.attributes.groupName)
    }

    func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence {
        MediumEvidence(hasIdentity: true, granularityNanoseconds: 1)
    }
}
