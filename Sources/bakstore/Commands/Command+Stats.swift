// `bakstore stats`: shows how much a snapshot or the repository holds, before and after deduplication and compression.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension CommandSpec {
    static let stats = CommandSpec(
        name: .stats, summary: "show how much a snapshot or the repository holds",
        operand: Operand("[SNAPSHOT]", .repository(.snapshot), 0...1), flags: [.skipDamaged], onlyReads: true,
        exitCodes: [(.damage, "damaged or missing data is not counted")],
        examples: [("bakstore stats", "shows the space taken and what deduplication saved")],
        run: Commands.stats)
}

extension Commands {
    static func stats(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let repository = try RepositoryAccess.open(invocation, context: context).repository
        let list = try repository.snapshotList()
        let (records, unreadable) = (list.readable, list.unreadable)
        let superseded = CommitRecord.supersededPartials(
            among: records, now: context.clock.now(), list.order)
        context.complain(about: unreadable, which: "")
        let chosen = try invocation.operands.first.map {
            try context.findSnapshot(String(decoding: $0, as: UTF8.self), in: list, invocation)
        }
        let index = try BlobIndex(repository) { context.complain("\($0)") }
        let reporter = context.progress(for: invocation)
        defer { reporter.finish() }
        func gather(_ snapshots: [CommitRecord]) throws -> RepositoryStats {
            try StatsRun(
                repository, index,
                onProgress: { done, total in
                    reporter.update {
                        var progress = Progress()
                        (progress.files, progress.totalFiles) = (UInt64(done), UInt64(total))
                        return progress
                    }
                }, stop: context.stop
            ).run(
                snapshots,
                countingFilesOf: Set(snapshots.map(\.id)).subtracting(chosen == nil ? superseded : []))
        }
        let all = try gather(records)
        // These are the same snapshots as those that `snapshots` lists.
        let output = StatsOutput(
            invocation, context, all, records.filter { !superseded.contains($0.id) }, superseded.count)
        if let chosen {
            // These numbers count all data of the snapshot, including data that other snapshots share.
            let own = records.count == 1 ? all : try gather([chosen])
            reporter.finish()
            if context.stop.isRequested { return .interrupted }
            try output.show(chosen, own)
        } else {
            reporter.finish()
            if context.stop.isRequested { return .interrupted }
            try output.show()
        }
        guard all.missing == 0, unreadable.isEmpty else {
            context.complain("damaged or missing data is not counted. Run: bakstore check")
            return .damage
        }
        return .done
    }
}

/// Prints statistics.
private struct StatsOutput {
    private let invocation: Invocation
    private let context: CommandContext
    private let all: RepositoryStats
    private let records: [CommitRecord]
    /// How many superseded partial snapshots are not listed. Their data is counted, but not their files.
    private let supersededCount: Int
    /// A table has a row for each of at most this many types, and one row for all others together.
    private static let typesShown = 12

    init(
        _ invocation: Invocation, _ context: CommandContext, _ all: RepositoryStats,
        _ records: [CommitRecord],
        _ supersededCount: Int
    ) {
        self.invocation = invocation
        self.context = context
        self.all = all
        self.records = records
        self.supersededCount = supersededCount
    }

    private static func ratio(_ part: UInt64, _ whole: UInt64) -> Double {
        whole > 0 ? Double(part) / Double(whole) : 0
    }

    // MARK: The repository

    func show() throws {
        if invocation.has(.json) { return try tellAll() }
        var table = TextTable([.left, .right])
        table.append(["snapshots", Formatting.count(UInt64(records.count))])
        if supersededCount > 0 {
            table.append([
                "interrupted, superseded by a later one", Formatting.count(UInt64(supersededCount)),
            ])
        }
        table.append(["files of all snapshots together", Formatting.count(all.files)])
        table.append(["their size", Formatting.size(all.bytes)])
        table.append(["unique content", Formatting.size(all.needed.rawBytes)])
        table.append(["stored after compression", Formatting.size(all.needed.storedBytes)])
        table.append(["of that, lists of files", Formatting.size(all.manifests.storedBytes)])
        table.append(["chunks and lists", Formatting.count(UInt64(all.needed.blobs))])
        table.append(["packs", Formatting.count(UInt64(all.packs))])
        table.append(["size of the packs", Formatting.size(all.packBytes)])
        table.append(["of that, not needed by any snapshot", Formatting.size(all.unusedBytes)])
        try print(table)
        if all.bytes > 0 {
            let share = Formatting.percent(all.packBytes, of: all.bytes)
            try context.print("stored: \(share) of the snapshots' total size")
        }
        try print(types: all)
        try printSnapshots()
    }

    private func print(_ table: TextTable) throws {
        try context.print(table)
    }

    private func print(types stats: RepositoryStats) throws {
        guard !stats.types.isEmpty else { return }
        var table = TextTable(
            [.left, .right, .right, .right, .right],
            header: ["Type", "Files", "Size", "Unique", "Stored"], dropping: [1, 3, 2])
        func row(_ name: String, _ types: some Sequence<TypeStats>) -> [String] {
            var sum = TypeStats(type: name)
            for type in types {
                sum.files.add(type.files)
                sum.bytes.add(type.bytes)
                sum.chunks.rawBytes.add(type.chunks.rawBytes)
                sum.chunks.storedBytes.add(type.chunks.storedBytes)
            }
            return [
                name, Formatting.count(sum.files), Formatting.size(sum.bytes),
                Formatting.size(sum.chunks.rawBytes), Formatting.size(sum.chunks.storedBytes),
            ]
        }
        for type in stats.types.prefix(Self.typesShown) {
            table.append(row(type.type.isEmpty ? "(none)" : "." + type.type, [type]))
        }
        let rest = stats.types.dropFirst(Self.typesShown)
        if !rest.isEmpty { table.append(row("\(rest.count) others", rest)) }
        try context.print("")
        try print(table)
    }

    private func printSnapshots() throws {
        guard !records.isEmpty else { return }
        var table = TextTable(
            [.fixed, .fixed, .left, .right, .right],
            header: ["Snapshot", "Time", "Device", "Size", "Alone"], dropping: [2, 1, 3])
        for record in records {
            table.append([
                record.id.short, context.text(record.time), Formatting.line(record.device),
                Formatting.size(record.counters.bytes),
                Formatting.size(all.alone[record.id]?.storedBytes ?? 0),
            ])
        }
        try context.print("")
        try print(table)
        try context.print("Alone: space freed by removing only this snapshot")
    }

    private func tellAll() throws {
        try context.tell(.stats) { json in
            json.member("snapshots_count", records.count)
            json.member("superseded_count", supersededCount)
            json.member("total_file_count", all.files)
            json.member("total_restore_size", all.bytes)
            json.member("total_blob_count", all.needed.blobs)
            json.member("total_uncompressed_size", all.needed.rawBytes)
            json.member("total_size", all.needed.storedBytes)
            json.member("manifest_size", all.manifests.storedBytes)
            json.member("pack_count", all.packs)
            json.member("pack_size", all.packBytes)
            json.member("unused_size", all.unusedBytes)
            json.member("compression_ratio", Self.ratio(all.needed.rawBytes, all.needed.storedBytes))
            json.members(ofTypes: all)
            json.array("snapshots") { array in
                for record in records {
                    let alone = all.alone[record.id] ?? BlobSizes()
                    array.elementObject { json in
                        json.member("id", record.id.description)
                        json.member("total_restore_size", record.counters.bytes)
                        json.member("alone_uncompressed_size", alone.rawBytes)
                        json.member("alone_size", alone.storedBytes)
                        json.member("alone_blob_count", alone.blobs)
                    }
                }
            }
        }
    }

    // MARK: One snapshot

    func show(_ record: CommitRecord, _ own: RepositoryStats) throws {
        let alone = all.alone[record.id] ?? BlobSizes()
        if invocation.has(.json) {
            return try context.tell(.stats) { json in
                json.members(of: record, context)
                json.member("total_restore_size", own.bytes)
                json.member("total_blob_count", own.needed.blobs)
                json.member("total_uncompressed_size", own.needed.rawBytes)
                json.member("total_size", own.needed.storedBytes)
                json.member("alone_uncompressed_size", alone.rawBytes)
                json.member("alone_size", alone.storedBytes)
                json.members(ofTypes: own)
            }
        }
        let counters = record.counters
        var table = TextTable([.left, .right])
        table.append(["snapshot", record.id.short])
        table.append(["files", Formatting.count(counters.files)])
        if record.isArchive {
            table.append(["of these, gone from the source", Formatting.count(counters.goneFiles)])
        }
        table.append(["folders", Formatting.count(counters.folders)])
        table.append(["links and special files", Formatting.count(counters.others)])
        table.append(["size of the files", Formatting.size(counters.bytes)])
        table.append(["unique content", Formatting.size(own.needed.rawBytes)])
        table.append(["stored after compression", Formatting.size(own.needed.storedBytes)])
        table.append(["of that, in no other snapshot", Formatting.size(alone.storedBytes)])
        table.append(["new content in this snapshot", Formatting.size(counters.addedBytes)])
        table.append(["stored for this snapshot", Formatting.size(counters.addedStoredBytes)])
        try print(table)
        try print(types: own)
    }
}

extension JSONWriter {
    fileprivate mutating func members(ofTypes stats: RepositoryStats) {
        array("types") { array in
            for type in stats.types {
                array.elementObject { json in
                    json.member("extension", type.type)
                    json.member("file_count", type.files)
                    json.member("total_restore_size", type.bytes)
                    json.member("total_uncompressed_size", type.chunks.rawBytes)
                    json.member("total_size", type.chunks.storedBytes)
                }
            }
        }
    }
}
