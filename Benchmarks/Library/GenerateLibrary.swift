// GenerateLibrary: writes a planned library to a folder, or changes it to its second state. Both print a hash of every
// path, size, time and content that they wrote. Equal hashes show that two runs, or two machines, measured the same
// data.

import BakCore
import CXXHash

/// Writes libraries.
struct LibraryWriter {
    let folder: String
    private let content: LibraryContent
    private var madeFolders: Set<Substring> = []
    private var work: [UInt8] = []
    private(set) var fileCount = 0
    private(set) var byteCount = 0

    init(folder: String, seed: UInt64) {
        self.folder = folder
        content = LibraryContent(seed: seed)
    }

    /// A hash of everything that was written and changed.
    var hash: String {
        let hash = work.withUnsafeBytes { XXH3_128bits($0.baseAddress, $0.count) }
        return ID128(high: hash.high64, low: hash.low64).description
    }

    mutating func apply(_ change: LibraryChange) throws {
        switch change {
        case .write(let file): try write(file)
        case .remove(let path):
            try Files.remove(folder + "/" + path)
            note("remove \(path)")
        case .rename(let path, let newPath):
            try makeFolder(of: newPath)
            try Files.rename(folder + "/" + path, to: folder + "/" + newPath)
            note("rename \(path) \(newPath)")
        }
    }

    private mutating func write(_ file: LibraryFile) throws {
        try makeFolder(of: file.path)
        let bytes = content.bytes(of: file)
        try Files.write(folder + "/" + file.path, bytes, modified: file.modified)
        fileCount += 1
        byteCount += bytes.count
        let hash = bytes.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
        note("write \(file.path) \(bytes.count) \(file.modified) \(hash)")
    }

    private mutating func makeFolder(of path: String) throws {
        let parent = path.lastIndex(of: "/").map { path[..<$0] } ?? ""
        if madeFolders.insert(parent).inserted { try Files.makeFolder("\(folder)/\(parent)") }
    }

    private mutating func note(_ line: String) { work += Array((line + "\n").utf8) }
}

/// The parameters of a library.
struct LibraryDescription: Sendable {
    var kind: LibraryPlan.Kind
    var fileCount: Int
    var byteCount: Int
    var seed: UInt64

    var plan: LibraryPlan { LibraryPlan(kind: kind, count: fileCount, bytes: byteCount, seed: seed) }

    /// Returns the arguments with which `generate-library` makes the library.
    func words(folder: String, isSecondState: Bool = false) -> [String] {
        [
            "generate-library", folder, "--kind", kind.rawValue, "--files", "\(fileCount)", "--bytes",
            "\(byteCount)", "--seed", "\(seed)",
        ] + (isSecondState ? ["--week"] : [])
    }
}

extension Subcommand {
    static let generateLibrary = Subcommand(
        name: "generate-library",
        arguments: "FOLDER [--files N] [--bytes B] [--seed S] [--kind media|small] [--week]",
        explanation: [
            "writes a phone's library, the same for the same options, and prints a hash of it",
            "--files N     how many files, at least 8 (800)",
            "--bytes B     about how many bytes together (1G)",
            "--seed S      what everything is drawn from (1)",
            "--kind KIND   media: photos, videos, sidecars, chats (media); small: files of 1 to 20 KB",
            "--week        turns the library, which must be there, into its state after a week of use",
        ]
    ) { arguments in
        let kindName = try arguments.value("--kind") ?? "media"
        guard let kind = LibraryPlan.Kind(rawValue: kindName) else {
            throw UsageError(message: "--kind '\(kindName)'")
        }
        let description = LibraryDescription(
            kind: kind, fileCount: try arguments.count("--files", default: 800),
            byteCount: try arguments.size("--bytes", default: 1 << 30),
            seed: UInt64(try arguments.count("--seed", default: 1)))
        guard description.fileCount >= 8 else { throw UsageError(message: "--files is under 8") }
        let isSecondState = arguments.flag("--week")
        let folder = try arguments.operand("FOLDER")
        try arguments.expectEnd()
        let plan = description.plan
        var writer = LibraryWriter(folder: folder, seed: plan.seed)
        for change in isSecondState ? plan.week() : plan.files.map(LibraryChange.write) {
            try writer.apply(change)
        }
        print("\(writer.fileCount) files written, \(writer.byteCount) bytes, hash \(writer.hash)")
    }
}
