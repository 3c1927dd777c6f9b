// MacroCommand: the subcommand `macro`, which chooses libraries, rounds and the files for results.

/// The sizes of a macro run.
struct MacroScale: Sendable {
    var media: LibraryDescription
    var small: LibraryDescription
    var rounds: Int
    var peerRounds: Int

    static let full = MacroScale(
        media: LibraryDescription(kind: .media, fileCount: 800, byteCount: 1 << 30, seed: 1),
        small: LibraryDescription(kind: .small, fileCount: 100_000, byteCount: 1_050_000_000, seed: 2),
        rounds: 5, peerRounds: 2)
    /// Shows tendencies within a minute.
    static let quick = MacroScale(
        media: LibraryDescription(kind: .media, fileCount: 200, byteCount: 256 << 20, seed: 1),
        small: LibraryDescription(kind: .small, fileCount: 5000, byteCount: 52_000_000, seed: 2),
        rounds: 3, peerRounds: 1)
    /// Shows that the benchmark runs.
    static let tiny = MacroScale(
        media: LibraryDescription(kind: .media, fileCount: 12, byteCount: 600_000, seed: 1),
        small: LibraryDescription(kind: .small, fileCount: 20, byteCount: 200_000, seed: 2),
        rounds: 1, peerRounds: 1)
}

extension Subcommand {
    static let macro = Subcommand(
        name: "macro",
        arguments: "--bakstore PROGRAM --scratch FOLDER [--quick|--tiny] [--json FILE] [--chart PATH]",
        explanation: [
            "whole programs on generated libraries: bakstore, cp and find, restic and borg if on PATH",
            "--bakstore PROGRAM  the release build of bakstore",
            "--scratch FOLDER    where libraries and repositories are made; some 40 GB",
            "--quick, --tiny     small libraries and fewer rounds",
            "--set media|small   only this library",
            "--rounds N          rounds that count (5); peers take part in the first of them",
            "--peer-rounds N     how many of these peers take part in (2); --no-peers: none",
            "--encrypted         also bakstore with an encrypted repository",
            "--keep              does not remove them at the end: deleting many files slows down what comes next",
            "--json FILE         also as JSON",
            "--chart PATH        also as PATH.svg, and as PATH.png if rsvg-convert is on PATH",
        ]
    ) { arguments in
        var scale = arguments.flag("--quick") ? MacroScale.quick : .full
        if arguments.flag("--tiny") { scale = .tiny }
        scale.rounds = try arguments.count("--rounds", default: scale.rounds)
        scale.peerRounds = min(
            scale.rounds, try arguments.count("--peer-rounds", default: scale.peerRounds))
        let comparesPeers = !arguments.flag("--no-peers")
        let encrypts = arguments.flag("--encrypted")
        let keeps = arguments.flag("--keep")
        let only = try arguments.value("--set").map { name in
            guard let kind = LibraryPlan.Kind(rawValue: name) else {
                throw UsageError(message: "--set '\(name)'")
            }
            return kind
        }
        guard let bakstore = try arguments.value("--bakstore") else {
            throw UsageError(message: "--bakstore is missing")
        }
        guard let scratch = try arguments.value("--scratch") else {
            throw UsageError(message: "--scratch is missing")
        }
        let json = try arguments.value("--json")
        let chart = try arguments.value("--chart")
        try arguments.expectEnd()
        let report = try runMacro(
            scale, only: only, bakstore: bakstore, generator: try Files.realPath("/proc/self/exe"),
            scratch: scratch, comparesPeers: comparesPeers, encrypts: encrypts, keeps: keeps)
        print(report.text)
        if let json { try Files.write(json, Array((report.json.text() + "\n").utf8)) }
        if let chart { try report.chart.write(chart) }
    }
}

/// Measures the libraries of a scale. The media library is first, because it leaves few files behind. Makes a folder in
/// `scratch`, and removes the folder at the end unless `keeps` is true.
func runMacro(
    _ scale: MacroScale, only kind: LibraryPlan.Kind? = nil, bakstore: String, generator: String,
    scratch: String, comparesPeers: Bool, encrypts: Bool = false, keeps: Bool = false
) throws -> MacroReport {
    let folder = scratch + "/bakstore-macro"
    try Files.makeFolder(folder)
    // The path is absolute, because some programs run in another folder.
    let root = try Files.realPath(folder)
    let log = root + "/log"
    let machine = MachineDescription(folder: root)
    guard let program = try Contender.bakstore(Files.realPath(bakstore), log: log) else {
        throw UsageError(message: "'\(bakstore)' is no bakstore")
    }
    let encrypted =
        encrypts ? try Contender.bakstore(Files.realPath(bakstore), isEncrypted: true, log: log) : nil
    let peers = comparesPeers ? [Contender.restic(log: log), .borg(log: log)].compactMap { $0 } : []
    let contenders = [.yardstick, program] + [encrypted].compactMap { $0 } + peers
    let results = try [scale.media, scale.small].filter { kind == nil || $0.kind == kind }.map { library in
        try MacroRun(
            library: library, contenders: contenders, rounds: scale.rounds, peerRounds: scale.peerRounds,
            folder: "\(root)/\(library.kind.rawValue)", generator: generator
        ).run()
    }
    if !keeps { _ = try Command("rm", "-rf", root).run(log: "/dev/null") }
    return MacroReport(machine: machine, contenders: contenders, results: results)
}
