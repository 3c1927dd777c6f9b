// KnownRules: collects every set of rules that this machine knows for a repository, and finds how long the rules keep
// each snapshot.
//
// Always holds: a snapshot counts as kept for good only if each set that decides about it keeps it for good. Rules on
// the command line join the rules of its profile, as in `forget`; other profiles decide by their own rules. If it is
// unknown whether a set decides about a snapshot, the set is taken to decide about it.

import BakCore
import BakFormat
import BakPosix
import BakRepository
import BakStorage

/// The rules for one repository.
struct KnownRules {
    /// How long each complete snapshot stays.
    private(set) var staying: [ID128: Staying] = [:]
    /// The origin of each set of rules, such as `profile 'phone'`.
    private(set) var origins: [String] = []
    /// Snapshots that cannot be read, so their content is unknown.
    private(set) var unreadable: [UnreadableSnapshot] = []
    /// Why the profiles cannot be read; nil if they can.
    private(set) var complaint: String?

    init(_ invocation: Invocation, _ access: RepositoryAccess, _ context: CommandContext) throws {
        let list = try access.repository.snapshotList()
        let all = list.readable
        unreadable = list.unreadable
        var sources: [(origin: String, words: Invocation)] = []
        if invocation.hasRules {
            let profile = invocation.profile.map { "profile '\($0.name)'" }
            let isGiven = Flags.rules.contains { invocation.has($0) && !invocation.profileFlags.contains($0) }
            let origin = [
                isGiven ? "this command line" : nil, isGiven && !invocation.takesRules ? nil : profile,
            ]
            sources.append((origin.compactMap(\.self).joined(separator: " and "), invocation))
        }
        do throws(UsageError) {
            sources += try Self.otherProfiles(invocation, access, context)
        } catch {
            complaint = error.message
        }
        for (origin, words) in sources {
            var retention = Retention(
                try RetentionPolicy(words, among: list, context), now: context.clock.now(),
                localOffset: context.localOffset)
            retention.grouping = words[.groupBy]
            for part in try ProfileScope(words, context)?.reach(among: all) ?? [all] {
                staying.merge(retention.forecast(part, list.order)) { $0.orShorter($1) }
            }
            origins.append(origin)
        }
    }

    /// The other profiles that have rules for this repository. `words` is the invocation of a prune with the profile.
    private static func otherProfiles(
        _ invocation: Invocation, _ access: RepositoryAccess, _ context: CommandContext
    ) throws(UsageError) -> [(origin: String, words: Invocation)] {
        let known = KnownRepositories(folder: context.environment.stateFolder)
        return try context.profiles().filter { $0.name != invocation.profile?.name }.compactMap { profile in
            // A profile that names no repository may be used with any.
            if let place = profile.repository.flatMap(StoreSchemes.location),
                !mayBe(access, place, known)
            {
                return nil
            }
            let words = Invocation(command: .prune).completed(by: profile)
            return words.hasRules ? ("profile '\(profile.name)'", words) : nil
        }
    }

    /// False if `place` is certainly that of another repository. One folder may have several paths, such as a bind
    /// mount, and its disk may be away. So the id decides: the id of the repository at the path, or, if none is there,
    /// the id of the repository last used there.
    private static func mayBe(
        _ access: RepositoryAccess, _ place: StoreLocation, _ known: KnownRepositories
    ) -> Bool {
        let id = access.repository.config.id
        if let store = try? StoreSchemes.open(place), let there = try? Repository.identity(of: store).id {
            return there == id
        }
        // If this machine never used a repository at the path, that repository does not exist yet, so it is another
        // one.
        return place.folder.flatMap(known.entry(at:))?.id == id.description
    }
}

extension Invocation {
    /// True if some of the rules come from the profile.
    fileprivate var takesRules: Bool { Flags.rules.contains(where: profileFlags.contains) }
}
