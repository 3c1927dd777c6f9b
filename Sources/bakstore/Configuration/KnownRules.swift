// KnownRules: every set of rules that this machine knows of for a repository, and how long its snapshots stay by them.
//
// Always holds: a snapshot is said to stay for good only if each set that decides about it keeps it for good. What is
// given on the command line joins the rules of its profile, as in `forget`; other profiles decide by their own. Where
// it is not known whether a set decides about a snapshot, it does.

import BakCore
import BakFormat
import BakPosix
import BakRepository
import BakStorage

/// The rules for one repository.
struct KnownRules {
    /// How long each complete snapshot stays.
    private(set) var staying: [ID128: Staying] = [:]
    /// Whose rules there are, such as `profile 'phone'`.
    private(set) var origins: [String] = []
    /// Snapshots that cannot be read, so that nothing is known to be in them.
    private(set) var unreadable: [UnreadableSnapshot] = []
    /// Why the profiles are not known, when they cannot be read.
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

    /// The other profiles that have rules for this repository, as the words of a prune with each.
    private static func otherProfiles(
        _ invocation: Invocation, _ access: RepositoryAccess, _ context: CommandContext
    ) throws(UsageError) -> [(origin: String, words: Invocation)] {
        let known = KnownRepositories(folder: context.environment.stateFolder)
        return try context.profiles().filter { $0.name != invocation.profile?.name }.compactMap { profile in
            // One that names no repository can be used with any.
            if let place = profile.repository.flatMap(StoreSchemes.location),
                !mayBe(access, place, known)
            {
                return nil
            }
            let words = Invocation(command: .prune).completed(by: profile)
            return words.hasRules ? ("profile '\(profile.name)'", words) : nil
        }
    }

    /// False if `place` is that of another repository. There may be several ways to one folder, such as a bind mount,
    /// and its disk may not be there now: the id decides, of what is there or was when it was last used.
    private static func mayBe(
        _ access: RepositoryAccess, _ place: StoreLocation, _ known: KnownRepositories
    ) -> Bool {
        let id = access.repository.config.id
        if let store = try? StoreSchemes.open(place), let there = try? Repository.identity(of: store).id {
            return there == id
        }
        // One that was never used from here, and is not there, is still to be made.
        return place.folder.flatMap(known.entry(at:))?.id == id.description
    }
}

extension Invocation {
    /// True if some of its rules come from its profile.
    fileprivate var takesRules: Bool { Flags.rules.contains(where: profileFlags.contains) }
}
