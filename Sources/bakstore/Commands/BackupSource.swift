// BackupSource: finds the source that the command line names for a backup: files on this machine, or standard input.

import BakCore
import BakEngine
import BakPosix
import BakStorage

extension Flags {
    /// Flags that leave files out.
    static let exclusions: [AnyFlag] = [
        .exclude, .iexclude, .excludeFile, .excludeCaches, .excludeIfPresent, .excludeLargerThan,
        .oneFileSystem, .noIgnoreFiles,
    ]

    /// Flags that name files with lists of paths.
    static let lists: [AnyFlag] = [.filesFrom, .filesFromRaw]
}

extension AnyFlag {
    static let excludeFile = Flag<[[UInt8]]>(
        "exclude-file", each: .anyPlace("FILE", isInput: true),
        help: "read exclude patterns from a file, one per line"
    )
    static let excludeCaches = Flag<Bool>(
        "exclude-caches", help: "leave out the contents of folders with a CACHEDIR.TAG")
    static let excludeIfPresent = Flag<[FolderMark]>(
        "exclude-if-present", each: .mark, help: "leave out the contents of folders with this file")
    static let excludeLargerThan = Flag<UInt64?>(
        "exclude-larger-than", .size(0...UInt64.max), help: "leave out files larger than this")
    static let oneFileSystem = Flag<Bool>(
        "one-file-system", "x", help: "stay on the file system of each PATH")
    static let noIgnoreFiles = Flag<Bool>(
        "no-ignore-files", help: "ignore the rules in .bakignore files")
    static let filesFrom = Flag<[[UInt8]]>(
        "files-from", each: .anyPlace("FILE", isInput: true),
        help: "read the paths to back up from a file, one per line; - means standard input")
    static let filesFromRaw = Flag<[[UInt8]]>(
        "files-from-raw", each: .anyPlace("FILE", isInput: true),
        help: "like --files-from, with a NUL byte after each path")
    static let stdin = Flag<Bool>("stdin", help: "back up standard input as one file")
    static let stdinFilename = Flag<[UInt8]>(
        "stdin-filename", .bytes("NAME"), default: Array("stdin".utf8),
        help: "the file's name with --stdin (default: stdin)")
    static let readConcurrency = Flag<Int?>(
        "read-concurrency", .count(1...64),
        help: "read this many files at once, 1 to 64 (default: depends on the disk)")
}

extension Invocation {
    /// What is wrong with the paths that the invocation names; nil if nothing is.
    var pathComplaint: String? { operands.contains([]) ? "a PATH must not be empty" : nil }

    /// Returns what is wrong with the source that the invocation names; nil if nothing is. `purpose` is a verb such as
    /// `back up`.
    func sourceComplaint(to purpose: String) -> String? {
        if let pathComplaint { return pathComplaint }
        let isStdin = has(.stdin)
        if isStdin && !operands.isEmpty { return "--stdin takes no PATH, because it backs up standard input" }
        if let name = bytes(.stdinFilename) {
            if !isStdin { return "--stdin-filename needs --stdin" }
            let isFolder = name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8)
            if isFolder || name.contains(UInt8(ascii: "/")) || name.count > 255 {
                return
                    "--stdin-filename '\(Formatting.name(name))': must be the name of a file, without a slash"
            }
        }
        guard operands.isEmpty, !isStdin, !has(.filesFrom), !has(.filesFromRaw) else { return nil }
        let name = command.rawValue
        return "\(name) needs a PATH to \(purpose), such as: bakstore \(name) ~/Pictures"
    }
}

/// The source of one backup.
struct BackupSource {
    /// The files.
    let tree: any SourceTree
    /// The paths that are backed up, absolute without the leading slash. For a PATH that is a link, this is the path
    /// that the link leads to.
    let roots: [[UInt8]]
    /// PATHs that do not exist.
    let missing: [[UInt8]]
    /// The PATHs that lead through links to another path, in the form that the user wrote, made absolute and without
    /// the leading slash.
    let written: [[UInt8]]
    /// True if the source is the standard input, which has no place and no size and cannot be read twice.
    let isStream: Bool

    /// Finds the paths that the invocation names. Throws if none of the paths exists. If only some exist, `missing` has
    /// those that do not.
    init(_ invocation: Invocation, _ context: CommandContext) throws {
        isStream = invocation.has(.stdin)
        if isStream {
            if Terminal.inputIsInteractive { context.remark("reading what you type. Press Ctrl-D to end it") }
            let name = invocation[.stdinFilename]
            tree = StandardInputTree(
                name: name, time: context.clock.now(), stop: context.stop)
            (roots, missing, written) = ([name], [], [])
        } else {
            let paths = try Self.paths(invocation, context)
            for operand in invocation.operands { try Self.expectContent(of: operand) }
            let files = try FileTree(roots: paths)
            if files.isAllMissing { throw Self.nothingThere(files.missing) }
            (tree, roots) = (files, files.places)
            missing = files.missing.map(\.path)
            let known = Set(files.places + missing)
            written = paths.map { path in
                Array(Machine.absolutePath(path).dropFirst())
            }.filter { !known.contains($0) }
        }
    }

    /// Starts a thread that walks the source a second time, to count its files and bytes for the progress. The thread
    /// calls `note` for each entry and `finish` at the end. Returns nil if no progress is shown or the source cannot be
    /// read twice.
    func countTotals(
        _ exclusions: BackupExclusions, _ reporter: ProgressReporter, _ context: CommandContext,
        note: @escaping @Sendable (FileStat) -> Void, finish: @escaping @Sendable () -> Void
    ) -> Thread? {
        guard reporter.isShown, !isStream else { return nil }
        return Thread { [roots, tree] in
            let filter = SourceFilter(exclusions, roots: roots, tree: tree)
            try? tree.walk { event in
                if reporter.isFinished || context.stop.isRequested { return .stop }
                guard case .entry(let path, let stat) = event else { return .proceed }
                guard filter.decide(path, stat) == .include else { return .skipChildren }
                note(stat)
                return .proceed
            }
            finish()
        }
    }

    /// Throws if a PATH is a device, a pipe or a socket. Only its name would be stored, but the user means its content.
    /// Within a folder or a list of paths, such an entry is stored like any other.
    private static func expectContent(of path: [UInt8]) throws {
        let kind: String
        switch Machine.status(path)?.type {
        case .blockDevice: kind = "a disk or another block device"
        case .characterDevice: kind = "a device"
        case .fifo: kind = "a pipe"
        case .socket: kind = "a socket"
        case .regular, .directory, .symlink, nil: return
        }
        let name = Formatting.name(path)
        throw CommandFailure(
            code: .failed,
            message:
                "\(name) is \(kind), so a backup would store only its name. To store its content, name "
                + "the folder where it is mounted, or run: bakstore backup --stdin --stdin-filename NAME <\(name)"
        )
    }

    private static func nothingThere(_ missing: [(path: [UInt8], reason: SourceError)]) -> CommandFailure {
        let path = Formatting.name(missing[0].path.absolute)
        let what = missing.count == 1 ? path : "any of the \(missing.count) paths, such as \(path)"
        return CommandFailure(
            code: .failed,
            message: "cannot find \(what): \(missing[0].reason.message). "
                + "Check the spelling, and that its disk is connected")
    }

    /// Returns the operands, and the paths from the files that flags name.
    private static func paths(_ invocation: Invocation, _ context: CommandContext) throws -> [[UInt8]] {
        var paths: [[UInt8]] = []
        for operand in invocation.operands { paths.append(try path(operand, "PATH", invocation)) }
        for file in invocation[.filesFrom] {
            let origin = "--files-from \(Formatting.name(file))"
            for line in try lines(try readFile(file, .filesFrom, context), origin, invocation)
            where !line.bytes.isEmpty && line.bytes.first != UInt8(ascii: "#") {
                paths.append(try path(line.bytes, "\(origin):\(line.number)", invocation))
            }
        }
        for file in invocation[.filesFromRaw] {
            paths += try readFile(file, .filesFromRaw, context).split(separator: 0).map(Array.init)
        }
        guard !paths.isEmpty else {
            throw CommandFailure(code: .failed, message: "the list of files to back up is empty")
        }
        return paths
    }

    private static func lines(
        _ text: [UInt8], _ origin: String, _ invocation: Invocation
    ) throws(UsageError) -> [TextLine] {
        do throws(TextFault) {
            return try TextLines.split(text)
        } catch {
            throw UsageError("\(origin): \(error)", command: invocation.command)
        }
    }

    /// Returns the path that the text means. If an item with exactly this name exists, the text means that item, even
    /// if the name looks like something else.
    private static func path(
        _ text: [UInt8], _ origin: String, _ invocation: Invocation
    ) throws(UsageError) -> [UInt8] {
        let (place, complaint) = (PlaceName.path(text), PlaceName.objection(to: text))
        if complaint == nil && place == text || Machine.isThere(text) { return text }
        if let complaint {
            throw UsageError(
                "\(origin) '\(Formatting.name(text))': \(complaint)", command: invocation.command)
        }
        return place
    }

    /// Reads a file that a flag names; `-` is the standard input.
    static func readFile(_ path: [UInt8], _ flag: AnyFlag, _ context: CommandContext) throws -> [UInt8] {
        do throws(SourceError) {
            let limit = 64 << 20
            return path == [UInt8(ascii: "-")]
                ? try SmallFile.readStandardInput(limit: limit, stop: context.stop)
                : try SmallFile.read(path: path, limit: limit, stop: context.stop)
        } catch {
            if context.stop.isRequested {
                throw CommandFailure(code: .interrupted, message: "interrupted before anything was read")
            }
            throw UsageError("\(flag.spelling): \(error)", command: .backup)
        }
    }
}
