// Explorer: every interleaving of the store operations of several processes, each state visited once.
//
// A state is what the store holds and what each process has been told. Two reductions, which lose no behaviour:
// - A call whose reply no one can change any more is done at once: it commutes with all that others do.
// - A read of an object that is there and may yet be deleted happens either at once or after the deletion: an object
//   is never changed, so whatever lies between makes no difference to anyone.
// A process that stops for good is one that never moves again, which is among the interleavings.
//
// Where these are still too many, the search can be bounded by how often an actor is interrupted by another although
// it could go on (context bounding: Musuvathi and Qadeer, PLDI 2007): few interruptions find nearly all faults.

import BakStorage

/// Searches depth first.
final class Explorer {
    /// Processes that run one after the other.
    struct Actor {
        var processes: [Process]
        /// Whether it may delete objects.
        var deletes = false
    }

    /// What others than the processes may do to the store.
    typealias Environment = (StoreImage) -> [StoreOperation]

    /// What the search found out.
    struct Outcome {
        var states = 0
        var steps = 0
        var images = 0
        var ends = 0
        var histories = 0
        var runs = 0
        var isExhausted = false
        var violation: String?
        var trace: [String] = []
    }

    private struct State {
        var image: StoreImage
        var places: SIMD8<Int32>
        /// Which actors wait for what they would read to be deleted; a bit each.
        var deferred: UInt8 = 0
        /// Who moved last, and how often someone who could go on was interrupted; counted in a bounded search only.
        var last: Int8 = -1
        var interruptions: UInt8 = 0

        var key: UInt64 {
            var hash = Universe.mix(
                image.hash,
                UInt64(deferred) | UInt64(UInt8(bitPattern: last)) << 8 | UInt64(interruptions) << 16)
            for lane in 0..<4 {
                hash = Universe.mix(
                    hash,
                    UInt64(UInt32(bitPattern: places[2 * lane])) << 32
                        | UInt64(UInt32(bitPattern: places[2 * lane + 1])))
            }
            return hash
        }
    }

    private let universe: Universe
    private let trees: ProcessTrees
    private let actors: [Actor]
    private let environment: Environment
    /// The first node of each process of each actor, and −1 behind the last.
    private var roots: [[ProcessTrees.Node]] = []
    private var following: [ProcessTrees.Node: ProcessTrees.Node] = [:]
    private var outcome = Outcome()
    private var checked = HashSet64()
    /// How finely processes are interleaved.
    enum Grain {
        /// At every operation.
        case operations
        /// At every change and where reading begins: what a process reads between two changes of its own it reads
        /// at one moment.
        case changes
    }
    var grain = Grain.operations
    /// How often actors may be interrupted by others; nil for any number.
    var interruptionLimit: UInt8?
    /// A process's failure that is none of the protocol's.
    var isExpected: (_ failure: String) -> Bool = { _ in false }
    /// What is wrong with a store at any moment.
    var fault: (StoreImage) -> String? = { _ in nil }
    /// What is wrong with a store once no one does anything any more.
    var faultAtEnd: (StoreImage) -> String? = { _ in nil }
    /// Draws the order in which steps are tried; nil for a fixed one.
    var shuffle: ((Range<Int>) -> Int)?

    init(_ universe: Universe, _ actors: [Actor], environment: @escaping Environment = { _ in [] }) {
        precondition(actors.count <= 8)
        self.universe = universe
        self.actors = actors
        self.environment = environment
        trees = ProcessTrees(universe)
        for (number, actor) in actors.enumerated() {
            let nodes = actor.processes.enumerated().map { index, process in
                trees.add(process, seed: UInt64(number * 100 + index + 1))
            }
            for (node, next) in zip(nodes, Array(nodes.dropFirst()) + [-1]) { following[node] = next }
            roots.append(nodes)
        }
    }

    /// Explores from `image` until everything has been seen, something is wrong, or `limit` states are reached.
    func run(from image: StoreImage, limit: Int = .max) throws -> Outcome {
        var places = SIMD8<Int32>(repeating: -1)
        for (number, nodes) in roots.enumerated() { places[number] = nodes.first ?? -1 }
        var visited = HashSet64()
        var firsts = [State(image: image, places: places)]
        for actor in actors.indices { firsts = try firsts.flatMap { try settled($0, actor) } }
        var stack: [(state: State, successors: [State])] = [(State(image: image, places: places), firsts)]
        while outcome.violation == nil, let last = stack.indices.last {
            guard let state = stack[last].successors.popLast() else {
                stack.removeLast()
                continue
            }
            outcome.steps += 1
            guard visited.insert(state.key) else { continue }
            outcome.states += 1
            check(state.image)
            let successors = outcome.violation == nil ? try successors(of: state) : []
            if outcome.violation == nil, successors.isEmpty { end(state.image) }
            stack.append((state, successors))
            if outcome.states >= limit { break }
        }
        outcome.isExhausted = stack.isEmpty && outcome.violation == nil
        if outcome.violation != nil { outcome.trace = try trace(stack.map(\.state)) }
        (outcome.histories, outcome.runs) = (trees.count, trees.runCount)
        // Their listings are answered without a look.
        let strays = universe.keys.filter {
            $0.description.hasPrefix("packs/") && !$0.description.hasPrefix(OneFolderRandom.packFolder)
        }
        if let stray = strays.first { throw SimulationFault("\(stray) is not in the one folder of packs") }
        return outcome
    }

    private func check(_ image: StoreImage) {
        guard checked.insert(image.hash) else { return }
        outcome.images += 1
        outcome.violation = fault(image)
    }

    private func end(_ image: StoreImage) {
        guard checked.insert(image.hash ^ 0x5bd1_e995_5bd1_e995) else { return }
        outcome.ends += 1
        outcome.violation = faultAtEnd(image).map { "at the end: " + $0 }
    }

    private func successors(of state: State) throws -> [State] {
        var result: [State] = []
        for operation in environment(state.image) {
            var next = state
            _ = next.image.apply(operation, universe)
            result.append(next)
        }
        for actor in actors.indices where state.places[actor] >= 0 {
            guard case .operation(let operation) = try trees.next(state.places[actor], state.image) else {
                continue
            }
            let isDeferred = state.deferred & 1 << actor != 0
            if isDeferred, let key = operation.readKey, state.image[key] != nil { continue }
            var next = state
            next.deferred &= ~(1 << actor)
            if let interruptionLimit {
                if interrupts(actor, state) { next.interruptions += 1 }
                guard next.interruptions <= interruptionLimit else { continue }
                next.last = Int8(actor)
            }
            let reply = next.image.apply(operation, universe)
            next.places[actor] = trees.child(state.places[actor], reply)
            result += try settled(next, actor, isReading: !operation.isMutation)
        }
        if let shuffle {
            for index in result.indices.dropFirst() { result.swapAt(index, shuffle(0..<index + 1)) }
        }
        return result
    }

    /// Whether someone else moved last and could go on.
    private func interrupts(_ actor: Int, _ state: State) -> Bool {
        let last = Int(state.last)
        return last >= 0 && last != actor && state.places[last] >= 0 && state.deferred & 1 << last == 0
    }

    /// Goes on with an actor as far as no one else can make a difference.
    private func settled(_ start: State, _ actor: Int, isReading: Bool = false) throws -> [State] {
        var late: [State] = []
        var state = start
        while state.places[actor] >= 0, outcome.violation == nil {
            switch try trees.next(state.places[actor], state.image) {
            case .unknown: throw SimulationFault("a process has no next call")
            case .ended(let failure):
                if let failure, !isExpected(failure) {
                    outcome.violation = "\(trees.name(state.places[actor])) failed: \(failure)"
                }
                state.places[actor] = following[trees.root(of: state.places[actor])] ?? -1
                continue
            case .operation(let operation):
                let goesOn = isReading && grain == .changes && !operation.isMutation
                guard let isSettled = goesOn ? true : isSettled(operation, state, actor) else {
                    return late + [state]
                }
                if !isSettled, grain == .operations {
                    var waiting = state
                    waiting.deferred |= 1 << actor
                    late.append(waiting)
                }
                let reply = state.image.apply(operation, universe)
                state.places[actor] = trees.child(state.places[actor], reply)
            }
        }
        return late + [state]
    }

    /// Whether a call's reply can never change; nil when it must be interleaved with what others do. A read of what
    /// may be deleted is false.
    private func isSettled(_ operation: StoreOperation, _ state: State, _ actor: Int) -> Bool? {
        switch operation {
        case .size(let key), .read(let key, _, _):
            guard state.image[key] != nil else { return nil }
            let folder = universe.folders[Int(universe.folderOfKey[Int(key)])]
            guard folder.hasPrefix("packs") || folder == "index" else { return true }
            return !actors.indices.contains {
                $0 != actor && actors[$0].deletes && state.places[$0] >= 0
            }
        default: return nil
        }
    }

    /// Every call on the way through `states`, with its reply.
    private func trace(_ states: [State]) throws -> [String] {
        try zip(states, states.dropFirst()).flatMap { before, after -> [String] in
            guard let actor = actors.indices.first(where: { before.places[$0] != after.places[$0] }) else {
                return after.image.objects.filter { before.image[$0.key] == nil }
                    .map { "environment: put \(universe.keys[Int($0.key)])" }
            }
            var lines: [String] = []
            var (image, place) = (before.image, before.places[actor])
            while place != after.places[actor],
                case .operation(let operation) = try trees.next(place, image)
            {
                let reply = image.apply(operation, universe)
                lines.append(
                    "\(actor) \(trees.name(place)): \(operation.description(universe)) = \(reply.description(universe))"
                )
                place = trees.child(place, reply)
            }
            return lines + (place == after.places[actor] ? [] : ["\(actor) \(trees.name(place)): ends"])
        }
    }
}

extension StoreOperation {
    /// The key whose presence alone decides the reply.
    var readKey: Universe.Key? {
        switch self {
        case .size(let key), .read(let key, _, _): key
        default: nil
        }
    }
}

/// A set of hashes; eight bytes for each and little more.
struct HashSet64 {
    private var slots = [UInt64](repeating: 0, count: 1 << 10)
    private(set) var count = 0

    /// Adds a hash; false when it was there.
    mutating func insert(_ hash: UInt64) -> Bool {
        // Zero stands for an empty slot.
        let value = max(hash, 1)
        if count * 10 > slots.count * 7 { grow() }
        return place(value)
    }

    private mutating func place(_ value: UInt64) -> Bool {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: value) & mask
        while slots[slot] != 0 {
            if slots[slot] == value { return false }
            slot = (slot + 1) & mask
        }
        slots[slot] = value
        count += 1
        return true
    }

    private mutating func grow() {
        let old = slots
        slots = [UInt64](repeating: 0, count: old.count * 2)
        count = 0
        for value in old where value != 0 { _ = place(value) }
    }
}
