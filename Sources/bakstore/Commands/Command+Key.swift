// `bakstore key`: lists and changes the passwords that open an encrypted repository.

import BakCodec
import BakCore
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let key = CommandSpec(
        name: .key, summary: "list and change the passwords of an encrypted repository",
        subcommands: [
            Subcommand(name: "list", summary: "list the key slots, one for each password"),
            Subcommand(name: "add", summary: "add another password"),
            Subcommand(name: "remove", summary: "remove a password", operand: Operand("ID", .nothing, 1...1)),
            Subcommand(name: "passwd", summary: "change the given password"),
            Subcommand(name: "cache", summary: "let your commands work without the password for a time"),
            Subcommand(name: "uncache", summary: "make your commands ask for the password again"),
        ],
        flags: [.newPasswordFile, .newPasswordCommand, .name, .cacheFor],
        exitCodes: [(.damage, "key slots are damaged")],
        notes: """
            A repository has one key, and a key slot for each password. A removed password no longer opens the repository.
            But a person who has read the key before, or kept a copy of the slot, can still open it. cache keeps the key
            in the kernel's memory, where every program of this user can read it until its time is over.
            """,
        examples: [
            ("bakstore key add --name laptop", "asks for another password that opens the repository"),
            ("bakstore key cache --for 1h", "asks for the password once for all commands of the next hour"),
        ],
        run: Commands.key)
}

extension AnyFlag {
    static let newPasswordFile = Flag<String?>(
        "new-password-file", .place("FILE"), help: "add, passwd: read the new password from a file")
    static let newPasswordCommand = Flag<String?>(
        "new-password-command", .command,
        help: "add, passwd: take the new password from a command's output")
    static let name = Flag<String?>(
        "name",
        .parsed("NAME", expected: "must be a NAME of at most \(KeySlotNote.nameBytes) bytes, not empty") {
            name in
            !name.isEmpty && name.utf8.count <= KeySlotNote.nameBytes
                && NameSlip.objection(to: Array(name.utf8)) == nil ? name : nil
        }, help: "add, passwd: the key slot's name (default: the user's name)")
}

extension Commands {
    static func key(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let operands = invocation.operands.map { String(decoding: $0, as: UTF8.self) }
        guard let action = KeyAction(operands) else {
            throw UsageError(
                "key takes one of: list, add, remove ID, passwd, cache, uncache", command: .key)
        }
        if case .uncache = action {
            try uncacheKey(invocation, context)
            return .done
        }
        let access = try RepositoryAccess.open(invocation, context: context)
        let repository = access.repository
        try expectEncrypted(repository.config.encryption, access.location)
        switch action {
        case .uncache: break
        case .cache: try cacheKey(repository, invocation, context)
        case .list: return try list(repository, invocation, context)
        case .add:
            let id = try add(repository, invocation, context)
            try tell(.keyAdded, id, "added key slot \(id.short)", context)
        case .remove(let name):
            let id = try find(name, repository)
            let isOurs = try repository.removeKeySlot(id)
            endCaching(of: repository.config.id, context)
            if !isOurs { context.remark(removedMeanwhile(id)) }
            let what = isOurs ? "removed key slot \(id.short)" : "key slot \(id.short) was removed before"
            try tell(.keyRemoved, id, what, context)
            context.remark(
                "a person who knows its password and kept a copy of the repository, or of this slot, can still read the "
                    + "files. To prevent that, copy the snapshots to a new repository")
        case .passwd:
            guard let old = try repository.keySlots().first(where: \.isCurrent)?.id else {
                throw CommandFailure(
                    code: .failed,
                    message:
                        "the password was not changed, because another program has removed its key slot")
            }
            let id = try add(repository, invocation, context)
            if try !repository.removeKeySlot(old) { context.remark(removedMeanwhile(old)) }
            endCaching(of: repository.config.id, context)
            try tell(.keyChanged, id, "changed the password; its key slot is \(id.short)", context)
        }
        return .done
    }

    static func expectEncrypted(_ method: SealMethod, _ location: RepositoryLocation) throws(CommandFailure) {
        guard method == .none else { return }
        throw CommandFailure(code: .failed, message: "\(location) is not encrypted, so it has no keys")
    }

    private static func removedMeanwhile(_ id: ID128) -> String {
        "another program has removed key slot \(id.short) meanwhile"
    }

    private static func add(
        _ repository: Repository, _ invocation: Invocation, _ context: CommandContext
    ) throws -> ID128 {
        let password = try context.newPassword(.addition, invocation)
        return try repository.addKeySlot(
            password: password, cost: try PasswordCost.calibrated(by: context.clock),
            note: KeySlotNote.here(invocation[.name], context))
    }

    private static func find(_ name: String, _ repository: Repository) throws -> ID128 {
        let matches = try repository.keySlots().map(\.id).filter { $0.description.hasPrefix(name) }
        guard !name.isEmpty, let match = matches.first else {
            throw CommandFailure(
                code: .failed, message: "there is no key slot \(name). List them with: bakstore key list")
        }
        guard matches.count == 1 else {
            throw CommandFailure(
                code: .failed, message: "\(name) matches several key slots. Give more digits")
        }
        return match
    }

    private static func tell(
        _ kind: Message.Kind, _ id: ID128, _ text: String, _ context: CommandContext
    ) throws {
        try context.confirm(Message(kind, text) { $0.member("id", id.description) })
    }

    private static func list(
        _ repository: Repository, _ invocation: Invocation, _ context: CommandContext
    ) throws -> ExitCode {
        let slots = try repository.keySlots()
        var table = TextTable(
            [.fixed, .left, .left, .fixed, .right],
            header: ["ID", "Name", "Made on", "Time", "Memory"], dropping: [4, 2, 3])
        for slot in slots {
            if invocation.has(.json) {
                try context.tell(.key) { json in
                    json.member("id", slot.id.description)
                    json.member("current", slot.isCurrent)
                    if slot.isBeingRemoved { json.member("being_removed", true) }
                    if let note = slot.note {
                        json.member("name", note.name)
                        json.member("hostname", note.host)
                        json.member("program_version", note.program)
                        json.member("created", context.json(note.created))
                    }
                    if let cost = slot.cost {
                        json.member("memory_bytes", UInt64(cost.memoryKiB) << 10)
                        json.member("passes", Int(cost.passes))
                        json.member("lanes", Int(cost.lanes))
                    }
                }
            } else if let note = slot.note, let cost = slot.cost {
                table.append([
                    (slot.isCurrent ? "*" : " ") + slot.id.short, Formatting.line(note.name),
                    Formatting.line(note.host), context.text(note.created),
                    Formatting.size(UInt64(cost.memoryKiB) << 10),
                ])
            }
        }
        if !invocation.has(.json) { try context.print(table) }
        for slot in slots where slot.isBeingRemoved {
            context.remark(
                "key slot \(slot.id.short) is being removed, or its removal was interrupted. Until it is removed, it opens "
                    + "the repository. To finish the removal, run: bakstore key remove \(slot.id.short)")
        }
        let faults = slots.compactMap(\.fault)
        for fault in faults { context.complain("\(fault)") }
        return faults.isEmpty ? .done : .damage
    }
}

/// What to do with keys and key slots.
private enum KeyAction {
    case list, add, passwd, cache, uncache
    case remove(String)

    init?(_ operands: [String]) {
        switch (operands.first, operands.count) {
        case ("list", 1): self = .list
        case ("add", 1): self = .add
        case ("passwd", 1): self = .passwd
        case ("cache", 1): self = .cache
        case ("uncache", 1): self = .uncache
        case ("remove", 2): self = .remove(operands[1])
        default: return nil
        }
    }
}

extension KeySlotNote {
    /// Returns a note for a new slot, with the host and time of this run.
    static func here(_ name: String?, _ context: CommandContext) -> KeySlotNote {
        KeySlotNote(
            name: name ?? Machine.userName.prefixOfBytes(nameBytes), host: Machine.hostName,
            program: programName, created: context.clock.now())
    }
}

extension String {
    /// Returns the longest prefix of at most `count` bytes.
    fileprivate func prefixOfBytes(_ count: Int) -> String {
        var text = self
        while text.utf8.count > count { text.removeLast() }
        return text
    }
}
