// BackupSource: what a backup reads, from what the command line says: files of this machine, or the standard input.

import BakCore
import BakEngine
import BakPosix
import BakStorage

/// The source of one backup.
struct BackupSource {
    /// The files.
    let tree: any SourceTree
    /// The paths that are backed up, absolute without the leading slash. A link that was named is none of them, but the way
    /// to one.
    let roots: [[UInt8]]
    /// Paths that were asked for and are not there.
    let missing: [[UInt8]]
    /// The PATHs that lead elsewhere by links, as they were written: absolute, without the leading slash.
    let written: [[UInt8]]
    /// Whether it is the standard input, which has no place, no size and no second reading.
    let isStream: Bool

    /// Finds what the invocation names. Throws when nothing of it is there; a backup lists what is missing of it.
    init(_ invocation: Invocation, _ context: CommandContext) throws {
        isStream = invocation.has(.stdin)
        if isStream {
            if Terminal.inputIsInteractive { context.remark("reading what you type; end it with Ctrl-D") }
            let name = invocation.bytes(.stdinFilename) ?? Array("stdin".utf8)
            tree = StandardInputTree(
                name: name, time: context.clock.now(), isCancelled: context.isInterrupted)
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

    /// Walks the source a second time, where someone watches, to know how much there is: `note` is told of each entry
    /// and `finish` of the end, both from the thread that is returned.
    func countTotals(
        _ exclusions: BackupExclusions, _ reporter: ProgressReporter, _ context: CommandContext,
        note: @escaping @Sendable (FileStat) -> Void, finish: @escaping @Sendable () -> Void
    ) -> Thread? {
        guard reporter.isShown, !isStream else { return nil }
        return Thread { [roots, tree] in
            let filter = SourceFilter(exclusions, roots: roots, tree: tree)
            try? tree.walk { event in
                if reporter.isFinished || context.isInterrupted() { return .stop }
                guard case .entry(let path, let stat) = event else { return .proceed }
                guard filter.decide(path, stat) == .include else { return .skipChildren }
                note(stat)
                return .proceed
            }
            finish()
        }
    }

    /// Throws if a PATH is neither folder nor file. Of a disk's device, a pipe or a socket only the name is stored, which is not
    /// what whoever names one means; in a folder or a list they are entries as any.
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
                "\(name) is \(kind), of which only the name would be stored, and not what it holds; to store that, name "
                + "the folder where it is mounted, or run: bakstore backup --stdin --stdin-filename NAME <\(name)"
        )
    }

    private static func nothingThere(_ missing: [(path: [UInt8], reason: SourceError)]) -> CommandFailure {
        let path = Formatting.name(missing[0].path.absolute)
        let what = missing.count == 1 ? path : "any of the \(missing.count) paths, such as \(path)"
        return CommandFailure(
            code: .failed,
            message: "cannot find \(what): \(missing[0].reason.message); "
                + "is it spelt right, and is its disk connected?")
    }

    /// The operands, and the paths that files list.
    private static func paths(_ invocation: Invocation, _ context: CommandContext) throws -> [[UInt8]] {
        var paths: [[UInt8]] = []
        for operand in invocation.operands { paths.append(try path(operand, "PATH", invocation)) }
        for file in invocation.allBytes(.filesFrom) {
            let origin = "--files-from \(Formatting.name(file))"
            for line in try lines(try readFile(file, .filesFrom, context), origin, invocation)
            where !line.bytes.isEmpty && line.bytes.first != UInt8(ascii: "#") {
                paths.append(try path(line.bytes, "\(origin):\(line.number)", invocation))
            }
        }
        for file in invocation.allBytes(.filesFromRaw) {
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

    /// What is there is what is meant, whatever its name looks like.
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
    static func readFile(_ path: [UInt8], _ flag: FlagName, _ context: CommandContext) throws -> [UInt8] {
        do throws(SourceError) {
            let limit = 64 << 20
            return path == [UInt8(ascii: "-")]
                ? try SmallFile.readStandardInput(limit: limit, isCancelled: context.isInterrupted)
                : try SmallFile.read(path: path, limit: limit)
        } catch {
            if context.isInterrupted() {
                throw CommandFailure(code: .interrupted, message: "interrupted before anything was read")
            }
            throw UsageError("--\(flag.rawValue): \(error)", command: .backup)
        }
    }
}
