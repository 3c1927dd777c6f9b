// `bakstore key cache` and `bakstore key uncache`: let the next commands open an encrypted repository without its
// password, for a time.

import BakCodec
import BakCore
import BakPosix
import BakRepository

extension AnyFlag {
    /// The longest time to cache a key: a day.
    private static let longestCached: UInt64 = 24 * 3600

    static let cacheFor = Flag<UInt64>(
        "for",
        .parsed("DURATION", expected: "must be a time from 1s to 24h, such as 30m or 1h30m") { text in
            Duration.parse(text).flatMap { $0 <= longestCached ? $0 : nil }
        }, default: 15 * 60, help: "cache: for how long, at most 24h (default: 15m)")
}

extension Commands {
    /// Caches the key of an open repository.
    static func cacheKey(
        _ repository: Repository, _ invocation: Invocation, _ context: CommandContext
    ) throws {
        guard let key = repository.key else { return }
        let seconds = invocation[.cacheFor]
        let id = repository.config.id
        do {
            try context.keyCache.keep(key, of: id, seconds: UInt32(seconds))
        } catch {
            throw CommandFailure(
                code: .failed,
                message:
                    "the key cannot be cached, because \(error). Every command will need the password, as before"
            )
        }
        let until = Timestamp(seconds: context.clock.now().seconds + Int64(seconds))
        try context.confirm(
            Message(
                .keyCached,
                "cached the key until \(context.text(until)). Until then, your commands need no password"
            ) { json in
                json.member("id", id.description)
                json.member("until", context.json(until))
            })
    }

    /// Removes the cached key of a repository. It asks for no password, because it only takes access away.
    static func uncacheKey(_ invocation: Invocation, _ context: CommandContext) throws {
        let location = try RepositoryAccess.locate(invocation, context: context)
        let (_, id, method) = try RepositoryAccess.recognizedStore(location, context)
        try expectEncrypted(method, location)
        let wasCached = try context.keyCache.remove(id)
        try context.confirm(
            Message(
                .keyUncached,
                wasCached ? "removed the key from the cache" : "no key was cached for this repository"
            ) { json in
                json.member("id", id.description)
                json.member("was_cached", wasCached)
            })
    }

    /// Removes the cached key after a password was removed or changed. The key would still open the repository, but the
    /// user wants to exclude a person.
    static func endCaching(of id: ID128, _ context: CommandContext) {
        do {
            if try context.keyCache.remove(id) { context.remark("the key is no longer cached") }
        } catch {
            context.remark("the key is still cached, because \(error)")
        }
    }
}
