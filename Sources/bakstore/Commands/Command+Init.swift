// `bakstore init`: makes a repository.

import BakCodec
import BakEngine
import BakFormat
import BakPosix
import BakRepository

extension CommandSpec {
    static let initialize = CommandSpec(
        name: .initialize, summary: "make a new, empty repository",
        flags: Flags.joined(
            [
                .shared, .encryption, .id, .packSize, .compression, .fromRepo, .copyChunkerParams,
                .yes.described("make it even where another repository was before"),
            ], Flags.sourcePassword),
        notes: """
            Without --repo, init makes the default repository. The first backup also makes it by itself. With --encryption,
            the files cannot be read without the password. Keep it in a safe place.
            """,
        examples: [("bakstore init --repo /mnt/usb/backup", "makes a repository on a USB disk")],
        run: Commands.initialize)
}

extension AnyFlag {
    static let shared = Flag<Bool>(
        "shared", help: "let the members of the folder's group use the repository, too")
    static let encryption = Flag<SealMethod>(
        "encryption",
        .choice(["auto"] + SealMethod.allCases.map(\.description)) { SealMethod($0) ?? .fastest },
        default: .none,
        help: "encrypt with a password; auto takes the cipher that suits the processor (default: none)")
    static let id = Flag<IDAlgorithm?>(
        "id", .choice(["xxh3", "sha256"]) { IDAlgorithm($0) },
        help: "how content is named: xxh3, or sha256 if strangers can add files (default with --shared)")
    static let packSize = Flag<UInt64?>(
        "pack-size", .size(1 << 20...1 << 30), help: "size of a stored object, 1M to 1G (default: 32M)")
    static let copyChunkerParams = Flag<Bool>(
        "copy-chunker-params",
        help: "split and name content as --from-repo does, so that copy need not read files again")
}

extension Commands {
    static func initialize(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let location = try RepositoryAccess.locate(invocation, context: context)
        var options = try options(invocation, context)
        if let algorithm = invocation[.id] {
            options.idAlgorithm = algorithm
        } else if invocation.has(.shared), !invocation.has(.copyChunkerParams) {
            // All members put files into the repository and can read its secret. With xxh3, one member could make a
            // file that is stored in the place of another's.
            options.idAlgorithm = .sha256
        }
        if let size = invocation[.packSize] { options.packBytes = Int(size) }
        if let compression = invocation[.compression] { options.compression = compression }
        options.encryption = try encryption(invocation, context)
        if options.encryption != nil { options.idAlgorithm = .sha256 }
        let repository = try RepositoryAccess.create(
            location, options: options, context: context, isSure: invocation.has(.yes),
            isShared: invocation.has(.shared))
        if invocation.has(.json) {
            try context.tell(.initialized) { json in
                json.member("id", repository.config.id.description)
                json.member("repository", location.description)
                json.member("encryption", repository.config.encryption.description)
            }
        } else if !invocation.has(.quiet) {
            let method = repository.config.encryption
            try context.print(
                "made repository \(repository.config.id.short) in \(Formatting.line(location.description)), "
                    + (invocation.has(.shared)
                        ? "shared with the group \(repository.store.groupName), " : "")
                    + (method == .none ? "not encrypted" : "encrypted with \(method)"))
        }
        switch repository.store.nameGuard {
        case .always: break
        case .locks:
            context.remark(
                "on this disk, only locks keep several programs apart. If a program is killed at a bad moment, another "
                    + "may ask you to run: bakstore prune --alone")
        case .never:
            context.remark(
                "this disk cannot keep several programs apart. Backups are safe. Prune only when no other program uses "
                    + "the repository, with: bakstore prune --alone")
        }
        if invocation.has(.shared), repository.config.idAlgorithm == .xxh3 {
            context.remark(
                "with --id xxh3, a person who may read this repository can make a file that takes the place of one of "
                    + "yours. If you do not trust everyone who shares it, use --id sha256")
        }
        context.remark(
            repository.config.encryption == .none
                ? "anyone who has its disk can read it. To make one with a password in another folder, run: "
                    + "bakstore init --encryption auto --repo FOLDER"
                : "without the password the files cannot be read, not even by you. Keep it in a safe place"
        )
        return .done
    }

    /// Returns how to encrypt the repository; nil if it is not encrypted.
    private static func encryption(
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> Repository.Encryption? {
        let method = invocation[.encryption]
        guard method != .none else {
            guard context.passwordSource(.repository, invocation) == nil else {
                throw UsageError(
                    "a password is given, but --encryption auto is not. Add it to use the password",
                    command: .initialize)
            }
            return nil
        }
        guard invocation[.id] != .xxh3 else {
            throw UsageError(
                "--id xxh3 and --encryption cannot be combined: an encrypted repository names content by sha256",
                command: .initialize)
        }
        Machine.forbidCoreDumps()
        return Repository.Encryption(
            method: method, password: try context.newPassword(.repository, invocation),
            cost: try PasswordCost.calibrated(by: context.clock), note: KeySlotNote.here(nil, context))
    }

    /// Returns the default options. With `--copy-chunker-params`, returns options that make the repository like
    /// `--from-repo`.
    private static func options(
        _ invocation: Invocation, _ context: CommandContext
    ) throws -> Repository.Options {
        guard invocation.has(.copyChunkerParams) == invocation.has(.fromRepo) else {
            throw UsageError(
                "--copy-chunker-params and --from-repo must be given together", command: .initialize)
        }
        guard invocation.has(.fromRepo) else { return Repository.Options(classes: defaultChunkClasses) }
        guard !invocation.has(.id) else {
            throw UsageError("--id and --copy-chunker-params cannot be combined", command: .initialize)
        }
        let source = try RepositoryAccess.openSource(invocation, context: context).repository
        let isEncrypted = invocation[.encryption] != .none
        guard !isEncrypted || source.config.idAlgorithm == .sha256 else {
            throw UsageError(
                "an encrypted repository names content by sha256, but --from-repo by xxh3. Leave out --copy-chunker-params",
                command: .initialize)
        }
        guard isEncrypted || source.config.encryption == .none else {
            throw UsageError(
                "a repository that is not encrypted would reveal the secret of --from-repo. Leave out --copy-chunker-params",
                command: .initialize)
        }
        return Repository.Options(like: source.config)
    }
}
