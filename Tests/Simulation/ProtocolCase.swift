// ProtocolCase: the small repository of the exhaustive search. Its packs, snapshots and processes are those of
// Tests/Model: a pack with the chunks of files 1 and 2, snapshot X with both files, snapshot Y with file 1; whoever
// backs up file 2 alone wants what is dead in a pack that is worth rewriting once X is forgotten.

import BakCore
import BakFormat
import BakStorage
import TestSupport

@testable import BakRepository

/// What is explored.
struct ProtocolCase {
    /// The files of each writer.
    var writers: [[Int]] = [[2], [1]]
    /// How many prunes each collector runs.
    var collectors: [Int] = [1, 1]
    var faults = ProtocolFaults()
    /// Whether a person forgets what may be forgotten at any time or never; else X is forgotten before anyone begins.
    var forgetsAtAnyTime = true
    /// Whether a prune's time is up when it has decided a round.
    var isOneRound = false
    /// How many sessions a backup begins before it gives up.
    var sessionLimit = Int.max
    var extent = Explorer.Extent.reduced
    /// How many drawn ways through what was found of the processes are gone again.
    var auditCount = 1000
    /// Told of every millionth state.
    var onProgress: (Explorer.Outcome) -> Void = { _ in }

    /// Explores at most `limit` states; in a drawn order with a seed.
    func explore(limit: Int = .max, seed: UInt64? = nil) throws -> Explorer.Outcome {
        let universe = Universe()
        var kept: ObjectKey?
        var dropped: ObjectKey?
        var first = try StoreImage.after(StoreImage(), universe, seed: 1000) { surroundings in
            try Process.initialize.run(surroundings)
            nonisolated(unsafe) var made: [ObjectKey] = []
            try Process.backup([1, 2]) { made.append(Layout.snapshot($0.id)) }.run(surroundings)
            try Process.backup([1]) { made.append(Layout.snapshot($0.id)) }.run(surroundings)
            (dropped, kept) = (made.first, made.last)
        }
        let context = try Oracle.open(ActorStore.alone(first, universe)).context
        let snapshots = universe.folder(Layout.snapshots)
        func marker(of snapshot: ObjectKey) -> StoreImage.Object? {
            guard let id = Layout.id(in: snapshot) else { return nil }
            let origin = RecordOrigin(time: Timestamp(seconds: 0), host: "host", program: "test")
            let bytes = ForgetMarker(snapshot: id, origin: origin).encode(context)
            return .init(key: universe.key(Layout.forget(id)), content: universe.content(bytes))
        }
        if !forgetsAtAnyTime, let dropped, let marker = marker(of: dropped) {
            _ = first.apply(.put(marker), universe)
        }
        let forgetsAtAnyTime = forgetsAtAnyTime
        let explorer = Explorer(
            universe,
            writers.map { .init(processes: [.backup($0, sessionLimit: sessionLimit, faults: faults)]) }
                + collectors.map {
                    .init(
                        processes: Array(repeating: .prune(isOneRound: isOneRound, faults: faults), count: $0)
                    )
                }
        ) { key in
            // Any snapshot but Y.
            guard forgetsAtAnyTime, universe.folderOfKey[Int(key)] == snapshots,
                universe.keys[Int(key)] != kept, let marker = marker(of: universe.keys[Int(key)])
            else { return nil }
            return .init(object: marker, needed: key) {
                universe.contents[Int($0)].count > Tombstone.objectBytes
            }
        }
        explorer.extent = extent
        explorer.onProgress = onProgress
        explorer.effects = { key in
            // What the oracle looks at. A process puts a pack or an index segment before what makes it count, so that
            // the put itself changes nothing. To forget a snapshot ends what is wrong with it, but nobody need forget.
            switch universe.folders[Int(universe.folderOfKey[Int(key)])] {
            case OneFolderRandom.packFolder, Layout.index: .deletionHarms
            case Layout.snapshots: .all
            case Layout.collections:
                Layout.round(in: universe.keys[Int(key)])?.isDecision == true ? .all : []
            default: []
            }
        }
        explorer.fault = { Oracle.fault($0, universe) }
        explorer.faultAtEnd = { Aftermath.fault($0, universe) }
        explorer.isExpected = { $0.contains("sessionRevoked") || $0.contains("gives up") }
        if let seed {
            let random = SeededRandom(seed: seed)
            explorer.draw = { random.number($0.lowerBound...$0.upperBound - 1) }
        }
        let outcome = try explorer.run(from: first, limit: limit)
        try explorer.trees.audit(auditCount, SeededRandom(seed: seed ?? 1))
        return outcome
    }
}
