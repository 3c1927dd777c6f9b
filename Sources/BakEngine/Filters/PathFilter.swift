// PathFilter: what a backup leaves out, and why. Pure: it knows paths, stats and a closure that reads the
// start of a file.
//
// Always holds: a folder above a root is never left out, and nothing but a root's own path and what is beneath
// it is matched, so a path that the user named is lost to a pattern only if the pattern matches the path itself.
// Where the command line says something of a path, `.bakignore` is not asked; of those files the nearest one
// that says something decides. The answers do not depend on the order of the questions; asked in walk order,
// each folder's marks are looked at once.

import BakCore

/// Why something was left out.
public enum SkipReason: Hashable, Sendable, CustomStringConvertible {
    /// A pattern, as it was written, and where: `--exclude`, `list.txt:3`, `home/me/.bakignore:1`.
    case pattern([UInt8], origin: String)
    /// A file of more than so many bytes.
    case largerThan(UInt64)
    /// Something in a folder that holds this file, which marks it as not worth a backup.
    case inMarkedFolder(mark: [UInt8], origin: String)
    /// Something on another file system than the root it was reached from.
    case otherFileSystem

    /// The reason in words; it may hold control bytes of a pattern or a name.
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

/// What becomes of an entry.
public enum FilterDecision: Equatable, Sendable {
    /// It is taken, and of a folder what is beneath it is asked about in turn.
    case include
    /// The folder is taken, what is beneath it is left out.
    case includeWithoutContents(SkipReason)
    /// It is left out with all beneath it.
    case exclude(SkipReason)
}

/// A file whose presence says that its folder's content is not worth a backup.
public struct FolderMark: Hashable, Sendable {
    /// The file's name.
    public var name: [UInt8]
    /// What the file must begin with; empty when its presence is enough.
    public var header: [UInt8]
    /// The flag that asked for it, for messages.
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

    /// Parses the `NAME[:HEADER]` of `--exclude-if-present`; nil when the name is empty or holds a slash.
    public init?(_ argument: [UInt8]) {
        let parts = argument.split(
            separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first, !name.isEmpty, !name.contains(UInt8(ascii: "/")) else { return nil }
        self.init(
            name: Array(name), header: parts.count > 1 ? Array(parts[1]) : [], origin: "--exclude-if-present")
    }
}

/// What the user asked a backup to leave out.
public struct BackupExclusions: Sendable {
    /// Patterns in the order in which they were given: the last one that matches decides.
    public var patterns: [PathPattern] = []
    /// Marks of folders whose content is left out.
    public var marks: [FolderMark] = []
    /// Regular files larger than this many bytes are left out.
    public var largestFile: UInt64?
    /// Whether to stay on each root's file system.
    public var oneFileSystem = false
    /// Whether `.bakignore` files count.
    public var honoursIgnoreFiles = true
    /// Whose `.bakignore` files count without a word, by uid; nil for everybody's. What another's leaves out is told.
    public var trustedOwner: UInt32?
    /// Whether lines of `.bakignore` files that leave nothing out are told of.
    public var tellsUnmatchedLines = false

    /// Leaves out nothing but what `.bakignore` files name.
    public init() {}
}

/// How a file begins, and whose it is.
public struct FileStart: Sendable {
    /// Its first bytes.
    public var bytes: [UInt8]
    /// Its owner, by uid.
    public var owner: UInt32
    /// Whether its mode lets others write it.
    public var othersMayWrite: Bool

    /// Makes one.
    public init(_ bytes: [UInt8], owner: UInt32 = 0, othersMayWrite: Bool = false) {
        (self.bytes, self.owner, self.othersMayWrite) = (bytes, owner, othersMayWrite)
    }
}

/// Reads up to so many bytes from the start of a regular file; nil when there is none, or it cannot be read.
public typealias FileStartReader = (_ path: [UInt8], _ count: Int) -> FileStart?

/// Decides for each path of a walk.
public struct PathFilter: Sendable {
    /// What is known of a folder on the way to the current path.
    private struct Level: Sendable {
        /// At or beneath a root.
        var isInside = false
        /// How many components lie above the root.
        var top = 0
        /// The device of the nearest root.
        var device: UInt64?
        var ignoreRules: IgnoreRules?
        /// The depth of the nearest folder above that has rules.
        var rulesAbove: Int?
        /// Whose rules they are, until it has been said.
        var stranger: Stranger?
        var mark: FolderMark?
    }

    private let exclusions: BackupExclusions
    private let roots: Set<[UInt8]>
    /// The lengths of the roots: most paths have none of them, and need not be hashed.
    private let rootLengths: Set<Int>
    private var trail: PatternTrail
    private var cursor = PathCursor()
    private var levels: [Level] = []
    /// What is to be said of the ignore files that were met since it was last taken.
    private var remarks: [String] = []
    /// The ignore files of others that leave something out, since they were last taken.
    private var strangers: [Stranger] = []
    /// The device of each root that the walk has come to.
    private var rootDevices: [[UInt8]: UInt64] = [:]

    /// Makes a filter for one walk of `roots`, absolute paths without the leading slash. `topDevice` is the
    /// device of the root of everything, which no walk visits.
    public init(_ exclusions: BackupExclusions, roots: [[UInt8]], topDevice: UInt64? = nil) {
        self.exclusions = exclusions
        self.roots = Set(roots)
        rootLengths = Set(roots.map(\.count))
        rootDevices[[]] = topDevice
        trail = PatternTrail(exclusions.patterns)
    }

    /// Decides about the entry at `path`. A root must be asked about before what is beneath it.
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

    /// Says that nothing more is asked about.
    mutating func finish() { leave(levels.count) }

    /// The patterns that have had the last word on nothing so far.
    var unmatchedPatterns: [PathPattern] { trail.unmatched }

    /// Forgets the lowest folders on the way.
    private mutating func leave(_ count: Int) {
        if exclusions.tellsUnmatchedLines {
            for level in levels.suffix(count) {
                remarks += level.ignoreRules?.unmatched.map(\.uselessness) ?? []
            }
        }
        levels.removeLast(count)
    }

    /// Takes what is to be said of the ignore files that were met: lines that match nothing.
    public mutating func takeRemarks() -> [String] {
        defer { remarks = [] }
        return remarks
    }

    /// An ignore file of somebody who is not trusted; nil for the owner of one that is only open to others.
    typealias Stranger = (path: String, owner: UInt32?)

    /// Takes the ignore files that leave something out and are a stranger's.
    mutating func takeStrangers() -> [Stranger] {
        defer { strangers = [] }
        return strangers
    }

    /// The pattern with the last word on the current path.
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

    /// Looks at the next folder on the way to the current path.
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
