// PathFilter: decides what a backup leaves out, and why. It uses only paths, stats and a closure that reads the start
// of a file.
//
// A root is a path that the user asked to back up. A mark is a file whose presence leaves out the content of its
// folder.
//
// Always holds:
// - A folder above a root is never left out.
// - Patterns are matched only against a root's own path and the paths beneath it. So a root is left out only if a
//   pattern matches the root's own path.
// - A pattern of the command line takes precedence over `.bakignore` files. Among these files, the nearest one with a
//   matching line decides.
// - A root must be decided before the entries beneath it. Apart from this, the order in which entries are decided does
//   not matter. If it is the order of a walk, each folder is checked for marks only once.

import BakCore

/// Why something was left out.
public enum SkipReason: Hashable, Sendable, CustomStringConvertible {
    /// A pattern as it was written, and its origin: `--exclude`, `list.txt:3`, `home/me/.bakignore:1`.
    case pattern([UInt8], origin: String)
    /// A file larger than this many bytes.
    case largerThan(UInt64)
    /// An entry of a folder that holds the mark: a file by which the user says that the folder is not worth a backup.
    case inMarkedFolder(mark: [UInt8], origin: String)
    /// An entry on another file system than the root above it.
    case otherFileSystem

    /// The reason in words. It may contain control bytes of a pattern or a name.
    public var description: String {
        switch self {
        case .pattern(let text, let origin):
            "excluded by \(origin) '\(String(decoding: text, as: UTF8.self))'"
        case .largerThan(let bytes): "larger than \(ByteSize.text(bytes)) (--exclude-larger-than)"
        case .inMarkedFolder(let mark, let origin):
            "its folder holds \(String(decoding: mark, as: UTF8.self)) (\(origin))"
        case .otherFileSystem: "on another file system (--one-file-system)"
        }
    }
}

/// The decision about an entry.
public enum FilterDecision: Equatable, Sendable {
    /// It is included. If it is a folder, its entries are decided in turn.
    case include
    /// The folder is included, and everything beneath it is left out.
    case includeWithoutContents(SkipReason)
    /// It is left out with everything beneath it.
    case exclude(SkipReason)
}

/// A file whose presence marks the content of its folder as not worth a backup.
public struct FolderMark: Hashable, Sendable {
    /// The file's name.
    public var name: [UInt8]
    /// The bytes with which the file must begin; empty if its presence is enough.
    public var header: [UInt8]
    /// The flag that asked for the mark, for messages.
    public var origin: String

    /// Makes a mark.
    public init(name: [UInt8], header: [UInt8] = [], origin: String) {
        self.name = name
        self.header = header
        self.origin = origin
    }

    /// The mark of `--exclude-caches`: CACHEDIR.TAG with its signature (bford.info/cachedir).
    public static let cacheDirectory = FolderMark(
        name: Array("CACHEDIR.TAG".utf8),
        header: Array("Signature: 8a477f597d28d172789f06886806bc55".utf8),
        origin: "--exclude-caches")

    /// Parses the `NAME[:HEADER]` of `--exclude-if-present`; nil if the name is empty or contains a slash.
    public init?(_ argument: [UInt8]) {
        let parts = argument.split(
            separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first, !name.isEmpty, !name.contains(UInt8(ascii: "/")) else { return nil }
        self.init(
            name: Array(name), header: parts.count > 1 ? Array(parts[1]) : [], origin: "--exclude-if-present")
    }
}

/// The user's rules for what a backup leaves out.
public struct BackupExclusions: Sendable {
    /// Patterns in the order in which they were given; the last one that matches decides.
    public var patterns: [PathPattern] = []
    /// Marks of folders whose content is left out.
    public var marks: [FolderMark] = []
    /// Regular files larger than this many bytes are left out.
    public var largestFile: UInt64?
    /// True if the walk stays on each root's file system.
    public var oneFileSystem = false
    /// True if `.bakignore` files count.
    public var honoursIgnoreFiles = true
    /// The uid of the user whose `.bakignore` files count without a report; nil trusts every owner. If a file of
    /// another owner leaves entries out, the run reports it.
    public var trustedOwner: UInt32?
    /// True if the run reports each line of a `.bakignore` file that has decided about no entry.
    public var tellsUnmatchedLines = false

    /// Leaves out only entries that `.bakignore` files name.
    public init() {}
}

/// The start of a file, with its owner.
public struct FileStart: Sendable {
    /// Its first bytes.
    public var bytes: [UInt8]
    /// Its owner, by uid.
    public var owner: UInt32
    /// True if its mode lets other users write it.
    public var othersMayWrite: Bool

    /// Makes a file start.
    public init(_ bytes: [UInt8], owner: UInt32 = 0, othersMayWrite: Bool = false) {
        (self.bytes, self.owner, self.othersMayWrite) = (bytes, owner, othersMayWrite)
    }
}

/// Reads up to `count` bytes from the start of a regular file; returns nil if there is none or it cannot be read.
public typealias FileStartReader = (_ path: [UInt8], _ count: Int) -> FileStart?

/// Decides for each path of a walk.
public struct PathFilter: Sendable {
    /// The state of a folder above the current path.
    private struct Level: Sendable {
        /// True if the folder is at or beneath a root.
        var isInside = false
        /// The number of components above the root.
        var top = 0
        /// The device of the nearest root.
        var device: UInt64?
        var ignoreRules: IgnoreRules?
        /// The depth of the nearest folder above this one that has ignore rules.
        var rulesAbove: Int?
        /// The file with `ignoreRules`, if it is not trusted; nil once it has been reported.
        var stranger: Stranger?
        var mark: FolderMark?
    }

    private let exclusions: BackupExclusions
    private let roots: Set<[UInt8]>
    /// The lengths of the roots. Most paths have another length and need not be hashed.
    private let rootLengths: Set<Int>
    private var trail: PatternTrail
    private var cursor = PathCursor()
    private var levels: [Level] = []
    /// Messages about the ignore files that were met since the last call of `takeRemarks`.
    private var remarks: [String] = []
    /// Untrusted ignore files that have left something out since the last call of `takeStrangers`.
    private var strangers: [Stranger] = []
    /// The device of each root that the walk has reached.
    private var rootDevices: [[UInt8]: UInt64] = [:]

    /// Makes a filter for one walk of `roots`, which are absolute paths without the leading slash. `topDevice` is the
    /// device of `/`, which no walk visits.
    public init(_ exclusions: BackupExclusions, roots: [[UInt8]], topDevice: UInt64? = nil) {
        self.exclusions = exclusions
        self.roots = Set(roots)
        rootLengths = Set(roots.map(\.count))
        rootDevices[[]] = topDevice
        trail = PatternTrail(exclusions.patterns)
    }

    /// Decides about the entry at `path`. A root must be decided before the entries beneath it.
    public mutating func decide(
        _ path: [UInt8], _ stat: FileStat, reading readStart: FileStartReader
    ) -> FilterDecision {
        let shared = cursor.move(to: path)
        let depth = cursor.components.count
        leave(max(0, levels.count - (shared + 1)))
        while levels.count < depth {
            let above = levels.count > 0 ? cursor.ends[levels.count - 1] : 0
            levels.append(level(of: Array(path[..<above]), readStart))
        }
        let isRoot = rootLengths.contains(path.count) && roots.contains(path)
        let parent = depth > 0 ? levels[depth - 1] : nil
        guard isRoot || parent?.isInside == true else { return .include }
        let top = parent?.isInside == true ? parent!.top : depth - 1
        if isRoot && rootDevices[path] == nil { rootDevices[path] = stat.device }

        let isFolder = stat.type == .directory
        if let mark = parent?.mark, cursor.components.last?.elementsEqual(mark.name) == false {
            return .exclude(.inMarkedFolder(mark: mark.name, origin: mark.origin))
        }
        if let pattern = lastMatch(path, isFolder: isFolder, top: max(0, top)), !pattern.isNegated {
            return .exclude(.pattern(pattern.text, origin: pattern.origin))
        }
        if let limit = exclusions.largestFile, stat.type == .regular, stat.size > limit {
            return .exclude(.largerThan(limit))
        }
        if exclusions.oneFileSystem, !isRoot, let device = parent?.device, stat.device != device {
            return isFolder ? .includeWithoutContents(.otherFileSystem) : .exclude(.otherFileSystem)
        }
        return .include
    }

    /// Ends the walk: no entry is decided after this.
    mutating func finish() { leave(levels.count) }

    /// The patterns that have decided about no entry so far.
    var unmatchedPatterns: [PathPattern] { trail.unmatched }

    /// Forgets the deepest `count` folders.
    private mutating func leave(_ count: Int) {
        if exclusions.tellsUnmatchedLines {
            for level in levels.suffix(count) {
                remarks += level.ignoreRules?.unmatched.map(\.uselessness) ?? []
            }
        }
        levels.removeLast(count)
    }

    /// Returns and clears the messages about ignore files, such as those about lines that are wrong or match nothing.
    public mutating func takeRemarks() -> [String] {
        defer { remarks = [] }
        return remarks
    }

    /// An ignore file that is not trusted. `owner` is the user who owns it, if that user is the reason. It is nil if
    /// the reason is that other users may write the file.
    typealias Stranger = (path: String, owner: UInt32?)

    /// Returns and clears the untrusted ignore files that have left something out.
    mutating func takeStrangers() -> [Stranger] {
        defer { strangers = [] }
        return strangers
    }

    /// Returns the pattern that decides about the current path.
    private mutating func lastMatch(_ path: [UInt8], isFolder: Bool, top: Int) -> PathPattern? {
        if let index = trail.lastMatch(path, isFolder: isFolder, below: top) { return trail.patterns[index] }
        var next = levels.indices.last
        while let depth = next {
            next = levels[depth].rulesAbove
            if let rule = levels[depth].ignoreRules?.lastMatch(
                cursor.components[depth...], isFolder: isFolder)
            {
                if !rule.isNegated, let stranger = levels[depth].stranger {
                    levels[depth].stranger = nil
                    strangers.append(stranger)
                }
                return rule
            }
        }
        return nil
    }

    /// Examines one folder of those above the current path, which are examined from the top down.
    private mutating func level(of folder: [UInt8], _ readStart: FileStartReader) -> Level {
        let depth = levels.count
        let maybeRoot = folder.isEmpty || rootLengths.contains(folder.count)
        var level = Level()
        if depth > 0, levels[depth - 1].isInside {
            level.isInside = true
            level.top = levels[depth - 1].top
        } else if roots.contains(folder) {
            level.isInside = true
            level.top = max(0, depth - 1)
        }
        if let above = levels.last {
            level.rulesAbove = above.ignoreRules == nil ? above.rulesAbove : depth - 1
        }
        guard level.isInside else { return level }
        level.device = (maybeRoot ? rootDevices[folder] : nil) ?? (depth > 0 ? levels[depth - 1].device : nil)
        level.mark = exclusions.marks.first { mark in
            let start = readStart(PathOrder.join(folder, mark.name), mark.header.count)
            return start?.bytes.starts(with: mark.header) ?? false
        }
        if exclusions.honoursIgnoreFiles {
            let file = PathOrder.join(folder, IgnoreRules.fileName)
            let limit = IgnoreRules.maximumBytes
            if let start = readStart(file, limit + 1), start.bytes.count <= limit, !start.bytes.isEmpty {
                let path = "/" + String(decoding: file, as: UTF8.self)
                let rules = IgnoreRules(start.bytes, path: path)
                remarks += rules.remarks
                level.ignoreRules = rules
                if let trusted = exclusions.trustedOwner, start.owner != trusted || start.othersMayWrite {
                    level.stranger = (path, start.owner == trusted ? nil : start.owner)
                }
            }
        }
        return level
    }
}
