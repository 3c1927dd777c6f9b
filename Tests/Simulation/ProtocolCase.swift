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
    var extent = Explorer.Extent.reduced
    /// How many drawn ways through what was found of the processes are gone again.
    var auditCount = 1000
    /// Told of every millionth state.
    var onProgress: (Explorer.Outcome) -> Void = { _ in }

    /// Explores at most `limit` states; in a drawn order with a seed.
    func explore(limit: Int = .max, seed: UInt64? = nil) throws -> Explorer.Outcome {
        let universe = Universe()
        var kept: ObjectKey?
        let first = try StoreImage.after(StoreImage(), universe, seed: 1000) { surroundings in
            try Process.initialize.run(surroundings)
            try Process.backup([1, 2]).run(surroundings)
            nonisolated(unsafe) var second: CommitRecord?
            try Process.backup([1]) { second = $0 }.run(surroundings)
            kept = second.map { Layout.snapshot($0.id) }
        }
        let context = try Oracle.open(ActorStore.alone(first, universe)).context
        let snapshots = universe.folder(Layout.snapshots)
        let explorer = Explorer(
            universe,
            writers.map { .init(processes: [.backup($0, faults: faults)]) }
                + collectors.map { .init(processes: Array(repeating: .prune(faults: faults), count: $0)) }
        ) { key in
            // A person may forget any snapshot at any time; Y stays.
            guard universe.folderOfKey[Int(key)] == snapshots, universe.keys[Int(key)] != kept,
                let id = Layout.id(in: universe.keys[Int(key)])
            else { return nil }
            let origin = RecordOrigin(time: Timestamp(seconds: 0), host: "host", program: "test")
            let bytes = ForgetMarker(snapshot: id, origin: origin).encode(context)
            let marker = StoreImage.Object(
                key: universe.key(Layout.forget(id)), content: universe.content(bytes))
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
        explorer.isExpected = { $0.contains("sessionRevoked") }
        if let seed {
            let random = SeededRandom(seed: seed)
            explorer.draw = { random.number($0.lowerBound...$0.upperBound - 1) }
        }
        let outcome = try explorer.run(from: first, limit: limit)
        try explorer.trees.audit(auditCount, SeededRandom(seed: seed ?? 1))
        return outcome
    }
}
