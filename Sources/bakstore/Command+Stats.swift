// `bakstore stats`: how much a snapshot or the repository holds.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension Commands {
    static func stats(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        if let operand = invocation.operands.first {
            let record = try repository.findSnapshot(String(decoding: operand, as: UTF8.self))
            try printStats(of: record, invocation, context)
        } else {
            try printStats(of: repository, invocation, context)
        }
        return .done
    }

    private static func printStats(
        of record: CommitRecord, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "stats")
                json.members(of: record, context)
            }
        }
        let counters = record.counters
        var table = TextTable([.left, .right])
        table.append(["snapshot", record.id.short])
        table.append(["files", Formatting.count(counters.files)])
        table.append(["folders", Formatting.count(counters.folders)])
        table.append(["links and special files", Formatting.count(counters.others)])
        table.append(["size of the files", Formatting.size(counters.bytes)])
        table.append(["new content it brought", Formatting.size(counters.addedBytes)])
        table.append(["stored for it", Formatting.size(counters.addedStoredBytes)])
        for line in table.lines() { try context.print(line) }
    }

    private static func printStats(
        of repository: Repository, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        let records = try repository.snapshots().readable
        let index = try BlobIndex(repository)
        var rawBytes: UInt64 = 0
        var storedBytes: UInt64 = 0
        try index.forEach { entry, _ in
            rawBytes += UInt64(entry.rawLength)
            storedBytes += UInt64(entry.storedLength)
        }
        let packBytes = index.packs.reduce(0) { $0 + $1.size }
        let sourceBytes = records.reduce(0) { $0 &+ $1.counters.bytes }
        func ratio(_ part: UInt64, _ whole: UInt64) -> Double { whole > 0 ? Double(part) / Double(whole) : 0 }
        if invocation.has(.json) {
            return try context.printJSON { json in
                json.member("message_type", "stats")
                json.member("snapshots_count", records.count)
                json.member("total_restore_size", sourceBytes)
                json.member("total_blob_count", index.count)
                json.member("total_uncompressed_size", rawBytes)
                json.member("total_size", storedBytes)
                json.member("pack_count", index.packs.count)
                json.member("pack_size", packBytes)
                json.member("compression_ratio", ratio(rawBytes, storedBytes))
            }
        }
        var table = TextTable([.left, .right])
        table.append(["snapshots", Formatting.count(UInt64(records.count))])
        table.append(["files of all snapshots together", Formatting.size(sourceBytes)])
        table.append(["different content among them", Formatting.size(rawBytes)])
        table.append(["stored after compression", Formatting.size(storedBytes)])
        table.append(["packs", Formatting.count(UInt64(index.packs.count))])
        table.append(["size of the packs", Formatting.size(packBytes)])
        table.append(["blobs", Formatting.count(UInt64(index.count))])
        for line in table.lines() { try context.print(line) }
        if sourceBytes > 0 {
            try context.print(
                "stored: \(Formatting.percent(packBytes, of: sourceBytes)) of what the snapshots hold")
        }
    }
}
