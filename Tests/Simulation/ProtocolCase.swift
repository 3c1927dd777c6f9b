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
    var grain = Explorer.Grain.operations
    /// How often actors may be interrupted by others; nil for any number.
    var interruptionLimit: UInt8?

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
        let (snapshots, forgotten) = (universe.folder(Layout.snapshots), universe.folder(Layout.forgotten))
        let explorer = Explorer(
            universe,
            writers.map { .init(processes: [.backup($0, faults: faults)]) }
                + collectors.map {
                    .init(processes: Array(repeating: .prune(faults: faults), count: $0), deletes: true)
                }
        ) { image in
            // A person may forget any snapshot at any time; Y stays.
            let marked = Set(
                image.list(forgotten, universe).map { Layout.id(in: universe.keys[Int($0.key)])! })
            return image.list(snapshots, universe).compactMap { object in
                let key = universe.keys[Int(object.key)]
                guard key != kept, let id = Layout.id(in: key), !marked.contains(id),
                    universe.contents[Int(object.content)].count > Tombstone.objectBytes
                else { return nil }
                let origin = RecordOrigin(time: Timestamp(seconds: 0), host: "host", program: "test")
                let bytes = ForgetMarker(snapshot: id, origin: origin).encode(context)
                return .put(.init(key: universe.key(Layout.forget(id)), content: universe.content(bytes)))
            }
        }
        explorer.grain = grain
        explorer.interruptionLimit = interruptionLimit
        explorer.fault = { Oracle.fault($0, universe) }
        explorer.faultAtEnd = { Aftermath.fault($0, universe) }
        explorer.isExpected = { $0.contains("sessionRevoked") }
        if let seed {
            let random = SeededRandom(seed: seed)
            explorer.shuffle = { random.number($0.lowerBound...$0.upperBound - 1) }
        }
        return try explorer.run(from: first, limit: limit)
    }
}
