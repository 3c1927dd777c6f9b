// `bakstore cat`: prints a file of a snapshot, or a part of the repository as JSON.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension CommandSpec {
    static let cat = CommandSpec(
        name: .cat, summary: "print a file of a snapshot, or an object of the repository",
        operand: Operand("SNAPSHOT:PATH", .repository(.snapshot), 1...1),
        subcommands: [
            Subcommand(name: "config", summary: "the repository's configuration, without its secret"),
            Subcommand(
                name: "snapshot", summary: "a snapshot's record",
                operand: Operand("ID", .repository(.snapshot), 1...1)),
            Subcommand(name: "index", summary: "an index segment", operand: Operand("ID", .nothing, 1...1)),
            Subcommand(
                name: "pack", summary: "a pack's list of blobs",
                operand: Operand("ID", .nothing, 1...1)),
            Subcommand(
                name: "session", summary: "a session's record", operand: Operand("ID", .nothing, 1...1)),
            Subcommand(
                name: "chunk", summary: "the bytes of a chunk", operand: Operand("ID", .nothing, 1...1)),
        ],
        flags: [.skipDamaged], onlyReads: true,
        exitCodes: [
            (.incomplete, "the snapshot has only the beginning of the file"),
            (.damage, "the output is incomplete"),
        ],
        examples: [("bakstore cat latest:home/me/notes.txt", "prints a file as it was")],
        run: Commands.cat)
}

extension Commands {
    static func cat(_ invocation: Invocation, context: CommandContext) throws -> ExitCode {
        let subject = try CatSubject(invocation.operands)
        let access = try RepositoryAccess.open(invocation, context: context)
        let repository = access.repository
        switch subject {
        case .config: try printConfig(repository, context)
        case .snapshot(let name):
            let record = try context.findSnapshot(name, in: repository, invocation)
            try context.printPart { $0.members(of: record, context) }
        case .session(let name):
            let record = try repository.sessionRecord(try id(name))
            try context.printPart { json in
                json.member("id", record.id.description)
                json.member("time", context.json(record.time))
                json.member("hostname", record.host)
                json.member("program_version", record.program)
            }
        case .index(let name): try printIndex(try repository.indexSegment(try id(name)), context)
        case .pack(let name): try printPack(try id(name), repository, context)
        case .chunk(let name): try printChunk(try id(name), repository, context)
        case .file(let subject):
            let record = try context.findSnapshot(subject.snapshot, in: repository, invocation)
            let index = try BlobIndex(repository) { context.complain("\($0)") }
            let path = try subject.path(in: record, repository, index)
            let view = try SnapshotView(record, repository: repository, index: index)
            guard let file = try view.content(of: path) else {
                let isThere = try view.entry(at: path) != nil
                let error =
                    isThere
                    ? SnapshotPathError.notAFile(path, record.id)
                    : SnapshotPathError.notInSnapshot(path, record.id)
                throw error.explained(record, repository, index)
            }
            let name = Formatting.name(path.absolute)
            try printFile(file, name, context)
            if file.entry.missing.contains(.content) {
                context.complain(
                    "\(name): the snapshot has only the beginning of it. An earlier snapshot may have more")
                return .incomplete
            }
        }
        return .done
    }

    private static func printFile(
        _ file: SnapshotContent, _ name: String, _ context: CommandContext
    ) throws {
        do {
            var offset: UInt64 = 0
            while true {
                let bytes = try [UInt8](unsafeUninitializedCapacity: 256 << 10) { buffer, count in
                    count = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
                }
                if bytes.isEmpty { return }
                offset += UInt64(bytes.count)
                try context.write(bytes)
                try context.expectReader()
                if context.stop.isRequested {
                    throw CommandFailure(code: .interrupted, message: "interrupted before the file's end")
                }
            }
        } catch let error where error.isDamage {
            throw CommandFailure(
                code: .damage,
                message: "\(name): the output is incomplete: \(error)" + ErrorReport.damageAdvice)
        }
    }

    private static func id(_ text: String) throws -> ID128 {
        guard let id = ID128(text) else {
            throw UsageError("'\(text)' is not an id of 32 hexadecimal digits", command: .cat)
        }
        return id
    }

    /// Prints the configuration without the secret. With the secret, anyone could choose content and compute its id.
    private static func printConfig(_ repository: Repository, _ context: CommandContext) throws {
        let config = repository.config
        try context.printPart { json in
            json.member("id", config.id.description)
            json.member("version", 1)
            json.member("id_algorithm", config.idAlgorithm.description)
            json.member("encryption", config.encryption.description)
            json.member("compression", config.compression.description)
            json.member("pack_size", config.packBytes)
            json.member("inline_limit", config.inlineBytes)
            json.member("created", context.json(config.created))
            json.array("chunk_classes") { array in
                for chunkClass in config.classes {
                    array.elementObject { json in
                        json.member("class", chunkClass.number)
                        json.member("minimum", chunkClass.minimum)
                        json.member("average", chunkClass.average)
                        json.member("maximum", chunkClass.maximum)
                    }
                }
            }
        }
    }

    private static func printIndex(_ segment: IndexSegment, _ context: CommandContext) throws {
        try context.printPart { json in
            json.member("session", segment.session.description)
            json.array("packs") { array in
                for pack in segment.packs {
                    array.elementObject { json in
                        json.member("id", pack.id.description)
                        json.member("size", pack.size)
                        json.member("kind", pack.kind.noun)
                    }
                }
            }
            json.array("blobs") { array in
                for entry in segment.entries {
                    array.elementObject { json in
                        json.member("id", entry.id.description)
                        json.member("pack", segment.packs[Int(entry.pack)].id.description)
                        json.member("offset", entry.offset)
                        json.member("length", entry.storedLength)
                        json.member("uncompressed_length", entry.rawLength)
                    }
                }
            }
        }
    }

    private static func printPack(_ id: ID128, _ repository: Repository, _ context: CommandContext) throws {
        let (kind, blobs) = try repository.packFooter(id)
        try context.printPart { json in
            json.member("id", id.description)
            json.member("kind", kind.noun)
            json.array("blobs") { array in
                for blob in blobs {
                    array.elementObject { json in
                        json.member("id", blob.id.description)
                        json.member("offset", blob.offset)
                        json.member("length", blob.storedLength)
                        json.member("uncompressed_length", blob.rawLength)
                        json.member("codec", "\(blob.codec)")
                    }
                }
            }
        }
    }

    private static func printChunk(_ id: ID128, _ repository: Repository, _ context: CommandContext) throws {
        let index = try BlobIndex(repository) { context.complain("\($0)") }
        guard let (reference, kind) = index.blob(id) else { throw MissingBlobError(id: id) }
        try context.write(BlobReader(repository).copy(of: reference, kind: kind, index: index))
    }
}
