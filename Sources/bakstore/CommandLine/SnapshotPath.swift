// SnapshotPath: parses the operands of `ls`, `restore` and `cat`: a snapshot and a path in it, or a part of the
// repository.

/// `SNAPSHOT` or `SNAPSHOT:PATH`.
struct SnapshotPath: Equatable {
    /// The beginning of an id, `latest` or `latest~N`.
    var snapshot: String
    /// The path's components joined by '/'; empty for the whole snapshot.
    var path: [UInt8]

    /// Parses an operand. It ignores doubled slashes, and slashes at either end of the path.
    init(_ operand: [UInt8], command: CommandName) throws(UsageError) {
        let parts = operand.split(
            separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = String(validating: parts.first ?? [], as: UTF8.self), !name.isEmpty else {
            throw UsageError("'\(Formatting.name(operand))' names no snapshot", command: command)
        }
        snapshot = name
        let components = parts.count > 1 ? parts[1].split(separator: UInt8(ascii: "/")) : []
        let kept = components.filter { !$0.elementsEqual(".".utf8) }
        if kept.contains(where: { $0.elementsEqual("..".utf8) }) {
            throw UsageError("a path in a snapshot cannot contain '..'", command: command)
        }
        path = Array(kept.joined(separator: [UInt8(ascii: "/")]))
    }
}

/// The object that `cat` prints.
enum CatSubject: Equatable {
    case config
    /// The commit record of a snapshot, which the user names as in any command.
    case snapshot(String)
    case index(String)
    case pack(String)
    case session(String)
    case chunk(String)
    /// A file's content.
    case file(SnapshotPath)

    /// Parses the operands.
    init(_ operands: [[UInt8]]) throws(UsageError) {
        let words = operands.map { String(decoding: $0, as: UTF8.self) }
        switch (words.first, words.count) {
        case ("config", 1): self = .config
        case ("snapshot", 2): self = .snapshot(words[1])
        case ("index", 2): self = .index(words[1])
        case ("pack", 2): self = .pack(words[1])
        case ("session", 2): self = .session(words[1])
        case ("chunk", 2): self = .chunk(words[1])
        case (_, 1) where operands[0].contains(UInt8(ascii: ":")):
            let file = try SnapshotPath(operands[0], command: .cat)
            guard !file.path.isEmpty else {
                throw UsageError("cat needs a file's path after the ':'", command: .cat)
            }
            self = .file(file)
        default:
            throw UsageError(
                "cannot print '\(words.joined(separator: " "))'. cat prints \(CommandSpec.cat.operands)",
                command: .cat)
        }
    }
}
