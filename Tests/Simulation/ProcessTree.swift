// ProcessTree: what one process does next, given every reply that it has had so far.
//
// A process is ordinary blocking code over a store. It is deterministic: its next call depends on the replies to the
// calls before it and on nothing else. So its behaviour is a tree, in which each node is a history of replies. To find
// out what follows an unknown node, the process runs from its start with that history. No thread is needed, and what
// was found out serves every interleaving in which the process sees the same.

import BakCore
import BakStorage
import TestSupport

@testable import BakRepository

/// What a process has to work with.
struct Surroundings {
    var store: any ObjectStore
    var cache: any LocalCache
    var time: any TimeSource
    var random: any RandomSource
    /// Called while the process waits for others.
    var pause: @Sendable (_ nanoseconds: UInt64) -> Void = { _ in }
    /// Told how far the process is.
    var milestones = Milestones()
}

/// One run of the program.
struct Process: Sendable {
    var name: String
    var run: @Sendable (Surroundings) throws -> Void
}

/// Random ids whose packs lie in one folder, so that the other 255 folders need no listing. For one thread at a time.
final class OneFolderRandom: RandomSource, @unchecked Sendable {
    private let base: SeededRandom
    /// How many ids were drawn or skipped.
    private(set) var drawn = 0

    init(seed: UInt64) { base = SeededRandom(seed: seed) }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        base.fill(buffer)
        drawn += 1
        // An id takes its first half from the first eight bytes, in the processor's byte order.
        if buffer.count == 16 { buffer[UInt16(1).littleEndian == 1 ? 7 : 0] = 0 }
    }

    /// Skips ids up to a multiple of `count`. Then it does not matter how many were drawn since the last multiple.
    func skip(toMultipleOf count: Int) {
        while drawn % count != 0 { _ = ID128(from: self) }
    }

    /// The only folder that has packs.
    static let packFolder = "packs/00"

    /// True of a folder for packs that never has any.
    static func isEmpty(_ folder: String) -> Bool { folder.hasPrefix("packs/") && folder != packFolder }
}

/// The trees of all processes of an exploration.
final class ProcessTrees {
    typealias Node = Int32

    /// What follows a history.
    enum Next: Equatable {
        case unknown
        case operation(StoreOperation)
        /// The same as follows another history.
        case same(as: Node)
        /// The process is over, well or with an error.
        case ended(failure: String?)
    }

    private struct Edge: Hashable {
        var node: Node
        var reply: StoreReply
    }

    private let universe: Universe
    private var processes: [(process: Process, seed: UInt64)] = []
    private var nexts = ContiguousArray<Next>()
    /// The operations in `nexts`; nil where none comes next or none is known.
    private var operations = ContiguousArray<StoreOperation?>()
    private var parents: [Node] = []
    private var replies: [StoreReply?] = []
    private var trees = ContiguousArray<Int32>()
    private var children: [Edge: Node] = [:]
    /// The nodes at milestones, by the process and what it knows.
    private var milestones: [[String]: Node] = [:]
    /// The nodes that lead to a milestone's node, apart from its parent.
    private var others: [Node: [Node]] = [:]
    /// True if histories stay apart at milestones.
    var ignoresMilestones = false
    /// What each node's process may yet do, from there on, as far as that is known.
    private var futures = ContiguousArray<Footprints.Number>()
    private(set) var footprints = Footprints()
    /// How often more became known about a future.
    private(set) var growth = 0
    /// How often a process was run.
    private(set) var runCount = 0

    init(_ universe: Universe) { self.universe = universe }

    var count: Int { nexts.count }

    /// Adds a process and returns its first node.
    func add(_ process: Process, seed: UInt64) -> Node {
        processes.append((process, seed))
        return addNode(parent: -1, reply: nil, tree: Int32(processes.count - 1))
    }

    /// Returns the node after a reply.
    func child(_ node: Node, _ reply: StoreReply) -> Node {
        let edge = Edge(node: node, reply: reply)
        if let child = children[edge] { return child }
        let child = addNode(parent: node, reply: reply, tree: trees[Int(node)])
        children[edge] = child
        return child
    }

    /// Finds out what the process at `node` does next, and moves `node` to the one that stands for all that are the
    /// same. If that is not known yet, runs the process to its end on `image`, as if no other process did anything any
    /// more.
    func next(_ node: inout Node, _ image: @autoclosure () -> StoreImage) throws -> Next {
        if nexts[Int(node)] == .unknown { try run(to: node, then: image()) }
        while case .same(let other) = nexts[Int(node)] { node = other }
        return nexts[Int(node)]
    }

    /// Returns the operation that comes next at a node; nil if none does or none is known.
    func operation(_ node: Node) -> StoreOperation? { operations[Int(node)] }

    /// Returns the number of a node's process, in the order in which processes were added.
    func process(of node: Node) -> Int { Int(trees[Int(node)]) }

    /// Returns a footprint with one more operation.
    func footprint(_ footprint: Footprints.Number, with operation: StoreOperation) -> Footprints.Number {
        footprints.union(footprint, footprints.number(of: operation))
    }

    /// Returns the name of a node's process.
    func name(_ node: Node) -> String { processes[Int(trees[Int(node)])].process.name }

    private func addNode(parent: Node, reply: StoreReply?, tree: Int32) -> Node {
        nexts.append(.unknown)
        operations.append(nil)
        parents.append(parent)
        replies.append(reply)
        trees.append(tree)
        futures.append(Footprints.none)
        return Node(nexts.count - 1)
    }

    /// Returns the number of the footprint that a process may yet have from a node on, as far as that is known.
    func future(_ node: Node) -> Footprints.Number { futures[Int(node)] }

    /// Records that more may be done at a node, and so at all nodes that lead there.
    private func learn(_ footprint: Footprints.Number, at node: Node) {
        var waiting = [node]
        while let node = waiting.popLast() {
            let known = futures[Int(node)]
            let more = footprints.union(known, footprint)
            if more == known { continue }
            futures[Int(node)] = more
            growth += 1
            if parents[Int(node)] >= 0 { waiting.append(parents[Int(node)]) }
            waiting += others[node] ?? []
        }
    }

    // MARK: Learning

    /// Records what comes next at a node, if that was not known. Returns nil, or what was known instead.
    fileprivate func note(_ next: Next, at node: Node) -> Next? {
        if nexts[Int(node)] == .unknown {
            nexts[Int(node)] = next
            if case .operation(let operation) = next {
                operations[Int(node)] = operation
                learn(footprints.number(of: operation), at: node)
            }
        }
        return nexts[Int(node)] == next ? nil : nexts[Int(node)]
    }

    /// Returns the milestone's node that a process reaches at `node`; nil if something else is known to come there.
    fileprivate func milestone(at node: Node, _ knowledge: () -> [String]) -> Node? {
        if nexts[Int(node)] == .unknown {
            let key = [String(trees[Int(node)])] + knowledge()
            if let milestone = milestones[key] {
                others[milestone, default: []].append(node)
                nexts[Int(node)] = .same(as: milestone)
                learn(futures[Int(milestone)], at: node)
            } else {
                let milestone = addNode(parent: node, reply: nil, tree: trees[Int(node)])
                milestones[key] = milestone
                nexts[Int(node)] = .same(as: milestone)
            }
        }
        guard case .same(let milestone) = nexts[Int(node)] else { return nil }
        return milestone
    }

    /// Returns the nodes on a path to a node, the last one first. With `random`, draws one of several paths.
    private func way(to target: Node, _ random: SeededRandom?) -> [Node] {
        var (way, place) = ([target], target)
        while parents[Int(place)] >= 0 {
            let others = random == nil ? [] : others[place] ?? []
            let draw = others.isEmpty ? 0 : random!.number(0...others.count)
            place = draw == 0 ? parents[Int(place)] : others[draw - 1]
            way.append(place)
        }
        return way
    }

    fileprivate func reply(before node: Node) -> StoreReply { replies[Int(node)]! }

    private func run(to target: Node, then image: StoreImage?, past random: SeededRandom? = nil) throws {
        runCount += 1
        let (process, seed) = processes[Int(trees[Int(target)])]
        let run = ProcessRun(self, universe, way: way(to: target, random), image)
        if let fault = run.run(process, seed: seed) { throw SimulationFault("\(process.name): \(fault)") }
    }

    /// Repeats random paths to known nodes, also through milestones with another past than their first. Throws if a
    /// process does something else than is known of it.
    func audit(_ count: Int, _ random: SeededRandom) throws {
        for _ in 0..<count {
            let target = Node(random.number(0...nexts.count - 1))
            if operations[Int(target)] != nil { try run(to: target, then: nil, past: random) }
        }
    }
}

/// A run of a process along a history, and then on a store of its own.
private final class ProcessRun {
    private let trees: ProcessTrees
    private let universe: Universe
    /// The present node, and the nodes to come, the next one last.
    private var place: ProcessTrees.Node
    private var way: [ProcessTrees.Node]
    /// What the store holds after the history; nil to stop there.
    private var image: StoreImage?
    private var fault: String?
    private var isOver = false
    private var calls = 0
    private let cache = MemoryCache()
    private let time = SimulatedTime()
    /// A process that asks for more than this many calls is stuck.
    private static let callLimit = 5000

    init(_ trees: ProcessTrees, _ universe: Universe, way: [ProcessTrees.Node], _ image: StoreImage?) {
        (self.trees, self.universe, self.way, self.image) = (trees, universe, way, image)
        place = self.way.removeLast()
    }

    /// Runs the process. Returns what it does that differs from what is known; nil if nothing.
    func run(_ process: Process, seed: UInt64) -> String? {
        let random = OneFolderRandom(seed: seed)
        let store = ActorStore(universe, process: "\(seed)") { [self] in call($0) }
        nonisolated(unsafe) let reach: (String, () -> [String]) -> Void = { self.reach($0, random, $1) }
        var failure: String?
        do {
            try process.run(
                Surroundings(
                    store: store, cache: cache, time: time, random: random,
                    milestones: Milestones { reach($0, $1) }))
        } catch { failure = String(describing: error) }
        if !isOver, let known = trees.note(.ended(failure: failure), at: place) {
            fault = "with the same replies it ends with \(failure ?? "success"), not \(known)"
        }
        return fault
    }

    private func call(_ operation: StoreOperation) -> StoreReply {
        if isOver { return .failed(.dead) }
        calls += 1
        if let known = trees.note(.operation(operation), at: place) {
            return stop("with the same replies it calls \(operation.description(universe)), not \(known)")
        }
        if calls > Self.callLimit { return stop("it does not come to an end") }
        if let known = way.popLast() {
            place = known
            return trees.reply(before: known)
        }
        guard let reply = image?.apply(operation, universe) else { return stop(nil) }
        place = trees.child(place, reply)
        return reply
    }

    private func stop(_ fault: String?) -> StoreReply {
        (self.fault, isOver) = (fault, true)
        return .failed(.dead)
    }

    /// Notes a milestone. A process has more than the knowledge that it states: its cache, its clock, and how many ids
    /// it has drawn.
    private func reach(_ name: String, _ random: OneFolderRandom, _ knowledge: () -> [String]) {
        if isOver || trees.ignoresMilestones { return }
        // When a backup begins again, it makes no difference how many ids it drew before.
        if ["registered", "closed"].contains(name) { random.skip(toMultipleOf: 8) }
        let milestone = trees.milestone(at: place) {
            let files = cache.contents.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            return ["\(random.drawn) \(time.now()) \(time.monotonicNanoseconds())"] + files + knowledge()
        }
        guard let milestone else {
            _ = stop("with the same replies it comes to \(knowledge())")
            return
        }
        if way.last == milestone { way.removeLast() }
        place = milestone
    }
}

/// The simulation itself cannot go on.
struct SimulationFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
