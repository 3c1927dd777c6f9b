// Explorer: searches all interleavings of the store operations of several processes, and visits each state once. A
// state consists of the objects in the store and the position of each process. A search never returns to an earlier
// state of the same path.
//
// An actor runs processes one after the other. A wish is an object that may be put at any time, such as a forget
// marker. A move is the next operation of an actor, or a wish that comes true.
//
// Of all interleavings with the same result, a reduced search tries few (Explorer+Reduction). If even these are too
// many, a search can limit the number of interruptions (context bounding: Musuvathi and Qadeer, PLDI 2007). An
// interruption is a move of an actor other than the last one, although the last one has not ended. Few interruptions
// find nearly all faults.
//
// Every state is checked, so the search covers processes that stop for good: such a process just never moves again.

import BakStorage

/// Searches depth first.
final class Explorer {
    /// Processes that run one after the other.
    struct Actor {
        var processes: [Process]
    }

    /// An object that may be put at any time while the store has another object. It need not be put.
    struct Wish {
        var object: StoreImage.Object
        /// The key of the other object.
        var needed: Universe.Key
        /// True if the needed object's content lets the wish come true.
        var isGranted: (Universe.Content) -> Bool = { _ in true }
    }

    /// The results of a search.
    struct Outcome {
        /// The number of states with a choice of moves in the last pass.
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

    /// The objects in the store, and the node of each actor's present process.
    struct State {
        var image: StoreImages.Number
        var places: SIMD8<Int32>
        /// The actor that moved last, and the number of interruptions so far. Only a bounded search keeps them.
        var last: Int8 = -1
        var interruptions: UInt8 = 0

        var key: UInt64 {
            var hash = Universe.mix(
                UInt64(UInt32(bitPattern: image)),
                UInt64(UInt8(bitPattern: last)) | UInt64(interruptions) << 8)
            for lane in 0..<4 {
                hash = Universe.mix(
                    hash,
                    UInt64(UInt32(bitPattern: places[2 * lane])) << 32
                        | UInt64(UInt32(bitPattern: places[2 * lane + 1])))
            }
            return hash
        }
    }

    /// The result of a move.
    struct Advance {
        var place: ProcessTrees.Node
        var image: StoreImages.Number
        /// What the move may do and ask.
        var footprint: Footprints.Number
    }

    /// A state on the path that the search is following.
    private struct Frame {
        var state: State
        var key: UInt64
        /// The moves that led here from the state of the frame below.
        var way: [Move]
        /// The moves that the search has not tried yet.
        var moves: MoveSet
    }

    /// The interleavings that a search tries.
    enum Extent: Equatable, Sendable {
        /// All interleavings of single operations.
        case all
        /// As `all`, but of interleavings with the same result only some.
        case reduced
        /// All interleavings of changes. Everything that a process reads between two of its changes is read at one
        /// moment.
        case changes
        /// As `changes`, but of interleavings with the same result only some.
        case reducedChanges
        /// As `changes`, with at most this many interruptions.
        case bounded(interruptions: UInt8)
    }

    let universe: Universe
    let trees: ProcessTrees
    let actors: [Actor]
    private let wish: (Universe.Key) -> Wish?
    /// The first node of each process of each actor.
    private var roots: [[ProcessTrees.Node]] = []
    /// The first node of an actor's next process, indexed by the number of its present process; -1 if there is none.
    private var following = ContiguousArray<ProcessTrees.Node>()
    private(set) var images = StoreImages()
    /// The results of moves, by the process's node and the store's number.
    private var advances = PairTable(filler: Advance(place: -1, image: -1, footprint: Footprints.none))
    /// The store after a wish has come true, by the wish's number and the number of the store before.
    private var fulfilled = PairTable<StoreImages.Number>(filler: -1)
    private(set) var wishes = ContiguousArray<Wish>()
    /// For each store, the wishes that may come true there, and the number of wishes known when they were determined.
    /// They are determined again when more wishes are known.
    private var grants = ContiguousArray<(wishes: MoveSet, count: Int)>()
    /// For each move, the moves that must be tried together with it at the present state.
    var companions = Companions()
    private(set) var visible = VisibleChanges()
    /// The number of the universe's keys for which wishes and effects are known.
    private var keyCount = 0
    private var outcome = Outcome()
    /// The moves since the last choice.
    private var way: [Move] = []
    /// The operations and their replies while the search repeats a path for a report; nil at all other times.
    private var log: [String]?
    var extent = Extent.reduced
    private var isReduced: Bool { extent == .reduced || extent == .reducedChanges }
    private var isAtChanges: Bool { extent != .all && extent != .reduced }
    /// True if a process may fail in this way without a fault in the protocol.
    var isExpected: (_ failure: String) -> Bool = { _ in false }
    /// Returns a description of what is wrong with a store in the middle of a run; nil if nothing is wrong.
    var fault: (StoreImage) -> String? = { _ in nil }
    /// Returns how puts and deletions of an object may change the result of `fault`.
    var effects: (Universe.Key) -> VisibleChanges.Effects = { _ in .all }
    /// Returns a description of what is wrong with a store once no process acts any more; nil if nothing is wrong.
    var faultAtEnd: (StoreImage) -> String? = { _ in nil }
    /// Called after every millionth state.
    var onProgress: (Outcome) -> Void = { _ in }
    /// Draws which move to try next; nil for a fixed order.
    var draw: ((Range<Int>) -> Int)?
    /// The search fails after more moves than this without a choice, because the processes then never end.
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
            following += nodes.dropFirst() + (nodes.isEmpty ? [] : [-1])
            roots.append(nodes)
        }
    }

    /// Explores from `image` until every state has been visited, a fault is found, or `limit` states are reached.
    ///
    /// A reduced search leaves out moves because of the known futures of processes. If a pass learns more about a
    /// future, it may have left out too much, so another pass follows.
    func run(from image: StoreImage, limit: Int = .max) throws -> Outcome {
        var start = State(image: number(of: image), places: SIMD8(repeating: -1))
        for (number, nodes) in roots.enumerated() {
            start.places[number] = nodes.first ?? -1
            try conclude(&start.places[number], image, number)
        }
        var growth: Int
        repeat {
            growth = trees.growth
            try pass(from: start, limit)
            outcome.passes += 1
        } while outcome.isExhausted && isReduced && trees.growth > growth
        (outcome.histories, outcome.runs) = (trees.count, trees.runCount)
        // ActorStore answers listings of all other folders for packs without an operation, so a pack there would be
        // missed.
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
            let moves = try moves(from: state)
            // If `moves` has found a failure, the path ends here. A frame for it would report the last moves twice.
            if outcome.violation != nil { return }
            stack.append(Frame(state: state, key: key, way: way, moves: moves))
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

    /// Returns the number of a store, and checks the store if it is new.
    private func number(of image: StoreImage) -> StoreImages.Number {
        let (number, isNew) = images.number(of: image)
        if isNew {
            outcome.images += 1
            outcome.violation = outcome.violation ?? fault(image)
            grants.append((MoveSet(), 0))
        }
        return number
    }

    private func end(_ image: StoreImages.Number) {
        guard outcome.ends.insert(images[image].hash).inserted else { return }
        outcome.violation = outcome.violation ?? faultAtEnd(images[image]).map { "at the end: " + $0 }
    }

    // MARK: Moving

    /// Returns the result of an actor's move.
    func advance(_ actor: Int, _ state: State) throws -> Advance {
        if log == nil, let known = advances[state.places[actor], state.image] { return known }
        let found = try perform(actor, state)
        if log == nil { advances.insert(state.places[actor], state.image, found) }
        return found
    }

    /// Makes one move of an actor: one operation, or with `isAtChanges` all its reads up to the next change.
    private func perform(_ actor: Int, _ state: State) throws -> Advance {
        var (place, image) = (state.places[actor], images[state.image])
        var footprint = Footprints.none
        repeat {
            guard let operation = trees.operation(place) else { throw SimulationFault("no next call") }
            footprint = trees.footprint(footprint, with: operation)
            let reply = image.apply(operation, universe)
            log?.append(
                "\(actor) \(trees.name(place)): \(operation.description(universe)) = "
                    + reply.description(universe))
            place = trees.child(place, reply)
            try conclude(&place, image, actor)
            if !isAtChanges || operation.isMutation { break }
        } while place >= 0 && trees.operation(place)?.isMutation == false
        return Advance(place: place, image: number(of: image), footprint: footprint)
    }

    /// Returns the footprint of an actor's next move.
    func footprint(_ actor: Int, _ state: State) throws -> Footprints.Number {
        let wasFine = outcome.violation == nil
        let found = try advance(actor, state).footprint
        // If the actor fails in that move, the move belongs to the path that is reported.
        if wasFine, outcome.violation != nil { way.append(.actor(actor)) }
        return found
    }

    /// Returns the store after a wish has come true.
    private func fulfil(_ number: Int, _ image: StoreImages.Number) -> StoreImages.Number {
        if let known = fulfilled[Int32(number), image] { return known }
        var store = images[image]
        _ = store.apply(.put(wishes[number].object), universe)
        let found = self.number(of: store)
        fulfilled.insert(Int32(number), image, found)
        return found
    }

    /// Returns the state after a move.
    private func step(_ state: State, _ move: Move) throws -> State {
        var next = state
        way.append(move)
        switch move {
        case .wish(let number):
            next.image = fulfil(number, state.image)
            log?.append("someone: put \(universe.name(wishes[number].object.key))")
        case .actor(let actor):
            let advance = try advance(actor, state)
            (next.image, next.places[actor]) = (advance.image, advance.place)
            if case .bounded = extent {
                if let last = lastMove(state), !last.contains(move) { next.interruptions += 1 }
                next.last = Int8(actor)
            }
        }
        return next
    }

    /// Determines the operation that an actor does next. If the actor's process has ended, continues with the actor's
    /// next process.
    private func conclude(_ place: inout ProcessTrees.Node, _ image: StoreImage, _ actor: Int) throws {
        while place >= 0, trees.operation(place) == nil {
            let ended = place
            guard case .ended(let failure) = try trees.next(&place, image) else { return }
            log?.append("\(actor) \(trees.name(ended)): ends" + (failure.map { " with \($0)" } ?? ""))
            if let failure, !isExpected(failure) {
                outcome.violation = "\(trees.name(ended)) failed: \(failure)"
            }
            place = following[trees.process(of: ended)]
        }
    }

    /// Makes moves as long as there is only one to choose from, and returns the state.
    private func settled(_ start: State) throws -> State {
        var state = start
        for _ in 0..<Self.chainLimit {
            if outcome.violation != nil { return state }
            let moves = try moves(from: state)
            guard moves.count == 1, outcome.violation == nil else { return state }
            state = try step(state, moves.first)
        }
        throw SimulationFault("it does not come to an end")
    }

    /// Returns the moves that the search must try at a state.
    private func moves(from state: State) throws -> MoveSet {
        lookAtNewKeys()
        var live = MoveSet()
        for actor in actors.indices where state.places[actor] >= 0 { live.insert(.actor(actor)) }
        if live.isEmpty { end(state.image) }
        if isReduced, !live.isEmpty { return try reducedMoves(live, state) }
        if case .bounded(let limit) = extent, state.interruptions == limit, let last = lastMove(state) {
            live = last
        }
        live.formUnion(granted(state.image))
        return live
    }

    /// Returns the move of the last actor, unless that actor has ended.
    private func lastMove(_ state: State) -> MoveSet? {
        guard state.last >= 0, state.places[Int(state.last)] >= 0 else { return nil }
        var moves = MoveSet()
        moves.insert(.actor(Int(state.last)))
        return moves
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

    /// Returns the wishes that may come true now and have not come true yet.
    func granted(_ image: StoreImages.Number) -> MoveSet {
        let known = grants[Int(image)]
        if known.count == wishes.count { return known.wishes }
        var granted = MoveSet()
        let store = images[image]
        for (number, wish) in wishes.enumerated() where !store.contains(wish.object.key) {
            if let content = store[wish.needed], wish.isGranted(content) { granted.insert(.wish(number)) }
        }
        grants[Int(image)] = (granted, wishes.count)
        return granted
    }

    /// True if `test` is true of a known future of the actor's present process or of one that follows.
    func future(of actor: Int, _ state: State, _ test: (Footprint) -> Bool) -> Bool {
        var place = state.places[actor]
        while place >= 0 {
            if test(trees.footprints[trees.future(place)]) { return true }
            place = following[trees.process(of: place)]
        }
        return false
    }

    // MARK: Telling

    /// Returns every call on a path, with its reply.
    private func trace(_ start: State, _ moves: [Move]) throws -> [String] {
        log = []
        defer { log = nil }
        _ = try moves.reduce(start, step)
        return log ?? []
    }
}
