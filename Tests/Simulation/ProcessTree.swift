// ProcessTree: what one process does next, given every reply that it has had so far.
//
// A process is ordinary blocking code over a store. It is deterministic: its next call depends on the replies to the
// calls before it and on nothing else. So its behaviour is a tree, a node being a history of replies, and a node not
// yet known is found out by running the process from its start with that history. No thread is needed, and what
// was found out once serves every interleaving in which the process sees the same.

import BakCore
import BakStorage
import TestSupport

/// What a process has to itself.
struct Surroundings {
    var store: any ObjectStore
    var cache: any LocalCache
    var time: any TimeSource
    var random: any RandomSource
    /// To be called while it waits for others.
    var pause: @Sendable (_ nanoseconds: UInt64) -> Void = { _ in }
}

/// One run of the program.
struct Process: Sendable {
    var name: String
    var run: @Sendable (Surroundings) throws -> Void
}

/// Ids whose packs lie in one folder, so that the other 255 need no listing.
struct OneFolderRandom: RandomSource {
    let base: SeededRandom

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        base.fill(buffer)
        // An id reads its first half from the first eight bytes, in the order of the processor.
        if buffer.count == 16 { buffer[UInt16(1).littleEndian == 1 ? 7 : 0] = 0 }
    }

    /// The one folder of packs.
    static let packFolder = "packs/00"

    /// Whether a folder of packs is one in which there never is any.
    static func isEmpty(_ folder: String) -> Bool { folder.hasPrefix("packs/") && folder != packFolder }
}

/// The trees of all processes of an exploration.
final class ProcessTrees {
    typealias Node = Int32

    /// What comes after a history.
    enum Next: Equatable {
        case unknown
        case operation(StoreOperation)
        /// The process is over, well or with an error.
        case ended(failure: String?)
    }

    private struct Edge: Hashable {
        var node: Node
        var reply: StoreReply
    }

    private let universe: Universe
    private var processes: [(process: Process, seed: UInt64, root: Node)] = []
    private var nexts: [Next] = []
    private var parents: [Node] = []
    private var replies: [StoreReply?] = []
    private var trees: [Int32] = []
    private var children: [Edge: Node] = [:]
    /// How often a process was run.
    private(set) var runCount = 0
    /// A process that asks for more than this many calls is stuck.
    private static let callLimit = 5000

    init(_ universe: Universe) { self.universe = universe }

    var count: Int { nexts.count }

    /// Adds a process; returns its first node.
    func add(_ process: Process, seed: UInt64) -> Node {
        processes.append((process, seed, Node(nexts.count)))
        return addNode(parent: -1, reply: nil, tree: Int32(processes.count - 1))
    }

    /// The node after a reply.
    func child(_ node: Node, _ reply: StoreReply) -> Node {
        let edge = Edge(node: node, reply: reply)
        if let child = children[edge] { return child }
        let child = addNode(parent: node, reply: reply, tree: trees[Int(node)])
        children[edge] = child
        return child
    }

    /// What the process at `node` does next. When that has to be found out, the process is run to its end as if no
    /// one else did anything any more, `image` being what it finds.
    func next(_ node: Node, _ image: @autoclosure () -> StoreImage) throws -> Next {
        if nexts[Int(node)] == .unknown { try run(to: node, then: image()) }
        return nexts[Int(node)]
    }

    /// The first node of a node's process.
    func root(of node: Node) -> Node { processes[Int(trees[Int(node)])].root }

    /// The name of the process that a node belongs to.
    func name(_ node: Node) -> String { processes[Int(trees[Int(node)])].process.name }

    private func addNode(parent: Node, reply: StoreReply?, tree: Int32) -> Node {
        nexts.append(.unknown)
        parents.append(parent)
        replies.append(reply)
        trees.append(tree)
        return Node(nexts.count - 1)
    }

    private func run(to target: Node, then image: StoreImage) throws {
        runCount += 1
        var history: [Node] = []
        var place = target
        while parents[Int(place)] >= 0 {
            history.append(place)
            place = parents[Int(place)]
        }
        let (process, seed, _) = processes[Int(trees[Int(target)])]
        var image = image
        var calls = 0
        var fault: String?
        let store = ActorStore(universe) { [self] operation in
            calls += 1
            if calls > Self.callLimit { fault = fault ?? "it does not come to an end" }
            if case .unknown = nexts[Int(place)] { nexts[Int(place)] = .operation(operation) }
            if nexts[Int(place)] != .operation(operation) {
                fault = fault ?? "with the same replies it calls \(operation.description(universe))"
            }
            guard fault == nil else { return .failed(.dead) }
            if let known = history.popLast() {
                place = known
                return replies[Int(known)]!
            }
            let reply = image.apply(operation, universe)
            place = child(place, reply)
            return reply
        }
        var failure: String?
        do {
            try process.run(
                Surroundings(
                    store: store, cache: MemoryCache(), time: SimulatedTime(),
                    random: OneFolderRandom(base: SeededRandom(seed: seed))))
        } catch { failure = String(describing: error) }
        if nexts[Int(place)] == .unknown { nexts[Int(place)] = .ended(failure: failure) }
        if nexts[Int(place)] != .ended(failure: failure) {
            fault = fault ?? "with the same replies it ends with \(failure ?? "success")"
        }
        if let fault { throw SimulationFault("\(process.name): \(fault)") }
    }
}

/// The simulation itself cannot go on.
struct SimulationFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
