// RepositoryRepair: what the three repairs have in common. A repair looks at everything and decides a round; where
// another program has decided one meanwhile, it looks again.
//
// What is found wrong with objects is held back until the look is known to have been at one state of the repository: a
// prune beside it moves and deletes what is not damaged.

import BakCore
import BakStorage

/// One of the repairs. For one thread.
public class RepositoryRepair {
    let repository: Repository
    let request: RepairRequest
    let onEvent: @Sendable (RepairEvent) -> Void
    let stop: StopSignal
    var report = RepairReport()
    /// What was found and is not told yet.
    private var held: [RepairEvent] = []
    /// The newest round when the look began.
    private var firstRound: UInt64 = 0
    /// How often other programs may get in the way.
    private static let attempts = 10

    /// Prepares a repair.
    ///
    /// - Parameters:
    ///   - onEvent: told what happens, from any thread.
    ///   - stop: polled; when it is given the repair ends as soon as it can.
    public required init(
        _ repository: Repository, _ request: RepairRequest,
        onEvent: @escaping @Sendable (RepairEvent) -> Void = { _ in },
        stop: StopSignal = .never
    ) {
        self.repository = repository
        self.request = request
        self.onEvent = onEvent
        self.stop = stop
    }

    /// Repairs.
    ///
    /// Throws `RepositoryError.keepsChanging` when other programs get in the way again and again. Where packs or
    /// snapshots are to be repaired and the index is not whole, `CorruptionError`: that is to be repaired first.
    public final func run() throws -> RepairReport {
        for _ in 0..<Self.attempts {
            (report, held) = (RepairReport(), [])
            firstRound = try repository.collectionRounds().decided
            do {
                if try attempt() { return report }
            } catch  where RepositoryError.mayHaveMoved(error) {
                if try isUndisturbed() { throw error }
            } catch RepositoryError.sessionRevoked {
                // What it was to commit is gone or elsewhere.
                continue
            }
        }
        throw RepositoryError.keepsChanging(location: repository.store.location)
    }

    /// One look and what follows from it, in the report; false when another program has decided a round meanwhile.
    func attempt() throws -> Bool { preconditionFailure("a repair does something") }

    /// Takes note of something wrong with an object.
    final func hold(_ event: RepairEvent) { held.append(event) }

    /// Whether nobody has decided a round since the look began.
    final func isUndisturbed() throws -> Bool { try repository.collectionRounds().decided == firstRound }

    /// Tells what was held back.
    final func tellHeld() {
        for event in held { onEvent(event) }
        held = []
    }

    /// Ends a look early, with what it has found, if that may be told.
    final func interrupt() throws -> Bool {
        report.wasInterrupted = true
        if try isUndisturbed() { tellHeld() }
        return true
    }
}
