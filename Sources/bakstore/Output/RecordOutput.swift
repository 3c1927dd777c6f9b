// RecordOutput: prints snapshots and entries in tables and JSON, in the same way for every command.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension CommandContext {
    /// Returns a time as tables show it: local, without fractions.
    func text(_ time: Timestamp) -> String {
        guard CivilTime.calendar.contains(time.seconds) else { return "@\(time.seconds)" }
        return CivilTime(time, offsetSeconds: localOffset(time)).text
    }

    /// Returns a time as JSON shows it: RFC 3339 with nanoseconds.
    func json(_ time: Timestamp) -> String {
        guard CivilTime.calendar.contains(time.seconds) else { return "@\(time.seconds)" }
        return CivilTime.rfc3339(time, offsetSeconds: localOffset(time))
    }
}

extension CommandContext {
    /// Finds the snapshot that the user names. If the name begins with `latest`, reports the snapshots that cannot be
    /// read, because one of them may be the latest. Also reports if the found snapshot may lack files.
    func findSnapshot(
        _ name: String, in repository: Repository, _ invocation: Invocation
    ) throws -> CommitRecord {
        let list = try repository.snapshotList()
        let record = try findSnapshot(name, in: list, invocation)
        if name.hasPrefix("latest") { complain(about: list.unreadable) }
        // A restore reports that it may bring back too little even with `--quiet`.
        if let doubt = doubt(about: record, in: list) {
            if invocation.command == .restore { complain(doubt) } else { remark(doubt) }
        }
        noteMissingItems(of: record)
        return record
    }

    /// Finds a snapshot for commands that report by themselves which snapshots cannot be read.
    func findSnapshot(
        _ name: String, in list: SnapshotList, _ invocation: Invocation
    ) throws -> CommitRecord {
        let record = try list.find(name, skippingDamaged: invocation.has(.skipDamaged))
        if name.hasPrefix("latest") { noteMisdated(list.order, first: record) }
        return record
    }

    /// Names snapshots that cannot be read. `consequence` says what follows from that.
    func complain(about unreadable: [UnreadableSnapshot], which consequence: String = " and is left out") {
        for snapshot in unreadable {
            complain(
                snapshot.isDoubtful
                    ? "snapshot \(snapshot.id.short) is left out: \(snapshot.reason). \(snapshot.advice)"
                    : "snapshot \(snapshot.id.short) cannot be read\(consequence): \(snapshot.error)")
        }
    }

    /// Complains and returns true if the invocation's filter takes none of the snapshots.
    func complain(aboutFilterOf invocation: Invocation, among all: [CommitRecord]) -> Bool {
        guard let complaint = SnapshotFilter(invocation).complaint(among: all) else { return false }
        complain(complaint)
        return true
    }

    /// Reports, in one line, snapshots whose dates cannot be right. The line names `record` if it is one of them, or
    /// else the last one.
    func noteMisdated(_ order: SnapshotOrder, first record: CommitRecord? = nil) {
        guard let last = order.misdated.first(where: { $0.snapshot.id == record?.id }) ?? order.misdated.last
        else { return }
        let more = order.misdated.count - 1
        let others = more > 0 ? " (and \(Formatting.count(UInt64(more), "other", "others")))" : ""
        let instead = last.effective.map { ", but other snapshots show that it was made about \(text($0))" }
        remark(
            "snapshot \(last.snapshot.id.short) is dated \(text(last.snapshot.time))\(instead ?? ", which is in the future")\(others). A clock was wrong. Snapshots are ordered as they were made, whatever their dates"
        )
    }
}

extension [UInt8] {
    /// A manifest's path as users write it, with the leading slash.
    var absolute: [UInt8] { [UInt8(ascii: "/")] + self }
}

extension CommandContext {
    /// Reports if a snapshot that a command uses lacks items, because the backup could not read them.
    private func noteMissingItems(of record: CommitRecord) {
        guard record.counters.failedItems > 0 else { return }
        let items = Formatting.count(record.counters.failedItems, "item is", "items are")
        remark(
            "\(items) missing from snapshot \(record.id.short), or incomplete. Earlier snapshots may have more of them. List "
                + "them with: bakstore snapshots")
    }

    /// Returns a warning about a snapshot that may lack files; nil for any other.
    func doubt(about record: CommitRecord, in list: SnapshotList) -> String? {
        let standing = SnapshotDoubts(among: list.readable).standing
        guard standing.contains(record.id) else { return nil }
        let paths = record.doubtfulPaths.map { Formatting.name(record.paths[$0].absolute) }
        let group = SnapshotGroup(of: record)
        let earlier = list.readable.last { other in
            other.isComplete && !standing.contains(other.id) && SnapshotGroup(of: other) == group
                && list.order.precedes(other, record)
        }
        let line =
            "snapshot \(record.id.short) is in doubt: most files of \(paths.joined(separator: ", ")) were missing when "
            + "it was made. "
        return line
            + (earlier.map { "Snapshot \($0.id.short) of \(text($0.time)) has the files from before" }
                ?? "Earlier snapshots may have them. List them with: bakstore snapshots")
    }
}

extension JSONWriter {
    /// Adds a snapshot's members, under restic's names if restic has the member.
    mutating func members(of record: CommitRecord, _ context: CommandContext) {
        member("id", record.id.description)
        member("short_id", record.id.short)
        member("time", context.json(record.time))
        member("end_time", context.json(record.endTime))
        member("hostname", record.host)
        member("device", record.device)
        member("username", record.user)
        member("program_version", record.program)
        member("paths", bytes: record.paths.map(\.absolute))
        array("tags") { for tag in record.tags { $0.element(tag) } }
        if let parent = record.parent { member("parent", parent.description) }
        member("tree", record.root.id.description)
        member("is_complete", record.isComplete)
        if record.isArchive { member("archive", true) }
        if !record.doubtfulPaths.isEmpty {
            member("doubtful_paths", bytes: record.doubtfulPaths.map { record.paths[$0].absolute })
        }
        object("summary") { json in
            let counters = record.counters
            json.member("files_new", counters.newFiles)
            json.member("files_changed", counters.changedFiles)
            json.member("files_unmodified", counters.unmodifiedFiles)
            json.member("files_gone", counters.newlyGoneFiles)
            json.member("files_gone_kept", counters.goneFiles)
            json.member("data_added", counters.addedBytes)
            json.member("data_added_packed", counters.addedStoredBytes)
            json.member("total_files_processed", counters.files)
            json.member("total_bytes_processed", counters.bytes)
            json.member("items_failed", counters.failedItems)
        }
    }

    /// Adds an entry's members, under restic's names if restic has the member.
    mutating func members(of entry: ManifestEntry, _ context: CommandContext) {
        let name = entry.path.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
        member("name", bytes: name)
        member("type", entry.stat.type.resticName)
        member("path", bytes: entry.path.absolute)
        member("uid", entry.stat.uid)
        member("gid", entry.stat.gid)
        member("user", bytes: entry.attributes.userName)
        member("group", bytes: entry.attributes.groupName)
        if entry.stat.type == .regular { member("size", entry.stat.size) }
        member("mode", entry.stat.mode)
        member("permissions", Formatting.permissions(entry.stat.type, mode: entry.stat.mode))
        member("mtime", context.json(entry.stat.mtime))
        member("inode", entry.stat.inode)
        if entry.stat.type == .symlink { member("linktarget", bytes: entry.attributes.linkTarget) }
        if entry.changedWhileRead { member("changed_while_read", true) }
        if let goneSince = entry.goneSince { member("gone", context.json(goneSince)) }
        if entry.missing.contains(.content) { member("content_is_incomplete", true) }
        if entry.missing.contains(.attributes) { member("attributes_are_incomplete", true) }
    }
}

extension FileType {
    /// Restic's name for the type.
    var resticName: String {
        switch self {
        case .regular: "file"
        case .directory: "dir"
        case .symlink: "symlink"
        case .fifo: "fifo"
        case .socket: "socket"
        case .characterDevice: "chardev"
        case .blockDevice: "dev"
        }
    }
}
