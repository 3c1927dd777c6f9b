// Explorer+Reduction: chooses which moves to try at a state. Many interleavings have the same result, and the search
// tries at least one of them (persistent sets: Godefroid, LNCS 1032, 1996). Decision 40 has the argument.
//
// A move is the next operation of an actor, or a wish that comes true. Two operations are independent if each has the
// same effect and the same reply in either order. At a state, the search tries only the moves of a set of actors and
// wishes. The set is sufficient if the actors and wishes outside it will never do anything that depends on the next
// move of a member. The future of an actor is everything that it may do from its present node on, as far as its tree is
// known (`ProcessTrees.future`). In addition, a change that may cause a fault counts as dependent on a change that may
// end one (`VisibleChanges`), so that no fault stays unseen between two changes.

import BakStorage

/// The changes of objects that may make a store faulty, and the changes that may end a fault.
struct VisibleChanges {
    /// The effects that a put or a deletion of an object may have.
    struct Effects: OptionSet {
        var rawValue: UInt8
        static let putHarms = Effects(rawValue: 1)
        static let putHeals = Effects(rawValue: 2)
        static let deletionHarms = Effects(rawValue: 4)
        static let deletionHeals = Effects(rawValue: 8)
        static let all: Effects = [putHarms, putHeals, deletionHarms, deletionHeals]
    }

    private var harmfulPuts = NumberSet()
    private var healingPuts = NumberSet()
    private var harmfulDeletions = NumberSet()
    private var healingDeletions = NumberSet()

    mutating func add(_ key: Universe.Key, _ effects: Effects) {
        if effects.contains(.putHarms) { harmfulPuts.insert(key) }
        if effects.contains(.putHeals) { healingPuts.insert(key) }
        if effects.contains(.deletionHarms) { harmfulDeletions.insert(key) }
        if effects.contains(.deletionHeals) { healingDeletions.insert(key) }
    }

    /// True if the put of an object may cause a fault and one of the given changes may end one, or the other way round.
    func put(_ key: Universe.Key, meets puts: NumberSet, _ deletions: NumberSet) -> Bool {
        harmfulPuts.contains(key) && heals(puts, deletions)
            || healingPuts.contains(key) && harms(puts, deletions)
    }

    /// True if the deletion of an object may cause a fault and one of the given changes may end one, or the other way
    /// round.
    func deletion(_ key: Universe.Key, meets puts: NumberSet, _ deletions: NumberSet) -> Bool {
        harmfulDeletions.contains(key) && heals(puts, deletions)
            || healingDeletions.contains(key) && harms(puts, deletions)
    }

    private func harms(_ puts: NumberSet, _ deletions: NumberSet) -> Bool {
        puts.intersects(harmfulPuts) || deletions.intersects(harmfulDeletions)
    }

    private func heals(_ puts: NumberSet, _ deletions: NumberSet) -> Bool {
        puts.intersects(healingPuts) || deletions.intersects(healingDeletions)
    }
}

/// For each move, the moves that must be tried together with it at one state.
struct Companions {
    /// The moves whose companions are known.
    var known = MoveSet()
    var moves = ContiguousArray(repeating: MoveSet(), count: MoveSet.actorLimit + MoveSet.wishLimit)
}

extension Explorer {
    /// The keys that the live actors and the wishes may still put or delete, from a state on. A put of a present object
    /// changes nothing unless an actor may delete the object first. A deletion of an absent object changes nothing
    /// unless the object may be put first.
    private struct Changeable {
        var puts: NumberSet
        var deletions: NumberSet
    }

    /// Returns the moves of the smallest sufficient set that was found. The set always has an actor. A wish need not
    /// come true, so a set of wishes alone would miss the ends in which no wish comes true.
    func reducedMoves(_ live: MoveSet, _ state: State) throws -> MoveSet {
        let changeable = changeable(live, state)
        companions.known = MoveSet()
        var smallest = MoveSet()
        for actor in actors.indices where live.contains(.actor(actor)) {
            let moves = try closure(of: actor, live, state, changeable)
            if smallest.isEmpty || moves.count < smallest.count { smallest = moves }
            if moves.count == 1 { break }
        }
        return smallest
    }

    private func changeable(_ live: MoveSet, _ state: State) -> Changeable {
        var (puts, deletes) = (NumberSet(), NumberSet())
        for actor in actors.indices where live.contains(.actor(actor)) {
            _ = future(of: actor, state) { future in
                puts.formUnion(future.puts)
                deletes.formUnion(future.deletes)
                return false
            }
        }
        for wish in wishes { puts.insert(wish.object.key) }
        let present = images.keys(state.image)
        return Changeable(puts: puts.subtracting(present).union(deletes), deletions: puts.union(present))
    }

    /// Returns the moves of the smallest sufficient set that contains `start`.
    private func closure(
        of start: Int, _ live: MoveSet, _ state: State, _ changeable: Changeable
    ) throws -> MoveSet {
        let granted = granted(state.image)
        var (found, waiting, result) = (MoveSet(), MoveSet(), MoveSet())
        found.insert(.actor(start))
        waiting.insert(.actor(start))
        while let move = waiting.pop() {
            if live.contains(move) || granted.contains(move) { result.insert(move) }
            if !companions.known.contains(move) {
                companions.moves[MoveSet.number(of: move)] =
                    switch move {
                    case .actor(let actor): try companions(of: actor, live, state, changeable)
                    case .wish(let number): companions(ofWish: number, granted, live, state, changeable)
                    }
                companions.known.insert(move)
            }
            let new = companions.moves[MoveSet.number(of: move)].subtracting(found)
            found.formUnion(new)
            waiting.formUnion(new)
        }
        return result
    }

    private func companions(
        of actor: Int, _ live: MoveSet, _ state: State, _ changeable: Changeable
    ) throws -> MoveSet {
        guard let operation = trees.operation(state.places[actor]) else { return MoveSet() }
        if operation.isMutation {
            return dependent(on: operation, live, state, changeable, but: actor)
        }
        var moves = MoveSet()
        let watched = watched(try footprint(actor, state))
        let present = images.keys(state.image)
        for other in actors.indices where other != actor && live.contains(.actor(other)) {
            let isDependent = future(of: other, state) { future in
                future.puts.subtracting(present).union(future.deletes.intersection(present))
                    .intersects(watched)
            }
            if isDependent { moves.insert(.actor(other)) }
        }
        for (number, wish) in wishes.enumerated()
        where watched.contains(wish.object.key) && !present.contains(wish.object.key) {
            if mayBeGranted(wish, state.image, changeable) { moves.insert(.wish(number)) }
        }
        return moves
    }

    private func companions(
        ofWish number: Int, _ granted: MoveSet, _ live: MoveSet, _ state: State, _ changeable: Changeable
    ) -> MoveSet {
        let wish = wishes[number]
        if granted.contains(.wish(number)) {
            var moves = dependent(on: .put(wish.object), live, state, changeable)
            for other in actors.indices where live.contains(.actor(other)) {
                let mayEnd = future(of: other, state) { $0.deletes.contains(wish.needed) }
                if mayEnd { moves.insert(.actor(other)) }
            }
            return moves
        }
        // The wish cannot come true yet. These actors and wishes may make it possible.
        var moves = MoveSet()
        for other in actors.indices where live.contains(.actor(other)) {
            let mayHelp = future(of: other, state) { future in
                future.puts.contains(wish.needed) || future.deletes.contains(wish.needed)
                    || future.deletes.contains(wish.object.key)
            }
            if mayHelp { moves.insert(.actor(other)) }
        }
        for (other, helper) in wishes.enumerated() where helper.object.key == wish.needed {
            moves.insert(.wish(other))
        }
        return moves
    }

    /// Returns the actors and wishes whose futures depend on a change.
    private func dependent(
        on change: StoreOperation, _ live: MoveSet, _ state: State, _ changeable: Changeable,
        but actor: Int = -1
    ) -> MoveSet {
        var moves = MoveSet()
        for other in actors.indices where other != actor && live.contains(.actor(other)) {
            if future(of: other, state, { depends(change, on: $0, state.image, changeable) }) {
                moves.insert(.actor(other))
            }
        }
        for (number, wish) in wishes.enumerated() {
            var future = Footprint()
            future.puts.insert(wish.object.key)
            let isDependent =
                change == .delete(wish.needed)
                || depends(change, on: future, state.image, changeable)
                    && mayBeGranted(wish, state.image, changeable)
            if isDependent { moves.insert(.wish(number)) }
        }
        return moves
    }

    /// True if a wish may come true now or later. False if the needed object has content that does not grant the wish,
    /// and no put can replace that object.
    private func mayBeGranted(_ wish: Wish, _ image: StoreImages.Number, _ changeable: Changeable) -> Bool {
        changeable.puts.contains(wish.needed) || images[image][wish.needed].map(wish.isGranted) ?? true
    }

    /// Returns the keys that a footprint reads or whose folders it lists. The coming or going of such an object changes
    /// a reply.
    private func watched(_ footprint: Footprints.Number) -> NumberSet {
        var keys = trees.footprints[footprint].reads
        let folders = trees.footprints[footprint].lists
        for folder in universe.folders.indices where folders.contains(Int32(folder)) {
            keys.formUnion(universe.keysOfFolder[folder])
        }
        return keys
    }

    /// True if the order of a change and some operation in a future matters: to a reply, to the resulting store, or to
    /// a fault in between.
    private func depends(
        _ change: StoreOperation, on future: Footprint, _ image: StoreImages.Number, _ changeable: Changeable
    ) -> Bool {
        switch change {
        case .size, .read, .list, .listPage: return false
        case .put(let object), .publish(let object):
            let key = object.key
            if future.deletes.contains(key) { return true }
            if images[image].contains(key) { return false }
            return future.puts.contains(key) || future.reads.contains(key)
                || future.lists.contains(universe.folderOfKey[Int(key)])
                || visible.put(
                    key, meets: future.puts.intersection(changeable.puts),
                    future.deletes.intersection(changeable.deletions))
        case .name(let object, let temporary):
            let changes = [StoreOperation.put(object), .delete(temporary.key)]
            return future.deletes.contains(temporary.key)
                || (temporary.owner?.keys ?? []).contains {
                    future.puts.contains($0) || future.deletes.contains($0)
                } || changes.contains { depends($0, on: future, image, changeable) }
        case .delete(let key):
            if future.puts.contains(key) { return true }
            if !images[image].contains(key) { return false }
            return future.reads.contains(key) || future.lists.contains(universe.folderOfKey[Int(key)])
                || visible.deletion(
                    key, meets: future.puts.intersection(changeable.puts),
                    future.deletes.intersection(changeable.deletions))
        }
    }
}
