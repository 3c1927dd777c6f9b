// RepositoryAccess: finds, opens and makes the repository that the user means, for all commands.

import BakFormat
import BakCodec
import BakCore
import BakEngine
import BakPosix
import BakRepository
import BakStorage

extension RepositoryLocation {
    /// True if the repository should be a folder, but its path leads to another item, such as a file.
    var isOtherThanFolder: Bool { folder.flatMap(Machine.isFolder) == false }
}

/// A repository that a command works on.
struct RepositoryAccess {
    /// The repository.
    let repository: Repository
    /// The place of the repository.
    let location: RepositoryLocation

    /// What `open` does if the default repository does not exist yet.
    enum Fallback {
        case fail
        /// Make the default repository and say so.
        case create
        /// Use an empty repository that keeps nothing, and say so.
        case useNullStore
    }

    /// Opens the repository that the invocation or the environment names, or the default one. If `writesNothing`, its
    /// cache on this machine stays unchanged, too.
    static func open(
        _ invocation: Invocation, context: CommandContext, withoutDefault fallback: Fallback = .fail,
        writesNothing: Bool = false
    ) throws -> RepositoryAccess {
        let location = try locate(invocation, context: context)
        do {
            return try open(
                location, .repository, invocation, context, writesNothing: writesNothing)
        } catch RepositoryError.noRepository where location.isDefault && fallback != .fail {
            if let absence = context.absence(of: location) { throw absence }
            // A user who gives a password does not expect an unencrypted repository.
            guard context.passwordSource(.repository, invocation) == nil else {
                throw CommandFailure(
                    code: .noRepository,
                    message:
                        "a password is given, but there is no repository at \(location). Make an encrypted one "
                        + "with: bakstore init --encryption auto")
            }
            let options = Repository.Options(classes: defaultChunkClasses)
            let repository: Repository
            if fallback == .create {
                repository = try create(location, options: options, context: context)
                context.remark("made the default repository \(location), not encrypted")
            } else {
                repository = try Repository.onNullStore(
                    options, location: location.place, time: context.clock, random: SystemRandom())
                context.remark("there is no repository yet. A backup would make \(location)")
            }
            return RepositoryAccess(repository: repository, location: location)
        }
    }

    /// Opens the repository that `--from-repo` names.
    static func openSource(_ invocation: Invocation, context: CommandContext) throws -> RepositoryAccess {
        let path = invocation.bytes(.fromRepo) ?? []
        guard let place = StoreSchemes.location(path) else {
            throw UsageError("--from-repo: \(PlaceName.notText)")
        }
        do {
            return try open(
                RepositoryLocation(place: place, isDefault: false), .source, invocation, context)
        } catch RepositoryError.noRepository(let location) {
            throw CommandFailure(
                code: .noRepository,
                message:
                    "there is no repository at \(location) to copy from. Is its disk connected, and is the path right?"
            )
        } catch {
            let report = ErrorReport(
                error, SuggestedCommands([(.repo, path)], isASCII: context.terminal.isASCII))
            throw CommandFailure(code: report.code, message: report.message)
        }
    }

    /// Finds the place of the repository that the user means.
    static func locate(_ invocation: Invocation, context: CommandContext) throws -> RepositoryLocation {
        try context.environment.repository(for: invocation) { path throws(SourceError) in
            try SmallFile.read(path: path, limit: 64 << 10, stop: context.stop)
        }
    }

    /// The repository's folder. No backup stores it, and nothing in it is safe to delete.
    var ownFolder: OwnFolder? {
        location.folder.flatMap { Machine.realPath(Array($0.utf8)) }.map {
            OwnFolder(path: Array($0.dropFirst()), stat: Machine.status($0)) { [store = repository.store] in
                (try? store.readAtOnce(ObjectNames.config, upTo: 1 << 16)) ?? []
            }
        }
    }

    /// Removes unpublished files that crashed runs left in the repository's folder. Ignores failures, such as those of
    /// a read-only store, because the run itself will report them.
    func removeStaleTemporaries() { _ = try? repository.removeLeavings() }

    /// Opens the store at a location.
    static func store(_ location: RepositoryLocation) throws -> any ObjectStore {
        do {
            return try StoreSchemes.open(location.place)
        } catch {
            let isAbsent = error.kind == .notFound || location.isOtherThanFolder
            throw isAbsent ? RepositoryError.noRepository(location: location.place) : error
        }
    }

    private static func open(
        _ location: RepositoryLocation, _ purpose: PasswordPurpose, _ invocation: Invocation,
        _ context: CommandContext, writesNothing: Bool = false
    ) throws -> RepositoryAccess {
        do {
            let (store, id, method) = try recognizedStore(location, context)
            // Check the folders before anything is changed. A command that only reads skips this check, because it may
            // still find the objects that it needs.
            if purpose == .repository, !invocation.command.spec.onlyReads {
                try store.expectFolders(ObjectNames.folders)
            }
            let isEncrypted = method != .none
            if isEncrypted {
                Machine.forbidCoreDumps()
            } else if context.passwordSource(purpose, invocation) != nil {
                // The user expects an encrypted repository. An attacker may have put this plain one in its place.
                throw RepositoryError.notEncrypted(location: location.place)
            }
            let repository = try Repository.open(
                store,
                cache: try cache(
                    of: id, location, isEncrypted: isEncrypted, context, isReadOnly: writesNothing),
                time: context.clock, random: SystemRandom(),
                key: isEncrypted ? context.cachedKey(purpose, of: id, invocation) : nil
            ) { try context.password(purpose, of: location.place, invocation) }
            if !writesNothing {
                try context.expectNoOlderState(repository, at: location, invocation)
                context.remember(repository.config.id, at: location)
            }
            return RepositoryAccess(repository: repository, location: location)
        } catch let error as StoreError {
            throw CommandFailure(
                code: .failed,
                message:
                    "cannot open the repository \(location): \(error)"
                    + (error.kind == .obstructedFolder ? "" : ". Check its permissions and its disk"))
        } catch let error as CorruptionError where error.isRefused {
            throw CommandFailure(code: .failed, message: "cannot open the repository \(location): \(error)")
        } catch let error as CorruptionError where !error.needsNewerProgram {
            throw CommandFailure(
                code: .damage,
                message:
                    "\(location): \(error). Nothing can be read without this file. Put back a copy of it"
            )
        }
    }

    /// Opens the store at a location, and returns it with its repository's id and seal method. If there is no
    /// repository, or only a repository of another program, throws an error that explains this to the user.
    static func recognizedStore(
        _ location: RepositoryLocation, _ context: CommandContext
    ) throws -> (store: any ObjectStore, id: ID128, method: SealMethod) {
        do {
            let store = try store(location)
            let (id, method) = try Repository.identity(of: store)
            return (store, id, method)
        } catch {
            throw failure(error, at: location, context) ?? error
        }
    }

    /// Makes a repository in a new or empty folder, or completes a repository whose making was interrupted. `isSure` is
    /// true if the user knows that another repository may have been there.
    static func create(
        _ location: RepositoryLocation, options: Repository.Options, context: CommandContext,
        isSure: Bool = false, isShared: Bool = false
    ) throws -> Repository {
        if let refusal = location.folder.flatMap(ForeignRepository.refusal) { throw refusal }
        if location.isOtherThanFolder {
            throw CommandFailure(
                code: .failed, message: "\(location) is not a folder. Name a new or empty folder")
        }
        // Refuse a folder that holds other files: they could have the names of objects, and their owner might not
        // notice the repository among them.
        let scheme = StoreSchemes.scheme(of: location.place)
        if scheme.canBegin(location.place) == false {
            if (try? scheme.open(location.place).size(of: ObjectNames.config)) != nil {
                _ = try recognizedStore(location, context)
                throw RepositoryError.alreadyExists(location: location.place)
            }
            throw CommandFailure(
                code: .failed, message: "\(location) is not empty. Name a new or empty folder")
        }
        if let folder = location.folder {
            try expectNone(around: folder)
            if !isSure { try expectNothingHidden(folder, context) }
        }
        var options = options
        let id = ID128(from: SystemRandom())
        options.id = id
        let cache = try cache(of: id, location, isEncrypted: options.encryption != nil, context)
        let repository = try Repository.create(
            in: try scheme.create(location.place, isShared: isShared), options: options, cache: cache,
            time: context.clock, random: SystemRandom())
        repository.store.renewReserve()
        context.remember(repository.config.id, at: location)
        return repository
    }

    /// Throws if a new repository could hide an earlier one whose disk is not connected, unless the user agrees.
    private static func expectNothingHidden(_ folder: String, _ context: CommandContext) throws {
        let known = KnownRepositories(folder: context.environment.stateFolder)
        let here = known.entry(at: folder).flatMap {
            KnownRepositories.mayBeHidden($0, by: folder) ? $0 : nil
        }
        guard let entry = here ?? known.entry(onDiskAwayFrom: folder) else { return }
        let place = here == nil ? entry.path : folder
        let absence =
            "the repository \(entry.id.prefix(8)) was at \(place), but nothing is there now. Is its disk connected?"
        let question = "\(Formatting.line(absence)) Make a new one there anyway?"
        guard !context.isJSON,
            let agrees = try context.agrees(to: question)
        else {
            throw CommandFailure(
                code: .failed, message: "\(absence) To make a new one there anyway, add --yes")
        }
        guard agrees else {
            throw CommandFailure(code: .failed, message: "no repository was made")
        }
    }

    /// Caches that were not used for this long are removed.
    private static let unusedCacheSeconds: Int64 = 180 * 24 * 3600

    /// Opens the cache, which holds the index table, in the user's cache folder. If the user has no such folder, the
    /// cache lies in the repository's folder. An encrypted repository then has no cache: in its folder, a cache would
    /// reveal what encryption hides, and an attacker with access to the store could change the cache.
    private static func cache(
        of id: ID128, _ location: RepositoryLocation, isEncrypted: Bool, _ context: CommandContext,
        isReadOnly: Bool = false
    ) throws(UsageError) -> any LocalCache {
        guard let folder = context.environment.cacheFolder else {
            guard !isEncrypted, let folder = location.folder else { return NullCache() }
            return FolderCache(path: folder + "/cache", isReadOnly: isReadOnly)
        }
        let base = String(decoding: folder, as: UTF8.self)
        let cache = FolderCache(path: "\(base)/\(id)", isReadOnly: isReadOnly)
        if cache.isDistrusted {
            context.complain(
                "the cache \(base)/\(id) is not used, because other users may write to it. Delete it")
        }
        guard cache.isUsable || cache.isDistrusted || isReadOnly || !context.environment.isCacheFolderNamed
        else {
            throw UsageError(
                "BAKSTORE_CACHE_DIR: cannot make or use a folder in \(Formatting.name(folder))")
        }
        if !isReadOnly {
            FolderCache.sweep(in: base, unusedForSeconds: unusedCacheSeconds, CacheFiles.isOne)
        }
        return cache
    }
}
