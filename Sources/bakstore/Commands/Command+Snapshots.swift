// `bakstore snapshots`: lists the snapshots.

import BakCore
import BakEngine
import BakRepository

extension CommandSpec {
    static let snapshots = CommandSpec(
        name: .snapshots, aliases: ["list"], summary: "list the snapshots",
        operand: Operand("[SNAPSHOT...]", .repository(.snapshot), 0...Int.max),
        flags: Flags.joined(Flags.choosing, [.latest, .all, .skipDamaged]), choosesSnapshots: true,
        onlyReads: true,
        exitCodes: [
            (.incomplete, "no snapshot matches a filter, or this user may not read some of them"),
            (.damage, "records of snapshots are damaged"),
        ],
        examples: [("bakstore snapshots --device phone --latest 3", "shows the phone's last three")],
        run: Commands.snapshots)
}

extension AnyFlag {
    static let latest = Flag<Int?>(
        "latest", .count(1...Int.max), help: "only the last N of each device and set of paths")
    static let all = Flag<Bool>(
        "all", help: "include interrupted snapshots that a later complete one supersedes")
}

extension Commands {
    static func snapshots(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let list = try repository.snapshotList()
        let (all, unreadable) = (list.readable, list.unreadable)
        let chosen = try choose(list, invocation, context)
        context.noteMisdated(list.order)
        if invocation.has(.json) {
            for record in chosen {
                try context.tell(.snapshot) { json in
                    json.members(of: record, context)
                }
            }
        } else {
            let doubtful = SnapshotDoubts(among: all).standing
            try printTable(chosen, doubtful, isFiltered: chosen.count < all.count, invocation, context)
        }
        context.complain(about: unreadable, which: "")
        if context.complain(aboutFilterOf: invocation, among: all), unreadable.isEmpty { return .incomplete }
        return ExitCode.of(unreadable)
    }

    /// Returns the snapshots that the operands name or the flags choose.
    static func choose(
        _ list: SnapshotList, _ invocation: Invocation, _ context: CommandContext
    ) throws -> [CommitRecord] {
        let all = list.readable
        var chosen = all
        if !invocation.operands.isEmpty {
            let wanted = Set(
                try invocation.operands.map {
                    let name = String(decoding: $0, as: UTF8.self)
                    return try context.findSnapshot(name, in: list, invocation).id
                })
            chosen = chosen.filter { wanted.contains($0.id) }
        } else if !invocation.has(.all) {
            let superseded = CommitRecord.supersededPartials(among: all, now: context.clock.now(), list.order)
            chosen = all.filter { !superseded.contains($0.id) }
        }
        let filter = SnapshotFilter(invocation)
        chosen = chosen.filter(filter.takes)
        guard let latest = invocation[.latest] else { return chosen }
        var counts: [SnapshotGroup: Int] = [:]
        return chosen.reversed().filter { record in
            counts[SnapshotGroup(of: record), default: 0] += 1
            return counts[SnapshotGroup(of: record)]! <= latest
        }.reversed()
    }

    private static func printTable(
        _ records: [CommitRecord], _ doubtful: Set<ID128>, isFiltered: Bool, _ invocation: Invocation,
        _ context: CommandContext
    ) throws {
        guard !records.isEmpty else {
            guard !invocation.has(.quiet) else { return }
            if !isFiltered { try context.print("no snapshots") }
            return
        }
        var table = TextTable(
            [.fixed, .fixed, .left, .right, .right, .path],
            header: ["ID", "Time", "Device", "Files", "Size", "Paths"], dropping: [4, 3, 2, 1])
        for record in records {
            let paths = record.paths.map { Formatting.name($0.absolute) }.joined(separator: ", ")
            var marks: [String] = []
            if !record.isComplete { marks.append("(partial)") }
            if record.isArchive {
                let gone = record.counters.goneFiles
                marks.append(gone > 0 ? "(archive, \(Formatting.count(gone)) gone)" : "(archive)")
            }
            if doubtful.contains(record.id) { marks.append("(in doubt: most files were missing)") }
            if record.counters.failedItems > 0 {
                marks.append("(\(Formatting.count(record.counters.failedItems, "item", "items")) missing)")
            }
            if !record.tags.isEmpty { marks.append("[\(record.tags.joined(separator: ", "))]") }
            let cells = [
                record.id.short, context.text(record.time), Formatting.line(record.device),
                Formatting.count(record.counters.files), Formatting.size(record.counters.bytes),
                Formatting.line(paths),
            ]
            table.append(cells, ending: Formatting.line(marks.joined(separator: "  ")))
        }
        try context.print(table)
        if !invocation.has(.quiet) {
            try context.print(Formatting.count(UInt64(records.count), "snapshot", "snapshots"))
        }
    }
}
