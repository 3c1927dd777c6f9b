// ProcessTree: the next operation of a process, given all replies that it has had so far.
//
// A process is ordinary blocking code over a store. It is deterministic: its next call depends only on the replies to
// its earlier calls. So its behaviour is a tree, in which each node is a history of replies. If the next operation at a
// node is unknown, the process runs again from its start and gets the replies of that history. The search needs no
// threads, and the result serves every interleaving in which the process gets the same replies.
//
// At a milestone, a process states everything that it still knows of the replies so far (`Milestones`). Histories that
// reach a milestone with the same knowledge continue as one node, because the process does the same from there on.

import BakCore
import BakStorage
import TestSupport

@testable import BakRepository

/// What a process gets to work with.
struct Surroundings {
    var store: any ObjectStore
    var cache: any LocalCache
    var time: any TimeSource
    var random: any RandomSource
    /// Called while the process waits for others.
    var pause: @Sendable (_ nanoseconds: UInt64) -> Void = { _ in }
    /// Gets the milestones that the process reaches.
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
    /// The number of ids that were drawn or skipped.
    private(set) var drawn = 0

    init(seed: UInt64) { base = SeededRandom(seed: seed) }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        base.fill(buffer)
        drawn += 1
        // An id has its first half in the first eight bytes, in the processor's byte order. Its first two hexadecimal
        // digits name the pack's folder.
        if buffer.count == 16 { buffer[UInt16(1).littleEndian == 1 ? 7 : 0] = 0 }
    }

    /// Skips ids until the number drawn is a multiple of `count`. Then processes that drew different numbers since the
    /// last multiple continue with the same ids.
    func skip(toMultipleOf count: Int) {
        while drawn % count != 0 { _ = ID128(from: self) }
    }

    /// The only folder that has packs.
    static let packFolder = "packs/00"

    /// True if the folder is one of the folders for packs that always stay empty.
    static func isEmpty(_ folder: String) -> Bool { folder.hasPrefix("packs/") && folder != packFolder }
}

/// The trees of all processes of an exploration.
final class ProcessTrees {
    typealias Node = Int32

    /// The known continuation of a history.
    enum Next: Equatable {
        case unknown
        case operation(StoreOperation)
        /// The history has reached a milestone and continues as the milestone's node.
        case same(as: Node)
        /// The process has ended. `failure` describes its error, if there was one.
        case ended(failure: String?)
    }

    private struct Edge: Hashable {
        var node: Node
        var reply: StoreReply
    }

    private let universe: Universe
    private var processes: [(process: Process, seed: UInt64)] = []
    private var nexts = ContiguousArray<Next>()
    /// The operations in `nexts`; nil if the process ends or reaches a milestone there, or if the next operation is
    /// unknown.
    private var operations = ContiguousArray<StoreOperation?>()
    private var parents: [Node] = []
    private var replies: [StoreReply?] = []
    private var trees = ContiguousArray<Int32>()
    private var children: [Edge: Node] = [:]
    /// The nodes of milestones, by the process's number and its knowledge.
    private var milestones: [[String]: Node] = [:]
    /// For each milestone's node, the nodes that lead to it besides its parent.
    private var others: [Node: [Node]] = [:]
    /// True if milestones are ignored, so that every history stays a node of its own.
    var ignoresMilestones = false
    /// For each node, the known part of its future: the operations that the process may do from there on, as the number
    /// of a footprint (Footprint.swift).
    private var futures = ContiguousArray<Footprints.Number>()
    private(set) var footprints = Footprints()
    /// The number of times that a future has grown.
    private(set) var growth = 0
    /// The number of times that a process has been run.
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

    /// Returns how the process continues at `node`. If it reaches milestones there, moves `node` to the last
    /// milestone's node. If the continuation is unknown, runs the process from its start to `node`, and then to its end
    /// on `image`, as if the other processes had all stopped.
    func next(_ node: inout Node, _ image: @autoclosure () -> StoreImage) throws -> Next {
        if nexts[Int(node)] == .unknown { try run(to: node, then: image()) }
        while case .same(let other) = nexts[Int(node)] { node = other }
        return nexts[Int(node)]
    }

    /// Returns the next operation at a node; nil if there is none or it is unknown.
    func operation(_ node: Node) -> StoreOperation? { operations[Int(node)] }

    /// Returns the number of a node's process. Processes are numbered in the order in which they were added.
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

    /// Returns the number of the known future at a node.
    func future(_ node: Node) -> Footprints.Number { futures[Int(node)] }

    /// Adds a footprint to the future of a node and of all nodes that lead to it.
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

    /// Records the continuation at a node if it was unknown. Returns nil if the node now continues with `next`;
    /// otherwise returns the continuation that was known.
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

    /// Returns the node of the milestone that a process reaches at `node`; nil if the known continuation at `node` is
    /// not a milestone.
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

    /// Returns the nodes on a path to a node, with the last node first. With `random`, draws one of several paths.
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

    /// Runs processes again along random paths to known nodes. At a milestone, a path may continue from any history
    /// that reaches it. Throws if a process does not do what its tree says. That would show that a milestone leaves out
    /// some knowledge.
    func audit(_ count: Int, _ random: SeededRandom) throws {
        for _ in 0..<count {
            let target = Node(random.number(0...nexts.count - 1))
            if operations[Int(target)] != nil { try run(to: target, then: nil, past: random) }
        }
    }
}

/// A run of a process. It gets the replies of a history first, and then the replies of a store of its own.
private final class ProcessRun {
    private let trees: ProcessTrees
    private let universe: Universe
    /// The present node, and the nodes still to come, with the next node last.
    private var place: ProcessTrees.Node
    private var way: [ProcessTrees.Node]
    /// The store after the history; nil if the run stops there.
    private var image: StoreImage?
    private var fault: String?
    private var isOver = false
    private var calls = 0
    private let cache = MemoryCache()
    private let time = SimulatedTime()
    /// A process that makes more calls than this counts as endless.
    private static let callLimit = 5000

    init(_ trees: ProcessTrees, _ universe: Universe, way: [ProcessTrees.Node], _ image: StoreImage?) {
        (self.trees, self.universe, self.way, self.image) = (trees, universe, way, image)
        place = self.way.removeLast()
    }

    /// Runs the process. Returns a description of the first difference from its known tree; nil if there is none.
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

    /// Notes a milestone. Besides the knowledge that a process states, it has its cache, its clock, and the number of
    /// ids that it has drawn. All of these make up the milestone.
    private func reach(_ name: String, _ random: OneFolderRandom, _ knowledge: () -> [String]) {
        if isOver || trees.ignoresMilestones { return }
        // Where a backup begins again, histories may differ only in the number of ids drawn. Rounding that number up
        // makes most of these histories equal.
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

/// An error of the simulation itself, which cannot continue.
struct SimulationFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
