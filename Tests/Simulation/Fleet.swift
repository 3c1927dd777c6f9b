// Fleet: one seeded interleaving of many processes. There are four writers and two collectors, and one actor each that
// forgets, takes back and reads. Everything may go wrong: commit records are lost, damaged and brought back. Requests
// and replies are lost. Processes are killed, and a sweep removes their unpublished objects. Clocks are up to ten years
// off, and jump. A listing may take several calls, each of which may fail.

import BakCore
import BakFormat
import BakStorage
import TestSupport

@testable import BakRepository

/// One run of many processes.
struct Fleet {
    let seed: UInt64
    var faults = ProtocolFaults()
    /// True if collectors do not see spares.
    var ignoresSpares = false
    /// The rule about temporaries that processes break; nil for none. With such a rule, the run always has temporaries.
    var sweepFault: SweepFault?
    /// True if the run keeps its operations, so that a person can look at them.
    var isTraced = false

    /// The result of a run.
    struct Outcome {
        var violations: [String] = []
        var trace: [String] = []
        var operations = 0
        var commits = 0
        var deletedPacks = 0
        var copiedBytes: UInt64 = 0
    }

    /// The snapshots and counts that the processes report. Only the process that has its turn writes to it.
    private final class Ledger: @unchecked Sendable {
        var committed: [ID128] = []
        var forgotten: Set<ID128> = []
        var deletedPacks = 0
        var copiedBytes: UInt64 = 0
    }

    /// Runs the fleet.
    func run() -> Outcome {
        let random = SeededRandom(seed: seed)
        // A third of the runs lose no messages and kill no process, so that more processes come to their end.
        let rates =
            switch random.number(0...2) {
            case 0: FaultRates(clockJump: 50)
            case 1: FaultRates(loss: 300, kill: 400, clockJump: 50)
            default: FaultRates(loss: 60, kill: 80, clockJump: 20)
            }
        let scheduler = Scheduler(seed: random.next(), rates: rates) { universe in
            do {
                return try StoreImage.after(StoreImage(), universe, seed: 1) { surroundings in
                    try Process.initialize.run(surroundings)
                    try Process.backup([1, 2, 3]).run(surroundings)
                    try Process.backup([1, 4]).run(surroundings)
                }
            } catch { preconditionFailure("\(error)") }
        }
        scheduler.isTraced = isTraced
        let ledger = Ledger()
        var actors = actors(random, ledger, scheduler)
        if random.oneIn(3) || sweepFault != nil {
            scheduler.universe.hasTemporaries = true
            actors.append((0..<random.number(1...6)).map { _ in .sweep(sweepFault) })
        }
        scheduler.run(actors) { _, error in
            switch error {
            case is StoreError, RepositoryError.sessionRevoked, RepositoryError.unpublishedRemoved,
                RepositoryError.cannotCollect, RepositoryError.keepsChanging:
                true
            // A collector stops if it misses a commit record. That is not a fault.
            case let error as CorruptionError: error.object.hasPrefix(ObjectNames.snapshots)
            default: false
            }
        }
        var outcome = Outcome(violations: scheduler.violations)
        look(scheduler, ledger, &outcome)
        outcome.trace = scheduler.trace
        outcome.operations = scheduler.operationCount
        outcome.commits = ledger.committed.count
        (outcome.deletedPacks, outcome.copiedBytes) = (ledger.deletedPacks, ledger.copiedBytes)
        return outcome
    }

    /// Checks the store after all processes have ended.
    private func look(_ scheduler: Scheduler, _ ledger: Ledger, _ outcome: inout Outcome) {
        let (image, universe) = (scheduler.image, scheduler.universe)
        if let fault = Oracle.fault(image, universe) { outcome.violations.append(fault) }
        do {
            let repository = try Oracle.open(ActorStore.alone(image, universe))
            let (readable, unreadable) = try repository.snapshots()
            let there = Set(readable.flatMap { [$0.id, $0.originalID] } + unreadable.map(\.id))
            let forgotten = try repository.forgotten()
            for id in ledger.committed where !there.contains(id) && !forgotten.contains(id) {
                outcome.violations.append("snapshot \(id.short) was reported stored and is not there")
            }
            for id in ledger.forgotten where readable.contains(where: { $0.id == id }) {
                outcome.violations.append("snapshot \(id.short) was forgotten and is there")
            }
        } catch { outcome.violations.append("the repository: \(error)") }
        if let fault = Aftermath.fault(image, universe) { outcome.violations.append(fault) }
    }

    private func actors(_ random: SeededRandom, _ ledger: Ledger, _ scheduler: Scheduler) -> [[Process]] {
        let (faults, ignoresSpares, sweepFault) = (faults, ignoresSpares, sweepFault)
        var actors: [[Process]] = (0..<4).map { _ in
            (0..<random.number(1...2)).map { _ in
                let numbers = Set((0..<random.number(1...4)).map { _ in random.number(1...7) }).sorted()
                return .backup(
                    numbers, hasParent: random.oneIn(2),
                    checkpoint: random.oneIn(4) ? random.number(1...2) : nil, closes: random.oneIn(2),
                    faults: faults, sweepFault: sweepFault
                ) { ledger.committed.append($0.id) }
            }
        }
        for _ in 0..<2 {
            let grace: UInt64 = [0, 0, 3, 30][random.number(0...3)]
            actors.append(
                (0..<random.number(1...3)).map { _ in
                    .prune(graceSeconds: grace, faults: faults, ignoresSpares: ignoresSpares) { report in
                        ledger.deletedPacks += report.deletedPacks
                        ledger.copiedBytes += report.copiedBytes
                    }
                })
        }
        actors.append(
            (0..<random.number(1...4)).map { _ in
                let place = random.number(0...5)
                nonisolated(unsafe) var chosen: [ID128] = []
                return Process(name: "forget") { surroundings in
                    let forget = Process.forget { snapshots in
                        chosen = snapshots.isEmpty ? [] : [snapshots[place % snapshots.count].id]
                        return chosen
                    }
                    try forget.run(surroundings)
                    ledger.forgotten.formUnion(chosen)
                }
            })
        actors.append(
            (0..<random.number(1...3)).map { _ in
                let place = random.number(0...5)
                return .takeBack(faults: faults, onCommit: { ledger.committed.append($0.id) }) { repository in
                    let all = try repository.forgottenSnapshots()
                    return all.isEmpty ? nil : all[place % all.count].snapshot
                }
            })
        if random.oneIn(3) || ignoresSpares {
            actors.append(
                (0..<random.number(1...2)).map { _ in
                    let place = random.number(0...5)
                    let loss = Process.RecordLoss(rawValue: random.number(0...3)) ?? .deleted
                    return .lose(loss) { place % $0 }
                } + (random.oneIn(2) ? [.bringBack] : []))
        }
        actors.append(
            Array(repeating: .read { scheduler.report("a reader: \($0)") }, count: random.number(1...3)))
        return actors
    }
}
