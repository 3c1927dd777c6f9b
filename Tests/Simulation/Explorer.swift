// Explorer: every interleaving of the store operations of several processes, each state visited once. A state is what
// the store holds and where each process is; no state is ever come to again from itself.
//
// Interleavings that come to the same are tried once (Explorer+Reduction). Where even these are too many, a search can
// be bounded by how often an actor is interrupted by another although it could go on (context bounding: Musuvathi and
// Qadeer, PLDI 2007): few interruptions find nearly all faults.
//
// A process that stops for good is one that never moves again, which is among the interleavings.

import BakStorage

/// Searches depth first.
final class Explorer {
    /// Processes that run one after the other.
    struct Actor {
        var processes: [Process]
    }

    /// Something that someone may put at any time, and need not, while the store has another object.
    struct Wish {
        var object: StoreImage.Object
        /// The key of the other object,
        var needed: Universe.Key
        /// and with which contents of it.
        var isGranted: (Universe.Content) -> Bool = { _ in true }
    }

    /// What the search found out.
    struct Outcome {
        /// At which there is a choice, in the last pass.
        var states = 0
        var passes = 0
        var images = 0
        var ends: Set<UInt64> = []
        var histories = 0
        var runs = 0
        var isExhausted = false
        var violation: String?
        var trace: [String] = []
    }

    /// What the store holds and where each process is.
    struct State {
        var image: StoreImage
        var places: SIMD8<Int32>
        /// Who moved last, whether that was to read, and how often someone who could go on was interrupted; kept in
        /// a bounded search only.
        var last: Int8 = -1
        var isReading = false
        var interruptions: UInt8 = 0

        var key: UInt64 {
            var hash = Universe.mix(
                image.hash,
                UInt64(UInt8(bitPattern: last)) | UInt64(interruptions) << 8 | (isReading ? 1 << 16 : 0))
            for lane in 0..<4 {
                hash = Universe.mix(
                    hash,
                    UInt64(UInt32(bitPattern: places[2 * lane])) << 32
                        | UInt64(UInt32(bitPattern: places[2 * lane + 1])))
            }
            return hash
        }
    }

    /// A state on the way to the present one.
    private struct Frame {
        var state: State
        var key: UInt64
        /// The moves from the state before.
        var way: [Move]
        /// What is still to be tried.
        var moves: MoveSet
    }

    /// Which interleavings are tried.
    enum Extent: Equatable {
        /// All, one by one.
        case all
        /// All, those that come to the same once.
        case reduced
        /// All where reading begins and at changes: what a process reads between two changes of its own it reads at
        /// one moment.
        case changes
        /// Of these, those that come to the same once.
        case reducedChanges
        /// Those in which actors are interrupted so often, where reading begins and at changes: what a process
        /// reads between two changes of its own it reads at one moment.
        case bounded(interruptions: UInt8)
    }

    let universe: Universe
    let trees: ProcessTrees
    let actors: [Actor]
    private let wish: (Universe.Key) -> Wish?
    /// The first node of each process of each actor.
    private var roots: [[ProcessTrees.Node]] = []
    /// The first node of an actor's next process, by that of the one before.
    private(set) var following: [ProcessTrees.Node: ProcessTrees.Node] = [:]
    private(set) var wishes: [Wish] = []
    private(set) var visible = VisibleChanges()
    /// So many of the universe's keys have been looked at.
    private var keyCount = 0
    private var outcome = Outcome()
    private var checked = HashSet64()
    /// The moves since the last choice.
    private var way: [Move] = []
    /// What was done, while a way is gone again to be told.
    private var log: [String]?
    var extent = Extent.reduced
    private var isReduced: Bool { extent == .reduced || extent == .reducedChanges }
    /// A process's failure that is none of the protocol's.
    var isExpected: (_ failure: String) -> Bool = { _ in false }
    /// What is wrong with a store at any moment.
    var fault: (StoreImage) -> String? = { _ in nil }
    /// What changes of an object may do to `fault`.
    var effects: (Universe.Key) -> VisibleChanges.Effects = { _ in .all }
    /// What is wrong with a store once no one does anything any more.
    var faultAtEnd: (StoreImage) -> String? = { _ in nil }
    /// Told of every millionth state.
    var onProgress: (Outcome) -> Void = { _ in }
    /// Draws the order in which moves are tried; nil for a fixed one.
    var draw: ((Range<Int>) -> Int)?
    /// A move takes no more operations than this without a choice.
    private static let chainLimit = 100_000

    init(
        _ universe: Universe, _ actors: [Actor], wish: @escaping (Universe.Key) -> Wish? = { _ in nil }
    ) {
        precondition(actors.count <= MoveSet.actorLimit)
        self.universe = universe
        self.actors = actors
        self.wish = wish
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
    ///
    /// What is left out rests on what processes may yet do. A pass that learns more of that is followed by another.
    func run(from image: StoreImage, limit: Int = .max) throws -> Outcome {
        var start = State(image: image, places: SIMD8(repeating: -1))
        for (number, nodes) in roots.enumerated() { start.places[number] = nodes.first ?? -1 }
        for actor in actors.indices { try conclude(&start, actor) }
        check(image)
        var growth: Int
        repeat {
            growth = trees.growth
            try pass(from: start, limit)
            outcome.passes += 1
        } while outcome.isExhausted && isReduced && trees.growth > growth
        (outcome.histories, outcome.runs) = (trees.count, trees.runCount)
        // Their listings are answered without a look.
        let strays = universe.keys.filter {
            $0.description.hasPrefix("packs/") && !$0.description.hasPrefix(OneFolderRandom.packFolder)
        }
        if let stray = strays.first { throw SimulationFault("\(stray) is not in the one folder of packs") }
        return outcome
    }

    private func pass(from start: State, _ limit: Int) throws {
        var visited = HashSet64()
        var (stack, onStack): ([Frame], Set<UInt64>) = ([], [])
        outcome.states = 0
        func enter(_ state: State) throws {
            let key = state.key
            guard visited.insert(key) else {
                if onStack.contains(key) { throw SimulationFault("a state is come to from itself") }
                return
            }
            outcome.states += 1
            if outcome.states % 1_000_000 == 0 {
                (outcome.histories, outcome.runs) = (trees.count, trees.runCount)
                onProgress(outcome)
            }
            stack.append(Frame(state: state, key: key, way: way, moves: try moves(from: state)))
            onStack.insert(key)
        }
        way = []
        try enter(settled(start))
        while outcome.violation == nil, let top = stack.indices.last, outcome.states < limit {
            guard let move = stack[top].moves.pop(draw) else {
                onStack.remove(stack.removeLast().key)
                continue
            }
            way.removeAll(keepingCapacity: true)
            let state = try settled(step(stack[top].state, move))
            if outcome.violation == nil { try enter(state) }
        }
        outcome.isExhausted = stack.isEmpty && outcome.violation == nil
        if outcome.violation != nil { outcome.trace = try trace(start, stack.flatMap(\.way) + way) }
    }

    private func check(_ image: StoreImage) {
        guard checked.insert(image.hash) else { return }
        outcome.images += 1
        outcome.violation = outcome.violation ?? fault(image)
    }

    private func end(_ image: StoreImage) {
        guard outcome.ends.insert(image.hash).inserted else { return }
        outcome.violation = outcome.violation ?? faultAtEnd(image).map { "at the end: " + $0 }
    }

    // MARK: Moving

    /// What a live actor does next; nil for one that is over.
    func operation(_ actor: Int, _ state: State) -> StoreOperation? {
        state.places[actor] < 0 ? nil : trees.operation(state.places[actor])
    }

    /// All that an actor does in one move: an operation, or what it reads at one moment.
    func operations(_ actor: Int, _ state: State) throws -> [StoreOperation] {
        guard let first = operation(actor, state) else { return [] }
        guard extent == .reducedChanges, !first.isMutation else { return [first] }
        var (next, found) = (state, [StoreOperation]())
        while let operation = operation(actor, next), !operation.isMutation {
            found.append(operation)
            next.places[actor] = trees.child(next.places[actor], next.image.apply(operation, universe))
            try conclude(&next, actor)
        }
        return found
    }

    /// The state after a move.
    private func step(_ state: State, _ move: Move) throws -> State {
        var next = state
        way.append(move)
        switch move {
        case .wish(let number):
            _ = next.image.apply(.put(wishes[number].object), universe)
            log?.append("someone: put \(universe.name(wishes[number].object.key))")
        case .actor(let actor):
            guard let operation = operation(actor, state) else { throw SimulationFault("no next call") }
            if case .bounded = extent {
                if let last = lastMove(state), !last.contains(move) { next.interruptions += 1 }
                (next.last, next.isReading) = (Int8(actor), !operation.isMutation)
            }
            let reply = next.image.apply(operation, universe)
            log?.append(
                "\(actor) \(trees.name(state.places[actor])): \(operation.description(universe)) = "
                    + reply.description(universe))
            next.places[actor] = trees.child(state.places[actor], reply)
            try conclude(&next, actor)
            if extent == .changes || extent == .reducedChanges {
                (next.last, next.isReading) = (Int8(actor), !operation.isMutation)
                if goesOn(next) == nil { (next.last, next.isReading) = (-1, false) }
            }
        }
        if next.image.hash != state.image.hash { check(next.image) }
        return next
    }

    /// Finds out what an actor does next.
    private func conclude(_ state: inout State, _ actor: Int) throws {
        while state.places[actor] >= 0, trees.operation(state.places[actor]) == nil {
            let place = state.places[actor]
            guard case .ended(let failure) = try trees.next(&state.places[actor], state.image) else { return }
            log?.append("\(actor) \(trees.name(place)): ends" + (failure.map { " with \($0)" } ?? ""))
            if let failure, !isExpected(failure) {
                outcome.violation = "\(trees.name(place)) failed: \(failure)"
            }
            state.places[actor] = following[trees.root(of: place)] ?? -1
        }
    }

    /// Goes on as long as there is no choice.
    private func settled(_ start: State) throws -> State {
        var state = start
        for _ in 0..<Self.chainLimit {
            if outcome.violation != nil { return state }
            let moves = try moves(from: state)
            guard moves.count == 1 else { return state }
            state = try step(state, moves.first)
        }
        throw SimulationFault("it does not come to an end")
    }

    /// The moves that must be tried.
    private func moves(from state: State) throws -> MoveSet {
        lookAtNewKeys()
        var live = MoveSet()
        for actor in actors.indices where state.places[actor] >= 0 { live.insert(.actor(actor)) }
        if live.isEmpty { end(state.image) }
        switch extent {
        case .reduced where !live.isEmpty: return try reducedMoves(live, state)
        case .changes: if let last = goesOn(state) { return last }
        case .reducedChanges where !live.isEmpty: return try goesOn(state) ?? reducedMoves(live, state)
        case .bounded(let limit):
            if let last = goesOn(state) { return last }
            if state.interruptions == limit, let last = lastMove(state) { live = last }
        default: break
        }
        for number in wishes.indices where isEnabled(number, state.image) { live.insert(.wish(number)) }
        return live
    }

    /// Who moved last, unless that is over.
    private func lastMove(_ state: State) -> MoveSet? {
        guard state.last >= 0, state.places[Int(state.last)] >= 0 else { return nil }
        var moves = MoveSet()
        moves.insert(.actor(Int(state.last)))
        return moves
    }

    /// Who reads and reads on at the same moment.
    private func goesOn(_ state: State) -> MoveSet? {
        guard state.isReading, operation(Int(state.last), state)?.isMutation == false else { return nil }
        return lastMove(state)
    }

    private func lookAtNewKeys() {
        while keyCount < universe.keys.count {
            let key = Universe.Key(keyCount)
            visible.add(key, effects(key))
            if let wish = wish(key) { wishes.append(wish) }
            keyCount += 1
        }
        precondition(wishes.count <= MoveSet.wishLimit)
    }

    /// Whether what is wished may be put now, and has not been.
    func isEnabled(_ number: Int, _ image: StoreImage) -> Bool {
        let wish = wishes[number]
        guard !image.contains(wish.object.key), let content = image[wish.needed] else { return false }
        return wish.isGranted(content)
    }

    // MARK: Telling

    /// Every call on a way, with its reply.
    private func trace(_ start: State, _ moves: [Move]) throws -> [String] {
        log = []
        defer { log = nil }
        _ = try moves.reduce(start, step)
        return log ?? []
    }
}
