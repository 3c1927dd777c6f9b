// RetentionRequest: turns an invocation of `forget` or `prune` into a decision for each snapshot.
//
// Always holds: rules from a profile decide only about what that profile backs up, unless flags choose snapshots. The
// repository may hold snapshots that other profiles keep by other rules.

import BakCore
import BakFormat
import BakPosix
import BakRepository

/// Decides which of a repository's snapshots are kept and which are removed.
struct RetentionRequest {
    /// The decisions, group by group.
    private(set) var groups: [(group: SnapshotGroup, decisions: [RetentionDecision])] = []
    /// Snapshots to remove although their records cannot be read.
    private(set) var removedUnreadable: [ID128] = []
    /// Snapshots that the user named and that had been removed before.
    private(set) var removedBefore: [ID128] = []
    /// Snapshots that were removed before and whose forget markers are damaged. They are removed again, which renews
    /// their markers.
    private(set) var removedAgain: [ID128] = []
    /// The number of snapshots about which nothing was decided.
    private(set) var leftAlone = 0
    /// Unreadable records of snapshots that are not removed.
    private(set) var unreadable: [UnreadableSnapshot]
    private let list: SnapshotList
    private var all: [CommitRecord] { list.readable }
    /// The order in which the snapshots were made.
    var order: SnapshotOrder { list.order }

    /// The complaint if the flags choose none of the snapshots; nil otherwise.
    private(set) var filterComplaint: String?
    /// Complaints about values of `--keep-tag` that keep nothing.
    private(set) var tagComplaints: [String] = []
    /// The exit code if everything else succeeds.
    var exitCode: ExitCode {
        unreadable.isEmpty && filterComplaint != nil ? .incomplete : ExitCode.of(unreadable)
    }

    /// All snapshots that are removed.
    var removed: [ID128] {
        groups.flatMap(\.decisions).filter { !$0.isKept }.map(\.snapshot.id) + removedUnreadable
            + removedAgain
    }

    /// True if no snapshot stays. An unreadable one also counts as a snapshot.
    var removesAll: Bool { Set(removed).isSuperset(of: all.map(\.id)) && unreadable.isEmpty }

    /// The groups that would lose their last useful snapshot. If the user named the snapshots, a group is all snapshots
    /// of one device with the same paths. If rules chose them, two groupings are examined: the one of the rules, and
    /// one by device alone. A loss of archives is always looked for among the snapshots of one device with the same
    /// paths.
    var losses: [RemovalLoss] {
        let gone = Set(removed)
        guard !gone.isEmpty else { return [] }
        let now = now
        let doubts = SnapshotDoubts(among: all.sorted(by: order.precedes).filter { $0.time <= now })
        var losses: [ID128: RemovalLoss] = [:]
        for grouping in groupings {
            for (_, snapshots) in SnapshotGroup.divide(all, by: grouping, order) {
                guard let loss = RemovalLoss(of: snapshots, gone, doubts) else { continue }
                losses[loss.last.id] = loss
            }
        }
        for (_, snapshots) in SnapshotGroup.divide(all, by: .byDefault, order) {
            guard let loss = RemovalLoss(ofArchives: snapshots, gone, doubts) else { continue }
            if losses[loss.last.id] == nil { losses[loss.last.id] = loss }
        }
        return losses.values.sorted { order.precedes($1.last, $0.last) }
    }

    private let now: Timestamp
    private var groupings: [SnapshotGrouping] = [.byDefault]

    /// How many snapshots the decisions keep.
    var keptCount: Int { groups.flatMap(\.decisions).filter(\.isKept).count }

    /// How many snapshots stay because their dates lie in the future.
    var futureCount: Int { groups.flatMap(\.decisions).filter { $0.reasons.contains(.inTheFuture) }.count }

    /// Makes the decisions that an invocation asks for.
    init(_ invocation: Invocation, _ repository: Repository, _ context: CommandContext) throws {
        list = try repository.snapshotList()
        now = context.clock.now()
        unreadable = list.unreadable
        if !invocation.operands.isEmpty {
            try removeNamed(invocation, repository, context)
            return
        }
        let filter = SnapshotFilter(invocation)
        var chosen = all.filter(filter.takes)
        if let scope = try ProfileScope(invocation, context), filter.isEmpty {
            chosen = chosen.filter(scope.takes)
        }
        leftAlone = all.count - chosen.count
        filterComplaint = filter.complaint(among: all)
        tagComplaints = SnapshotFilter.complaints(aboutKeptTags: invocation, among: all)
        let mayRemoveAll = invocation.has(.unsafeAllowRemoveAll)
        let grouping =
            invocation[.groupBy]
        groupings = [grouping, .device]
        if !invocation.hasRules, mayRemoveAll {
            groups = SnapshotGroup.divide(chosen, by: grouping, order).map { group, snapshots in
                (group, snapshots.map { RetentionDecision($0, isKept: false, [.unwanted]) })
            }
            return
        }
        var retention = Retention(
            try RetentionPolicy(invocation, among: list, context), now: now,
            localOffset: context.localOffset)
        retention.grouping = grouping
        retention.mayRemoveAll = mayRemoveAll
        groups = retention.decide(chosen, among: all, order)
    }

    private mutating func removeNamed(
        _ invocation: Invocation, _ repository: Repository, _ context: CommandContext
    ) throws {
        var named: Set<ID128> = []
        for operand in invocation.operands {
            let name = String(decoding: operand, as: UTF8.self)
            if let again = try damagedMarker(name, repository) {
                removedAgain.append(again)
                unreadable.removeAll { $0.id == again }
                continue
            }
            do {
                named.insert(try context.findSnapshot(name, in: list, invocation).id)
            } catch is CorruptionError {
                // As long as a record is damaged, a prune cannot know which blobs its snapshot needs. A user who names
                // the snapshot by its id gives it up.
                for damaged in list.unreadable where damaged.id.description.hasPrefix(name) {
                    if !removedUnreadable.contains(damaged.id) { removedUnreadable.append(damaged.id) }
                    unreadable.removeAll { $0.id == damaged.id }
                }
            } catch RepositoryError.noSuchSnapshot {
                // The snapshot was removed before, perhaps by a `forget` that was interrupted.
                let matches = try repository.forgotten().filter { $0.description.hasPrefix(name) }
                guard !name.isEmpty, let known = matches.first, matches.count == 1 else {
                    throw RepositoryError.noSuchSnapshot(name: name)
                }
                removedBefore.append(known)
            }
        }
        groups = SnapshotGroup.divide(all.filter { named.contains($0.id) }, by: .byDefault, order).map {
            ($0, $1.map { RetentionDecision($0, isKept: false, [.unwanted]) })
        }
        leftAlone = all.count - named.count
    }
}

extension RetentionRequest {
    /// Returns the removed snapshot whose id begins with `name`, if there is exactly one and its forget marker is
    /// damaged. Only the snapshot's own id counts. The id of its original does not count: if the user removed a
    /// snapshot and `forget --undo` made a new one of it, both have the same original.
    private func damagedMarker(_ name: String, _ repository: Repository) throws -> ID128? {
        guard !name.isEmpty, !all.contains(where: { $0.id.description.hasPrefix(name) }) else { return nil }
        let matches = try repository.forgotten().filter { $0.description.hasPrefix(name) }
        guard let known = matches.first, matches.count == 1, try repository.isMarkerDamaged(known) else {
            return nil
        }
        return known
    }
}

extension RetentionPolicy {
    /// Takes the rules from an invocation. `--keep-id` names snapshots of `list`.
    init(
        _ invocation: Invocation, among list: SnapshotList, _ context: CommandContext
    ) throws {
        self.init()
        for (flag, period) in Flags.counted {
            counts[period] = invocation[flag]
        }
        for (flag, period) in Flags.within {
            spans[period] = invocation[flag]
        }
        tagSets = invocation[.keepTag]
        for name in invocation[.keepID] {
            ids.insert(try context.findSnapshot(name, in: list, invocation).id)
        }
    }
}

extension Invocation {
    /// True if there is a rule that can remove something.
    var hasRules: Bool {
        Flags.counted.contains { self[$0.flag] ?? 0 > 0 }
            || Flags.within.contains { has($0.flag) } || has(.keepTag)
    }

    /// What is wrong with the choice of snapshots to remove; nil if nothing is.
    var retentionComplaint: String? {
        if command == .forget, !has(.prune) {
            let pruning = [AnyFlag.maxUnused, .maxRepackSize, .maxDuration]
            if let flag = pruning.first(where: { has($0) && !profileFlags.contains($0) }) {
                return "\(flag.spelling) works only with --prune"
            }
        }
        if has(.undo) {
            let extra =
                Flags.joined(
                    Flags.rules, [.keepID, .groupBy, .unsafeAllowRemoveAll, .prune], Flags.choosing)
            return extra.first { has($0) && !profileFlags.contains($0) }.map {
                "--undo takes back removed snapshots and cannot be combined with \($0.spelling)"
            }
        }
        let choosing = Flags.choosing.filter(has)
        if !operands.isEmpty {
            let extra =
                Flags.joined(Flags.rules, [.keepID, .groupBy, .unsafeAllowRemoveAll]).filter {
                    has($0) && !profileFlags.contains($0)
                } + choosing
            return extra.first.map {
                "\($0.spelling) chooses among all snapshots and cannot be combined with a SNAPSHOT"
            }
        }
        if hasRules { return nil }
        if has(.unsafeAllowRemoveAll) {
            return choosing.isEmpty
                ? "--unsafe-allow-remove-all without a rule needs a filter, such as --device NAME" : nil
        }
        guard command == .forget else {
            let extra = ([.keepID, .groupBy] + choosing).filter { has($0) && !profileFlags.contains($0) }
            return extra.first.map { "\($0.spelling) needs a rule, such as --keep-daily 7" }
        }
        if Flags.rules.contains(where: has) {
            return
                "a rule that keeps 0 snapshots is no rule. Give a rule such as --keep-daily 7, or name snapshots"
        }
        return "without a rule nothing is removed. Name snapshots, or give rules such as --keep-daily 7"
    }
}
