// `bakstore ls`: lists the files of a snapshot.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let ls = CommandSpec(
        name: .ls, summary: "list the files of a snapshot",
        operand: Operand("SNAPSHOT[:PATH]", .repository(.snapshot), 1...1),
        flags: [.long, .recursive, .groups, .withoutGone, .skipDamaged], conflicts: [(.long, [.groups])],
        onlyReads: true,
        exitCodes: [
            (.incomplete, "the named item is gone, and --without-gone leaves it out"),
            (.damage, "not everything could be listed"),
        ],
        examples: [("bakstore ls -l latest:home/me/Pictures", "lists one folder of the newest snapshot")],
        run: Commands.ls)
}

extension AnyFlag {
    static let long = Flag<Bool>("long", "l", help: "show permissions, owner, size and time")
    static let recursive = Flag<Bool>("recursive", "R", help: "show everything beneath, too")
    static let groups = Flag<Bool>(
        "groups", help: "show only files that belong together: live photos, raw and JPEG, sidecars")
}

extension Commands {
    static func ls(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let subject = try SnapshotPath(invocation.operands[0], command: .ls)
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let record = try context.findSnapshot(subject.snapshot, in: repository, invocation)
        let index = try BlobIndex(repository) { context.complain("\($0)") }
        // Without a path, `ls` begins at the paths that were backed up. From the root, the user would have to descend
        // to them one folder at a time.
        let path = try subject.path(in: record, repository, index)
        let places =
            path.isEmpty
            ? try record.pathsWithDisplaced(repository, index).sorted { PathOrder.precedes($0, $1) } : [path]
        var unlisted: Set<[UInt8]> = []
        var isLeftOut = false
        func noteDamage(_ start: [UInt8], _ error: any Error) throws {
            guard error.isDamage else { throw error }
            guard unlisted.insert(start).inserted else { return }
            context.complain(
                "the list of files is damaged. Items from \(Formatting.name(start.absolute)) on are not "
                    + "shown: \(error)")
        }
        let view = try SnapshotView(record, repository: repository, index: index)
        let depth = invocation.has(.recursive) ? SnapshotView.Depth.everything : .children
        for place in places {
            var grouper = invocation.has(.groups) ? AssetGrouper() : nil
            let found = try view.list(place, depth, onDamage: noteDamage) { entry in
                if context.stop.isRequested { return false }
                if entry.goneSince != nil, invocation.has(.withoutGone) {
                    if entry.path == subject.path || entry.path == path { isLeftOut = true }
                    return true
                }
                // A named folder is not listed itself; only its content is.
                if entry.path == place, entry.stat.type == .directory { return true }
                if grouper == nil {
                    try printEntry(entry, invocation, context)
                } else if entry.stat.type == .regular {
                    for group in grouper!.add(entry.path) { try printGroup(group, invocation, context) }
                }
                try context.expectReader()
                return true
            }
            for group in grouper?.finish() ?? [] { try printGroup(group, invocation, context) }
            if context.stop.isRequested { return .interrupted }
            guard found || subject.path.isEmpty || !unlisted.isEmpty else {
                throw SnapshotPathError.notInSnapshot(place, record.id).explained(record, repository, index)
            }
        }
        guard unlisted.isEmpty else {
            throw CommandFailure(
                code: .damage, message: "not everything could be listed" + ErrorReport.damageAdvice)
        }
        guard isLeftOut else { return .done }
        context.complain(
            "\(Formatting.name(path.absolute)) is gone since an earlier backup, and --without-gone leaves it out"
        )
        return .incomplete
    }

    private static func printGroup(
        _ group: AssetGroup, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        let paths = group.paths.map { Formatting.name($0.absolute) }
        try context.tell(
            Message(.group, "\(group.kind)  \(paths.joined(separator: "  "))") { json in
                json.member("kind", group.kind)
                json.array("items") { array in
                    for path in group.paths {
                        array.elementObject { $0.member("path", bytes: path.absolute) }
                    }
                }
            })
    }

    private static func printEntry(
        _ entry: ManifestEntry, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        if invocation.has(.json) {
            return try context.tell(.node) { json in
                json.members(of: entry, context)
            }
        }
        let path = Formatting.name(entry.path.absolute)
        let marks = [
            entry.goneSince.map { "(gone since \(context.text($0)))" },
            entry.missing.contains(.content) ? "(only its beginning)" : nil,
            entry.missing.contains(.attributes) ? "(without all attributes)" : nil,
        ].compactMap { $0 }.joined(separator: " ")
        guard invocation.has(.long) else { return try context.print(path) }
        let owner = name(entry.attributes.userName, entry.stat.uid)
        let group = name(entry.attributes.groupName, entry.stat.gid)
        let size = Formatting.count(entry.stat.size)
        let padding = String(repeating: " ", count: max(0, 15 - size.count))
        let permissions = Formatting.permissions(entry.stat.type, mode: entry.stat.mode)
        let time = context.text(entry.stat.mtime)
        let target = entry.stat.type == .symlink ? " -> \(Formatting.name(entry.attributes.linkTarget))" : ""
        // On a narrow terminal, columns are dropped before the path is cut.
        try context.print(
            path + target, ending: marks,
            behind: [
                "\(permissions) \(owner) \(group) \(padding)\(size) \(time) ",
                "\(permissions) \(padding)\(size) \(time) ",
                "\(padding)\(size) \(time) ", "\(padding)\(size) ", "",
            ])
    }

    private static func name(_ name: [UInt8], _ number: UInt32) -> String {
        let text = name.isEmpty ? String(number) : Formatting.name(name)
        return text + String(repeating: " ", count: max(0, 8 - text.count))
    }
}
