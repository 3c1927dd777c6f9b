// ProtocolCase: the small repository of the exhaustive search. Its packs, snapshots and processes are those of
// Tests/Model. One pack has the chunks of files 1 and 2. Snapshot X has both files, and snapshot Y has file 1. After X
// is forgotten, no snapshot needs file 2, and its pack is worth repacking. A backup of file 2 then wants a chunk that a
// prune may be deleting.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A case that the search explores.
struct ProtocolCase: CustomTestStringConvertible, Sendable {
    /// The numbers of the files in each backup.
    var backups: [[Int]]
    var prunes: Int
    /// True if any snapshot but Y may be forgotten at any time or never. Otherwise X is forgotten before any process
    /// begins.
    var forgetsAtAnyTime = false
    var extent = Explorer.Extent.reduced
    /// How many sessions a backup begins before it gives up; nil for no limit.
    var sessions: Int?
    /// True if the time limit ends a prune when it has decided one round.
    var isOneRound = false
    /// How many processes take back X, which is forgotten before any process begins.
    var takers = 0
    /// Number of processes that take back X, which is forgotten before any process begins.
    var closes = false
    /// True if backups close their sessions when they end.
    var sweepers = 0
    /// Number of processes that sweep temporaries. If it is 0, puts make no temporaries.
    var sweepFault: SweepFault?
    /// The rule about temporaries that processes break; nil for none.
    var loss: Loss?
    /// The way in which Y's commit record is lost; nil if it is not lost.
    var ignoresSpares = false
    var faults = ProtocolFaults()

    /// The way in which a commit record is lost.
    enum Loss {
        /// The record may be lost at any time. Its spare stays.
        case spared
        /// The record and its spare are lost before any process begins. Only the newest decision shows that the record
        /// existed.
        case counted
    }

    /// One backup of file 2. No snapshot needs file 2 once X is forgotten, and its pack is then worth repacking. In
    /// `two`, the second backup has file 1, which is also in Y. In `twins`, both backups have file 3, which is in no
    /// snapshot.
    static let one = [[2]]
    static let two = [[2], [1]]
    static let twins = [[3], [3]]

    /// The largest cases do without spares of commit records, because spares add a change to each backup and each
    /// prune. The other cases and the fleets cover spares.
    private static let spareless: ProtocolFaults = {
        var faults = ProtocolFaults()
        faults.withoutSpares = true
        return faults
    }()

    static let all = [
        // Explored at every operation.
        ProtocolCase(backups: one, prunes: 1, forgetsAtAnyTime: true),
        ProtocolCase(backups: two, prunes: 1),
        ProtocolCase(backups: two, prunes: 1, forgetsAtAnyTime: true, sessions: 2, isOneRound: true),
        ProtocolCase(backups: twins, prunes: 1, sessions: 2, isOneRound: true),
        ProtocolCase(backups: one, prunes: 2, sessions: 2, isOneRound: true),
        ProtocolCase(backups: one, prunes: 2, forgetsAtAnyTime: true, sessions: 2, isOneRound: true),
        ProtocolCase(backups: two, prunes: 2, sessions: 1, isOneRound: true, faults: spareless),
        ProtocolCase(backups: [], prunes: 1, forgetsAtAnyTime: true, takers: 1),
        ProtocolCase(backups: one, prunes: 1, sessions: 2, isOneRound: true, takers: 1),
        ProtocolCase(backups: one, prunes: 1, sessions: 1, isOneRound: true, closes: true),
        ProtocolCase(backups: one, prunes: 1, sessions: 2, isOneRound: true, sweepers: 1),
        ProtocolCase(backups: one, prunes: 1, sessions: 2, isOneRound: true, loss: .spared),
        ProtocolCase(backups: one, prunes: 1, sessions: 2, isOneRound: true, loss: .counted),
        // Explored at changes: everything that a process reads between two of its own changes, it reads at one moment.
        ProtocolCase(backups: two, prunes: 1, forgetsAtAnyTime: true, extent: .reducedChanges),
        ProtocolCase(backups: one, prunes: 2, extent: .reducedChanges, isOneRound: true),
        ProtocolCase(backups: one, prunes: 2, extent: .reducedChanges, sessions: 2),
        ProtocolCase(backups: two, prunes: 2, extent: .reducedChanges, sessions: 2, isOneRound: true),
        ProtocolCase(
            backups: two, prunes: 2, forgetsAtAnyTime: true, extent: .reducedChanges, sessions: 2,
            isOneRound: true, faults: spareless),
        ProtocolCase(backups: [], prunes: 2, extent: .reducedChanges, isOneRound: true, takers: 2),
        ProtocolCase(
            backups: one, prunes: 2, extent: .reducedChanges, sessions: 2, isOneRound: true, takers: 1,
            closes: true),
        // These cases have too many processes for a full search, so the number of interruptions is bounded.
        ProtocolCase(
            backups: two, prunes: 2, forgetsAtAnyTime: true, extent: .bounded(interruptions: 1)),
        ProtocolCase(
            backups: two, prunes: 2, forgetsAtAnyTime: true, extent: .bounded(interruptions: 2)),
    ]

    var testDescription: String {
        var parts = [
            "\(backups.count) backups\(backups == Self.twins ? " of one file" : ""), \(prunes) prunes",
            forgetsAtAnyTime ? "forgetting" : "X forgotten",
        ]
        switch extent {
        case .all: parts.append("one by one")
        case .reduced: break
        case .changes: parts.append("at changes, one by one")
        case .reducedChanges: parts.append("at changes")
        case .bounded(let interruptions): parts.append("interrupted \(interruptions) times")
        }
        if takers > 0 { parts.append("\(takers) taking back") }
        if closes { parts.append("closing") }
        if sweepers > 0 { parts.append("\(sweepers) sweeping") }
        switch loss {
        case .spared?: parts.append("a record lost")
        case .counted?: parts.append("a record lost with its spare")
        case nil: break
        }
        if let sessions { parts.append("\(sessions) sessions") }
        if isOneRound { parts.append("one round") }
        return parts.joined(separator: ", ")
    }

    private func actors(takingBack snapshot: ID128?, losing record: ObjectKey?) -> [Explorer.Actor] {
        let backups: [Process] = backups.map {
            .backup(
                $0, sessionLimit: sessions ?? .max, closes: closes, faults: faults, sweepFault: sweepFault)
        }
        let takers: [Process] = (0..<takers).map { _ in
            .takeBack(faults: faults) { try snapshot.map($0.snapshot) }
        }
        let prunes: [Process] = (0..<prunes).map { _ in
            .prune(isOneRound: isOneRound, faults: faults, ignoresSpares: ignoresSpares)
        }
        let sweepers: [Process] = (0..<sweepers).map { _ in .sweep(sweepFault) }
        let losers: [Process] = loss == .spared ? [record].compactMap { $0.map(Process.lose) } : []
        return (backups + takers + prunes + sweepers + losers).map { .init(processes: [$0]) }
    }

    /// Explores at most `limit` states. With a seed, tries moves in a random order. Then repeats `auditCount` random
    /// paths through the process trees. Calls `onProgress` after every millionth state.
    func explore(
        limit: Int = .max, seed: UInt64? = nil, auditCount: Int = 1000,
        onProgress: @escaping (Explorer.Outcome) -> Void = { _ in }
    ) throws -> Explorer.Outcome {
        let universe = Universe()
        var kept: ObjectKey?
        var dropped: ObjectKey?
        var first = try StoreImage.after(StoreImage(), universe, seed: 1000) { surroundings in
            try Process.initialize.run(surroundings)
            nonisolated(unsafe) var made: [ObjectKey] = []
            try Process.backup([1, 2]) { made.append(ObjectNames.snapshot($0.id)) }.run(surroundings)
            try Process.backup([1]) { made.append(ObjectNames.snapshot($0.id)) }.run(surroundings)
            (dropped, kept) = (made.first, made.last)
        }
        let context = try Oracle.open(ActorStore.alone(first, universe)).context
        let snapshots = universe.folder(ObjectNames.snapshots)
        func marker(of snapshot: ObjectKey) -> StoreImage.Object? {
            guard let id = ObjectNames.id(in: snapshot) else { return nil }
            let origin = RecordOrigin(time: Timestamp(seconds: 0), host: "host", program: "test")
            let bytes = ForgetMarker(snapshot: id, origin: origin).encode(context)
            return .init(key: universe.key(ObjectNames.forget(id)), content: universe.content(bytes))
        }
        if !forgetsAtAnyTime || takers > 0, let dropped, let marker = marker(of: dropped) {
            _ = first.apply(.put(marker), universe)
        }
        let lost = loss == .counted ? try lose(kept, from: &first, universe, marker: marker) : nil
        universe.hasTemporaries = sweepers > 0
        let actors = actors(takingBack: dropped.flatMap(ObjectNames.id), losing: kept)
        let explorer = Explorer(universe, actors) { key in
            // Any snapshot but Y may be forgotten.
            guard forgetsAtAnyTime, universe.folderOfKey[Int(key)] == snapshots,
                universe.keys[Int(key)] != kept, let marker = marker(of: universe.keys[Int(key)])
            else { return nil }
            return .init(object: marker, needed: key) {
                universe.contents[Int($0)].count > Tombstone.objectBytes
            }
        }
        explorer.extent = extent
        explorer.onProgress = onProgress
        explorer.effects = { Self.effects(of: $0, universe) }
        // Checks see the store with the lost record put back, because it may be found again. Nothing may be missing
        // then.
        func whole(_ image: StoreImage) -> StoreImage {
            var image = image
            if let lost { _ = image.apply(.put(lost), universe) }
            return image
        }
        explorer.fault = { Oracle.fault(whole($0), universe) }
        explorer.faultAtEnd = { Aftermath.fault(whole($0), universe) }
        let isLosing = loss != nil
        explorer.isExpected = {
            $0.contains("sessionRevoked") || $0.contains("gives up")
                || isLosing && $0.contains("the commit record is missing")
        }
        if let seed {
            let random = SeededRandom(seed: seed)
            explorer.draw = { random.number($0.lowerBound...$0.upperBound - 1) }
        }
        let outcome = try explorer.run(from: first, limit: limit)
        try explorer.trees.audit(auditCount, SeededRandom(seed: seed ?? 1))
        return outcome
    }

    /// Returns how puts and deletions of an object may change what the oracle finds. A process puts a pack or an index
    /// segment before the object that makes it count, so that put changes nothing by itself. A forget marker can end a
    /// fault in its snapshot, but it does not count as healing, because the snapshot need not be forgotten.
    private static func effects(of key: Universe.Key, _ universe: Universe) -> VisibleChanges.Effects {
        switch universe.folders[Int(universe.folderOfKey[Int(key)])] {
        case OneFolderRandom.packFolder, ObjectNames.index: .deletionHarms
        case ObjectNames.snapshots, ObjectNames.spares: .all
        case ObjectNames.collections:
            ObjectNames.round(in: universe.keys[Int(key)])?.isDecision == true ? .all : []
        default: []
        }
    }

    /// Lets a prune decide, so that the decision counts the session of `snapshot`. Then loses the snapshot's commit
    /// record and spare. Leaves garbage to collect. Returns the lost record.
    private func lose(
        _ snapshot: ObjectKey?, from image: inout StoreImage, _ universe: Universe,
        marker: (ObjectKey) -> StoreImage.Object?
    ) throws -> StoreImage.Object? {
        guard let snapshot, let id = ObjectNames.id(in: snapshot) else { return nil }
        nonisolated(unsafe) var garbage: ObjectKey?
        image = try StoreImage.after(image, universe, seed: 1001) { surroundings in
            try Process.prune(isOneRound: true).run(surroundings)
            try Process.backup([5]) { garbage = ObjectNames.snapshot($0.id) }.run(surroundings)
        }
        if let garbage, let marker = marker(garbage) { _ = image.apply(.put(marker), universe) }
        let key = universe.key(snapshot)
        guard let content = image[key] else { return nil }
        image.remove(key, universe)
        image.remove(universe.key(ObjectNames.spare(id)), universe)
        return .init(key: key, content: content)
    }
}
