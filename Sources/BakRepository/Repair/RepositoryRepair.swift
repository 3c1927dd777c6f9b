// RepositoryRepair: the common part of the three repairs. A repair examines the repository and then changes it. Prunes
// and repairs record in numbered decisions, one for each round, which packs they delete and which index they trust. If
// another program has decided a round meanwhile, objects may have been moved or deleted, and the repair begins another
// attempt.
//
// To a repair that runs at the same time, the work of a prune can look like damage. So the repair reports its findings
// about objects only if no round was decided while it collected them.

import BakCore
import BakStorage

/// The base class of the repairs. For one thread.
public class RepositoryRepair {
    let repository: Repository
    let request: RepairRequest
    let onEvent: @Sendable (RepairEvent) -> Void
    let stop: StopSignal
    var report = RepairReport()
    /// The findings that are not reported yet.
    private var held: [RepairEvent] = []
    /// The newest round when the attempt began.
    private var firstRound: UInt64 = 0
    /// The number of attempts before the repair gives up.
    private static let attempts = 10

    /// Prepares a repair.
    ///
    /// - Parameters:
    ///   - onEvent: receives the events, from any thread.
    ///   - stop: polled; once it is requested, the repair ends as soon as it can.
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

    /// Repairs the repository.
    ///
    /// - Throws: `RepositoryError.keepsChanging` if other programs interfere in every attempt, `CorruptionError` if a
    ///   repair of packs or snapshots needs the index and the index must be repaired first, and `StoreError`.
    public final func run() throws -> RepairReport {
        for _ in 0..<Self.attempts {
            (report, held) = (RepairReport(), [])
            firstRound = try repository.collectionRounds().decided
            do {
                if try attempt() { return report }
            } catch  where RepositoryError.mayHaveMoved(error) {
                if try isUndisturbed() { throw error }
            } catch RepositoryError.sessionRevoked {
                // The session relied on content that is gone or has moved, so another attempt is needed.
                continue
            }
        }
        throw RepositoryError.keepsChanging(location: repository.store.location)
    }

    /// Makes one attempt and fills the report. Returns false if another program has decided a round meanwhile.
    func attempt() throws -> Bool { preconditionFailure("a repair does something") }

    /// Notes a finding about an object, to be reported later.
    final func hold(_ event: RepairEvent) { held.append(event) }

    /// True if no program has decided a round since the attempt began.
    final func isUndisturbed() throws -> Bool { try repository.collectionRounds().decided == firstRound }

    /// Reports the findings that were held back.
    final func tellHeld() {
        for event in held { onEvent(event) }
        held = []
    }

    /// Ends an attempt early. It reports the findings if no program has decided a round meanwhile.
    final func interrupt() throws -> Bool {
        report.wasInterrupted = true
        if try isUndisturbed() { tellHeld() }
        return true
    }
}
