// RepositoryAccess: from what a user says to an open repository, in one place for all commands.

import BakCore
import BakEngine
import BakPosix
import BakRepository
import BakStorage

/// A repository that a command works on.
struct RepositoryAccess {
    /// The repository.
    let repository: Repository
    /// Where it lies.
    let location: RepositoryLocation

    /// Opens the repository that the invocation or the environment names, or the default one.
    ///
    /// - Parameter creatingDefault: whether the default repository is made when it is not there yet.
    static func open(
        _ invocation: Invocation, context: CommandContext, creatingDefault: Bool = false
    ) throws -> RepositoryAccess {
        let location = try locate(invocation, context: context)
        do {
            return try open(location, context: context)
        } catch RepositoryError.noRepository where creatingDefault && location.isDefault {
            _ = try create(
                location, options: Repository.Options(classes: defaultChunkClasses), context: context)
            context.remark("made the default repository \(location.path)")
            return try open(location, context: context)
        }
    }

    /// Which repository the user means.
    static func locate(_ invocation: Invocation, context: CommandContext) throws -> RepositoryLocation {
        try context.environment.repository(for: invocation) { path in
            try? SmallFile.read(path: String(decoding: path, as: UTF8.self), limit: 64 << 10)
        }
    }

    private static func open(_ location: RepositoryLocation, context: CommandContext) throws
        -> RepositoryAccess
    {
        let store: LocalStore
        do {
            store = try LocalStore(path: location.path)
        } catch let error where error.kind == .notFound {
            throw RepositoryError.noRepository(location: location.path)
        }
        let repository = try Repository.open(
            store, cache: cache(for: location, context), time: context.clock, random: SystemRandom())
        return RepositoryAccess(repository: repository, location: location)
    }

    /// Makes a repository in a new or empty folder, or one where this was begun before.
    static func create(
        _ location: RepositoryLocation, options: Repository.Options, context: CommandContext
    ) throws -> Repository {
        // A folder with something else in it would have that in its way, and hide the repository from its owner.
        if LocalStore.canBegin(inFolder: location.path) == false {
            if (try? LocalStore(path: location.path).size(of: Layout.config)) != nil {
                throw RepositoryError.alreadyExists(location: location.path)
            }
            throw CommandFailure(
                code: .failed, message: "\(location.path) is not empty; name a new or empty folder")
        }
        return try Repository.create(
            in: try LocalStore.create(path: location.path), options: options,
            cache: cache(for: location, context), time: context.clock, random: SystemRandom())
    }

    /// The index table lies beside the store's objects, unless the user wants it elsewhere.
    private static func cache(for location: RepositoryLocation, _ context: CommandContext) -> FolderCache {
        guard let folder = context.environment.cacheFolder else {
            return FolderCache(path: location.path + "/cache")
        }
        let name = (Machine.realPath(location.path) ?? location.path).split(separator: "/").joined(
            separator: "-")
        return FolderCache(path: String(decoding: folder, as: UTF8.self) + "/" + name)
    }
}
