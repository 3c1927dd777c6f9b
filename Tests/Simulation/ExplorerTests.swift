// Shows that the simulation finds faults. The program's processes lose nothing in the search. A collector without the
// protocol loses data, and the same search finds the loss.

import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

extension Process {
    /// Deletes every pack that no committed session's index names, as if there were no other process.
    static let carelessCollection = Process(name: "careless collection") { surroundings in
        let repository = try surroundings.open()
        let used = Set(try BlobIndex(repository).packs.map(\.id))
        for info in try surroundings.store.list(OneFolderRandom.packFolder) {
            guard let id = ObjectNames.id(in: info.key), !used.contains(id) else { continue }
            try surroundings.store.delete(info.key)
        }
    }
}

@Suite struct ExplorerTests {
    private func explore(
        _ actors: [Explorer.Actor], _ extent: Explorer.Extent = .reduced
    ) throws -> Explorer.Outcome {
        let universe = Universe()
        let image = try StoreImage.after(StoreImage(), universe, seed: 1000) { surroundings in
            try Process.initialize.run(surroundings)
            try Process.backup([1]).run(surroundings)
        }
        let explorer = Explorer(universe, actors)
        explorer.extent = extent
        explorer.fault = { Oracle.fault($0, universe) }
        return try explorer.run(from: image)
    }

    @Test func everyInterleavingOfTwoBackupsIsSeen() throws {
        let backups: [Explorer.Actor] = [
            .init(processes: [.backup([1, 2])]), .init(processes: [.backup([2, 3])]),
        ]
        let all = try explore(backups, .all)
        let outcome = try explore(backups)
        for outcome in [all, outcome] {
            #expect(outcome.isExhausted)
            #expect(outcome.violation == nil, "\(outcome.trace.joined(separator: "\n"))")
        }
        // Each backup puts a session, a pack or two, an index segment and a commit record, and each put makes a new
        // store.
        #expect(all.images >= 25)
        #expect(all.ends.count > 1)
        #expect(outcome.ends == all.ends)
        #expect(outcome.states < all.states)
    }

    @Test func theLossByACarelessCollectionIsFound() throws {
        let outcome = try explore([
            .init(processes: [.backup([1, 2])]), .init(processes: [.carelessCollection]),
        ])
        #expect(outcome.violation?.contains("missing") == true)
        #expect(outcome.trace.contains { $0.contains("delete packs") })
        #expect(outcome.trace.contains { $0.contains("put snapshots") })
    }

    @Test func aSeedGivesTheSameRunAgain() {
        func trace(_ seed: UInt64) -> [String] {
            let scheduler = Scheduler(seed: seed, rates: FaultRates(loss: 20, kill: 50)) { universe in
                try! StoreImage.after(StoreImage(), universe, seed: 7) { try Process.initialize.run($0) }
            }
            scheduler.isTraced = true
            scheduler.run(
                (0..<3).map { actor in [Process.backup([actor, actor + 1]), .backup([actor, 9])] },
                isExpected: { _, error in error is StoreError })
            #expect(scheduler.violations.isEmpty)
            #expect(Oracle.fault(scheduler.image, scheduler.universe) == nil)
            return scheduler.trace
        }
        let traces = (0..<6 as Range<UInt64>).map(trace)
        #expect(traces == (0..<6 as Range<UInt64>).map(trace))
        #expect(Set(traces).count == 6)
    }
}
