// ProtocolCase: the small repository of the exhaustive search. Its packs, snapshots and processes are those of
// Tests/Model. One pack has the chunks of files 1 and 2, snapshot X has both files, and snapshot Y has file 1. Once X
// is forgotten, file 2 is dead in a pack that is worth repacking. A backup of file 2 alone then wants what is dead
// there.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A case to explore.
struct ProtocolCase: CustomTestStringConvertible, Sendable {
    /// The files of each backup.
    var backups: [[Int]]
    var prunes: Int
    /// True if snapshots may be forgotten at any time or never. Otherwise X is forgotten before any process begins.
    var forgetsAtAnyTime = false
    var extent = Explorer.Extent.reduced
    /// How many sessions a backup begins before it gives up; nil for no limit.
    var sessions: Int?
    /// True if a prune's time is up when it has decided a round.
    var isOneRound = false
    /// How many processes take back X, which is forgotten before any process begins.
    var takers = 0
    /// True if backups close their sessions at their end.
    var closes = false
    /// How many processes sweep temporaries. Without any, there are no temporaries.
    var sweepers = 0
    /// The rule about temporaries that is left out; nil for none.
    var sweepFault: SweepFault?
    /// How Y's commit record is lost; nil if it is not.
    var loss: Loss?
    /// True if prunes do not see spares.
    var ignoresSpares = false
    var faults = ProtocolFaults()

    /// How a commit record is lost.
    enum Loss {
        /// At any time, while its spare is there.
        case spared
        /// Before any process begins, together with its spare. Only the newest decision shows that it existed.
        case counted
    }

    /// File 2 is dead in a pack that is worth repacking once X is forgotten. File 1 is also in Y. File 3 is in no
    /// snapshot.
    static let one = [[2]]
    static let two = [[2], [1]]
    static let twins = [[3], [3]]

    /// The largest cases do without spares of commit records, which add a change to each backup and each prune. The
    /// other cases and the fleets test the spares.
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
        // Too many processes for a full search, so the number of interruptions is bounded.
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

    /// Explores at most `limit` states, with a seed in a random order. Then repeats `auditCount` random paths through
    /// what was found out about the processes. Calls `onProgress` for every millionth state.
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
        // The lost record may be found again, and with it nothing is missing.
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

    /// Returns what changes of an object may do to what the oracle checks. A process puts a pack or an index segment
    /// before the object that makes it count, so the put itself changes nothing. Forgetting a snapshot ends what is
    /// wrong with it, but it need not be forgotten.
    private static func effects(of key: Universe.Key, _ universe: Universe) -> VisibleChanges.Effects {
        switch universe.folders[Int(universe.folderOfKey[Int(key)])] {
        case OneFolderRandom.packFolder, ObjectNames.index: .deletionHarms
        case ObjectNames.snapshots, ObjectNames.spares: .all
        case ObjectNames.collections:
            ObjectNames.round(in: universe.keys[Int(key)])?.isDecision == true ? .all : []
        default: []
        }
    }

    /// Loses a commit record and its spare once a decision counts its session. Leaves garbage to collect. Returns the
    /// record.
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
