// Programs that remove key slots at the same time, in every interleaving and with each program stopped at any moment. A
// slot that opens the repository is always left. A stopped program leaves nothing that hinders other programs for good.
//
// To remove a slot, a program first puts a mark that says so. Then it looks for a slot that has no mark.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import Glibc
import TestSupport
import Testing

@testable import BakRepository

private let cheap = PasswordCost(memoryKiB: 64, passes: 1, lanes: 1)
private let password = SecretBytes(copying: Array("word".utf8))
private let note = KeySlotNote(name: "name", host: "host", program: "test", created: Timestamp(seconds: 1))

/// The order of the steps in which a program removes a slot. Every order but the first has a mistake.
enum RemovalOrder: CaseIterable {
    /// The order of the real program.
    case asItIs
    /// Deletes the slot without a mark, and puts it back if none is left.
    case deletingFirst
    /// Looks at the other slots before it puts its mark.
    case lookingFirst
    /// Uses the same mark as every other removal of the same slot.
    case sharingMarks
    /// Reads the slots before it lists the marks.
    case slotsFirst
}

/// Removals in the order that a case gives.
extension Repository {
    /// Makes a repository with the state of one that is already open, as another program with the same store would have
    /// it.
    fileprivate convenience init(_ other: Repository, on store: any ObjectStore, random: any RandomSource) {
        self.init(
            store: store, config: other.config, sealer: other.context.sealer, key: other.key,
            openedSlot: other.openedSlot, cache: other.cache, time: other.time, random: random)
    }

    fileprivate func remove(_ id: ID128, _ order: RemovalOrder) throws {
        let slot = ObjectNames.keySlot(id)
        func infos() throws -> [KeySlotInfo] { try keySlots().filter { $0.note != nil && $0.id != id } }
        func expect(_ isTrue: Bool) throws { if !isTrue { throw RepositoryError.lastKeySlot } }
        func mark(_ removal: ID128) throws -> ObjectKey {
            let mark = ObjectNames.keyRemoval(id, removal)
            _ = try store.put(mark, UnsafeRawBufferPointer(start: nil, count: 0))
            return mark
        }
        switch order {
        case .asItIs: try removeKeySlot(id)
        case .deletingFirst:
            try expect(!infos().isEmpty)
            let bytes = try store.readWhole(slot, upTo: KeySlot.objectBytes)
            try store.delete(slot)
            if try !infos().isEmpty { return }
            _ = try store.putOwn(slot, bytes)
            throw RepositoryError.lastKeySlot
        case .lookingFirst:
            try expect(infos().contains { !$0.isBeingRemoved })
            let mark = try mark(ID128(from: self.random))
            try store.delete(slot)
            try store.delete(mark)
        case .sharingMarks, .slotsFirst:
            let mark = try mark(order == .sharingMarks ? .zero : ID128(from: self.random))
            let early = try infos()
            let going = Set(
                try store.list(ObjectNames.keys).compactMap { info in ObjectNames.keyRemoval(in: info.key) })
            let isLast =
                order == .sharingMarks
                ? try !infos().contains { !$0.isBeingRemoved }
                : !early.contains { !going.contains($0.id) }
            if !isLast { try store.delete(slot) }
            try store.delete(mark)
            try expect(!isLast)
        }
    }
}

/// Several removals that run at the same time.
struct RemovalCase: CustomTestStringConvertible, Sendable {
    /// How many slots there are.
    var slots: Int
    /// For each program, the number of the slot that it removes.
    var removed: [Int]
    /// The numbers of the slots that have a mark from a killed program.
    var left: [Int] = []
    /// True if one more program changes the password of slot 0.
    var isChanging = false
    /// The number of objects that a listing reads in one operation; nil if it reads all of them.
    var pageCount: Int?
    var order = RemovalOrder.asItIs
    var extent = Explorer.Extent.reduced

    /// The largest cases. If explored at every operation, they take several times as long as all others together.
    static let large: [RemovalCase] = {
        let isLong = getenv("BAKSTORE_SIMULATION_SEEDS") != nil
        let extent = isLong ? Explorer.Extent.reduced : .reducedChanges
        return [
            RemovalCase(slots: 3, removed: [0, 1, 2], extent: extent),
            RemovalCase(slots: 2, removed: [0, 0, 1], extent: extent),
        ]
    }()

    var testDescription: String {
        let pages = pageCount.map { "pages of \($0)" } ?? "whole lists"
        let change = isChanging ? "one changed, " : ""
        return "\(slots) slots, \(removed) removed, \(left) left, \(change)\(pages), \(order)"
    }

    func explore() throws -> Explorer.Outcome {
        let universe = Universe()
        nonisolated(unsafe) var (ids, made): ([ID128], Repository?) = ([], nil)
        let first = try StoreImage.after(StoreImage(), universe, seed: 1000) { surroundings in
            var options = Repository.Options(classes: Contents.classes)
            options.encryption = Repository.Encryption(
                method: .chaCha20Poly1305, password: password, cost: cheap, note: note)
            let repository = try Repository.create(
                in: surroundings.store, options: options, cache: surroundings.cache, time: surroundings.time,
                random: ForwardedRandom(base: surroundings.random))
            ids = try repository.keySlots().map(\.id)
            for _ in 1..<slots {
                ids.append(try repository.addKeySlot(password: password, cost: cheap, note: note))
            }
            for number in left {
                let mark = ObjectNames.keyRemoval(ids[number], ID128(from: surroundings.random))
                _ = try surroundings.store.put(mark, UnsafeRawBufferPointer(start: nil, count: 0))
            }
            made = repository
        }
        let (repository, known) = (try #require(made), ids)
        let (pageCount, order) = (pageCount, order)
        func process(_ name: String, _ body: @escaping @Sendable (Repository) throws -> Void) -> Process {
            Process(name: name) { surroundings in
                (surroundings.store as? ActorStore)?.pageCount = pageCount
                try body(Repository(repository, on: surroundings.store, random: surroundings.random))
            }
        }
        var processes = removed.map { number in
            process("remove \(number)") { try $0.remove(known[number], order) }
        }
        if isChanging {
            processes.append(
                process("passwd") { repository in
                    _ = try repository.addKeySlot(password: password, cost: cheap, note: note)
                    try repository.remove(known[0], order)
                })
        }
        let explorer = Explorer(universe, processes.map { .init(processes: [$0]) })
        explorer.extent = extent
        let keys = universe.folder(ObjectNames.keys)
        explorer.effects = { key in universe.folderOfKey[Int(key)] == keys ? .all : [] }
        explorer.isExpected = { $0.contains("last key slot") || $0.contains("every other key slot") }
        explorer.fault = { image in
            func alone(_ image: StoreImage) throws -> Repository {
                let store = ActorStore.alone(image, universe)
                return Repository(repository, on: store, random: SeededRandom(seed: 2000))
            }
            do {
                let slots = try alone(image).keySlots()
                if slots.isEmpty { return "no key slot is left" }
                if slots.contains(where: { $0.note == nil }) { return "a slot does not open" }
                // All programs may stop here for good. Even then, a further program must be able to add a slot. It must
                // then be able to remove all these slots, because the new slot stays.
                let next = try alone(image)
                let added = try next.addKeySlot(password: password, cost: cheap, note: note)
                for slot in slots { try next.removeKeySlot(slot.id) }
                let rest = try next.store.list(ObjectNames.keys).map(\.key)
                return rest == [ObjectNames.keySlot(added)] ? nil : "left: \(rest)"
            } catch { return "\(error)" }
        }
        let outcome = try explorer.run(from: first)
        try explorer.trees.audit(200, SeededRandom(seed: 1))
        print("key removals: \(testDescription): \(outcome.states) states, \(outcome.images) images")
        return outcome
    }
}

@Suite struct KeyRemovalTests {
    private static let cases =
        [
            RemovalCase(slots: 2, removed: [0, 1]), RemovalCase(slots: 2, removed: [0, 0]),
            RemovalCase(slots: 2, removed: [0, 1], pageCount: 1),
            RemovalCase(slots: 3, removed: [0, 1], left: [2]), RemovalCase(slots: 2, removed: [0], left: [1]),
            RemovalCase(slots: 2, removed: [1], isChanging: true),
            RemovalCase(slots: 1, removed: [0], isChanging: true),
        ] + RemovalCase.large

    @Test(arguments: cases)
    func oneSlotIsAlwaysLeft(_ removal: RemovalCase) throws {
        let outcome = try removal.explore()
        #expect(outcome.isExhausted)
        #expect(outcome.violation == nil, "\(outcome.trace.joined(separator: "\n"))")
        #expect(outcome.images > 1)
    }

    @Test(arguments: [
        RemovalCase(slots: 2, removed: [0, 1], order: .deletingFirst),
        RemovalCase(slots: 2, removed: [0, 1], order: .lookingFirst),
        RemovalCase(slots: 2, removed: [0, 0, 1], order: .sharingMarks),
        RemovalCase(slots: 2, removed: [0, 1], order: .slotsFirst),
    ])
    func everyRuleIsNeeded(_ removal: RemovalCase) throws {
        let outcome = try removal.explore()
        #expect(outcome.violation == "no key slot is left", "\(removal.order): nothing goes wrong")
    }
}
