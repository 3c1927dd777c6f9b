// The reduced search gives the same results as the full search. Each case has a few small random processes, and both
// searches explore it.

import BakCore
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

/// A case of small processes that work on few objects.
private struct ToyCase {
    private static let folders = ["a", "b", "c"]
    private static let names = ["1", "2", "3"]
    let seed: UInt64

    private func key(_ random: SeededRandom) -> ObjectKey {
        ObjectKey("\(Self.folders[random.number(0...2)])/\(Self.names[random.number(0...2)])")
    }

    /// Makes a process whose next call depends only on one small number. Every reply changes this number.
    private static func process(_ seed: UInt64, actor: Int, steps: Int) -> Process {
        Process(name: "toy") { surroundings in
            var known = seed % 5
            for step in 0..<steps {
                surroundings.milestones.reached("step \(step)", ["\(known)"])
                let random = SeededRandom(seed: seed &+ UInt64(step) << 32 &+ known << 48)
                let told = try Self.call(surroundings.store, random, actor)
                // Sometimes the process forgets the number, so that histories join.
                known = random.oneIn(6) ? 0 : (known &* 7 &+ UInt64(told)) % 5
            }
            let bytes: [UInt8] = [UInt8(known)]
            _ = try bytes.withUnsafeBytes {
                try surroundings.store.put(ObjectKey("end/\(actor)-\(seed)-\(known)"), $0)
            }
        }
    }

    private static func call(_ store: any ObjectStore, _ random: SeededRandom, _ actor: Int) throws -> Int {
        let folder = folders[random.number(0...2)]
        let key = ObjectKey("\(folder)/\(names[random.number(0...2)])")
        switch random.number(0...9) {
        case 0...3:
            let bytes = [UInt8](repeating: 0, count: 1 + (random.oneIn(2) ? actor : 0))
            return try bytes.withUnsafeBytes { try store.put(key, $0) } == .created ? 1 : 2
        case 4...5:
            try store.delete(key)
            return 0
        case 6...7:
            do { return try store.size(of: key) } catch { return 7 }
        default: return try store.list(folder).reduce(0) { $0 * 3 + $1.size + $1.key.description.utf8.count }
        }
    }

    /// The result of a search.
    struct Result: Equatable {
        var ends: Set<UInt64> = []
        var isFaulty = false
    }

    /// Searches the case. Returns the result and the number of states visited.
    func search(_ extent: Explorer.Extent) throws -> (Result, states: Int) {
        let random = SeededRandom(seed: seed)
        let universe = Universe()
        var image = StoreImage()
        for _ in 0..<random.number(0...4) {
            let object = StoreImage.Object(key: universe.key(key(random)), content: universe.content([0]))
            _ = image.insert(object, universe)
        }
        let actors = (0..<random.number(2...3)).map { actor in
            Explorer.Actor(
                processes: (0..<random.number(1...2)).map { _ in
                    Self.process(random.next(), actor: actor, steps: random.number(1...3))
                })
        }
        var wishes: [Universe.Key: Explorer.Wish] = [:]
        for _ in 0..<random.number(0...2) {
            let needed = universe.key(key(random))
            let object = StoreImage.Object(key: universe.key(key(random)), content: universe.content([9]))
            wishes[needed] = .init(object: object, needed: needed) { universe.contents[Int($0)].count < 2 }
        }
        let (harmful, healing) = (universe.key(key(random)), universe.key(key(random)))
        let explorer = Explorer(universe, actors) { wishes[$0] }
        explorer.extent = extent
        explorer.trees.ignoresMilestones = extent == .all || extent == .changes
        var result = Result()
        explorer.fault = { image in
            if image.contains(harmful), !image.contains(healing) { result.isFaulty = true }
            return nil
        }
        explorer.effects = { key in
            var effects: VisibleChanges.Effects = []
            if key == harmful { effects.formUnion([.putHarms, .deletionHeals]) }
            if key == healing { effects.formUnion([.putHeals, .deletionHarms]) }
            return effects
        }
        let outcome = try explorer.run(from: image)
        #expect(outcome.isExhausted)
        result.ends = outcome.ends
        return (result, outcome.states)
    }
}

@Suite struct ReductionTests {
    @Test(arguments: [(.all, .reduced), (.changes, .reducedChanges)] as [(Explorer.Extent, Explorer.Extent)])
    func whatIsLeftOutComesToTheSame(_ every: Explorer.Extent, _ some: Explorer.Extent) throws {
        let random = TestSeed.random("little processes")
        var (all, reduced, faulty) = (0, 0, 0)
        for _ in 0..<400 {
            let toy = ToyCase(seed: random.next())
            let (expected, states) = try toy.search(every)
            let (found, fewer) = try toy.search(some)
            #expect(found == expected, "case \(toy.seed)")
            all += states
            reduced += fewer
            if expected.isFaulty { faulty += 1 }
        }
        print(
            "little processes, \(some): \(reduced) of \(all) states; \(faulty) of 400 cases come to a fault")
        #expect(reduced * 2 < all)
        #expect(faulty > 20 && faulty < 380)
    }

    /// A process that still uses knowledge which it does not state at a milestone.
    @Test func whoHidesWhatItKnowsIsFound() throws {
        let universe = Universe()
        let liar = Process(name: "liar") { surroundings in
            let isThere = try !surroundings.store.list("a").isEmpty
            surroundings.milestones.reached("forgotten")
            _ = try surroundings.store.list(isThere ? "b" : "c")
        }
        let other = Process(name: "other") { surroundings in
            _ = try [UInt8](repeating: 0, count: 1).withUnsafeBytes {
                try surroundings.store.put(ObjectKey("a/1"), $0)
            }
        }
        let explorer = Explorer(universe, [.init(processes: [liar]), .init(processes: [other])])
        #expect(throws: SimulationFault.self) { try explorer.run(from: StoreImage()) }
    }
}
