// Scheduler: runs many processes as threads. Only one thread runs at a time. After each store operation, a seed decides
// which process runs next and what goes wrong, so the same seed gives the same run.

import BakCore
import BakStorage
import TestSupport

/// The rates of faults. A rate of n means one fault in n operations on average; 0 means none.
struct FaultRates {
    /// A request or a reply is lost, and the process gets an error.
    var loss = 0
    /// The process is killed.
    var kill = 0
    /// The clock jumps.
    var clockJump = 0
}

/// Runs processes in one seeded interleaving.
final class Scheduler: @unchecked Sendable {
    /// The thread of one actor, which waits for its turn or has it.
    private final class Lane: @unchecked Sendable {
        let number: Int
        let monitor = Monitor()
        var hasTurn = false
        var isOver = false
        /// True if the lane's present process has been killed. Its calls have no effect from then on.
        var isDead = false
        /// The priority. Under the policy `priorities`, the lane with the highest priority has the next turn.
        var priority = 0
        var time = SimulatedTime()
        var name = ""
        init(_ number: Int) { self.number = number }
    }

    /// The ways to choose the next process.
    private enum Policy: Int, CaseIterable { case even, bursts, priorities }

    let universe = Universe()
    private let random: SeededRandom
    private let rates: FaultRates
    private let policy: Policy
    private var lanes: [Lane] = []
    private let ended = Monitor()
    private var hasEnded = false
    /// The objects in the store.
    private(set) var image: StoreImage
    /// The number of operations so far.
    private(set) var operationCount = 0
    /// Descriptions of all violations so far.
    private(set) var violations: [String] = []
    /// The operations so far, to explain a violation.
    private(set) var trace: [String] = []
    /// True if `trace` is kept.
    var isTraced = false
    /// Called after each deletion.
    var afterDeletion: ((StoreImage) -> Void)?
    /// A run with more operations than this counts as endless.
    private static let operationLimit = 100_000

    /// - Parameter makeImage: makes the first store, with the numbers of `universe`.
    init(seed: UInt64, rates: FaultRates, _ makeImage: (Universe) -> StoreImage) {
        random = SeededRandom(seed: seed)
        self.rates = rates
        policy = Policy(rawValue: random.number(0...2))!
        image = makeImage(universe)
    }

    /// Returns a random number that the seed determines.
    func draw(_ range: ClosedRange<Int>) -> Int { random.number(range) }

    /// Notes a violation.
    func report(_ violation: String) { violations.append(violation) }

    /// Runs actors until all are done. Each actor is a list of processes that run one after the other.
    func run(_ actors: [[Process]], isExpected: @escaping @Sendable (_ process: String, any Error) -> Bool) {
        lanes = actors.indices.map(Lane.init)
        for lane in lanes {
            // The clock is up to ten years fast or slow.
            lane.time.advance(seconds: 0)
            lane.time.jump(to: Timestamp(seconds: 1_767_225_600 + Int64(draw(-315_360_000...315_360_000))))
            lane.priority = draw(0...1000)
        }
        let threads = zip(lanes, actors).map { lane, processes in
            Thread { [self] in
                takeTurn(lane)
                for process in processes { run(process, lane, isExpected) }
                lane.isOver = true
                passTurn(from: lane)
            }
        }
        handOver(to: lanes[draw(0...lanes.count - 1)])
        ended.locked { while !hasEnded { ended.wait() } }
        for thread in threads { thread.join() }
    }

    private func run(
        _ process: Process, _ lane: Lane, _ isExpected: (_ process: String, any Error) -> Bool
    ) {
        lane.isDead = false
        lane.name = process.name
        let store = ActorStore(universe, process: "\(lane.number)", pageCount: draw(1...6)) { [self] in
            perform($0, lane)
        }
        let surroundings = Surroundings(
            store: store, cache: MemoryCache(), time: lane.time,
            random: OneFolderRandom(seed: random.next()),
            pause: { [self, unowned lane] nanoseconds in
                lane.time.advance(seconds: Int64(nanoseconds / 1_000_000_000) + 1)
                if !lane.isDead { passTurn(from: lane) }
            })
        do { try process.run(surroundings) } catch {
            note(lane, "fails: \(error)")
            if !lane.isDead, !isExpected(process.name, error) { report("\(process.name): \(error)") }
        }
        if !lane.isDead { note(lane, "ends") }
    }

    private func perform(_ operation: StoreOperation, _ lane: Lane) -> StoreReply {
        if lane.isDead { return .failed(.dead) }
        passTurn(from: lane)
        operationCount += 1
        if operationCount == Self.operationLimit { report("the run does not come to an end") }
        if oneIn(rates.kill) || operationCount >= Self.operationLimit {
            lane.isDead = true
            let isDone = draw(0...1) == 0
            if isDone { _ = image.apply(operation, universe) }
            note(lane, "\(operation.description(universe)): killed \(isDone ? "after" : "before") it")
            return .failed(.dead)
        }
        if oneIn(rates.clockJump) {
            lane.time.jump(to: Timestamp(seconds: 1_767_225_600 + Int64(draw(-315_360_000...315_360_000))))
        }
        if oneIn(rates.loss) {
            let isDone = draw(0...1) == 0
            if isDone { _ = image.apply(operation, universe) }
            note(lane, "\(operation.description(universe)): \(isDone ? "the reply" : "the request") is lost")
            return .failed(.lost)
        }
        let reply = image.apply(operation, universe)
        note(lane, "\(operation.description(universe)) = \(reply.description(universe))")
        if case .delete = operation { afterDeletion?(image) }
        if reply == .failed(.robbed) {
            report("a sweep took a temporary of a session that may still commit: \(lane.name)")
        }
        return reply
    }

    private func oneIn(_ period: Int) -> Bool { period > 0 && random.oneIn(period) }

    private func note(_ lane: Lane, _ text: @autoclosure () -> String) {
        if isTraced { trace.append("\(lane.number) \(lane.name): \(text())") }
    }

    // MARK: Turns

    /// Gives the turn to a lane that has not ended. It may be the same lane.
    private func passTurn(from lane: Lane) {
        guard let next = choose(lane) else {
            ended.locked {
                hasEnded = true
                ended.signalAll()
            }
            return
        }
        if next === lane { return }
        lane.hasTurn = false
        handOver(to: next)
        if !lane.isOver { takeTurn(lane) }
    }

    private func choose(_ current: Lane) -> Lane? {
        let ready = lanes.filter { !$0.isOver }
        guard !ready.isEmpty else { return nil }
        switch policy {
        case .even: break
        case .bursts: if !current.isOver, !random.oneIn(8) { return current }
        case .priorities:
            // Priorities change rarely, as in probabilistic concurrency testing (Burckhardt et al. 2010).
            if random.oneIn(24) { current.priority = draw(0...1000) - (draw(0...1) == 0 ? 1000 : 0) }
            if !random.oneIn(40) { return ready.max { $0.priority < $1.priority } }
        }
        return ready[draw(0...ready.count - 1)]
    }

    private func handOver(to lane: Lane) {
        lane.monitor.locked {
            lane.hasTurn = true
            lane.monitor.signalAll()
        }
    }

    private func takeTurn(_ lane: Lane) {
        lane.monitor.locked { while !lane.hasTurn { lane.monitor.wait() } }
    }
}
