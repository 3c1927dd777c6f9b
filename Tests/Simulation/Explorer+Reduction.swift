// Explorer+Reduction: which moves need be tried at a state, such that of all interleavings that come to the same one is
// tried (persistent sets: Godefroid, LNCS 1032, 1996). Decision 40 has the argument.
//
// Two operations are independent where they do the same and are told the same in either order. A set of actors and
// wishes serves if nothing that those outside it may ever do depends on what one in it does next. What an actor may
// ever do is what is known of its tree from where it is (`ProcessTrees.future`). Besides, changes that may bring a fault
// about depend on those that may end one (`VisibleChanges`).

import BakStorage

/// Which changes of which objects may make a difference to what is wrong with a store.
struct VisibleChanges {
    /// What changes of an object may do.
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

    /// Whether the put of an object may bring about what these may end, or end what they may bring about.
    func put(_ key: Universe.Key, meets puts: NumberSet, _ deletions: NumberSet) -> Bool {
        harmfulPuts.contains(key) && heals(puts, deletions)
            || healingPuts.contains(key) && harms(puts, deletions)
    }

    /// The same for a deletion.
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

extension Explorer {
    /// What the live actors and the wishes may change at all from a state on: a put of what is there and stays changes
    /// nothing, nor does the deletion of what is not there and does not come.
    private struct Changeable {
        var puts: NumberSet
        var deletions: NumberSet
    }

    /// The smallest of the sets that `closure` finds.
    func reducedMoves(_ live: MoveSet, _ state: State) throws -> MoveSet {
        let changeable = changeable(live, state)
        var smallest = MoveSet()
        for actor in actors.indices where live.contains(.actor(actor)) {
            let moves = try closure(of: actor, live, state, changeable)
            if smallest.isEmpty || moves.count < smallest.count { smallest = moves }
            if moves.count == 1 { break }
        }
        return smallest
    }

    private func changeable(_ live: MoveSet, _ state: State) -> Changeable {
        var all = Footprint()
        for actor in actors.indices where live.contains(.actor(actor)) {
            _ = future(of: actor, state) { future in
                all.formUnion(future)
                return false
            }
        }
        for wish in wishes { all.puts.insert(wish.object.key) }
        let present = state.image.keys
        return Changeable(
            puts: all.puts.subtracting(present).union(all.deletes), deletions: all.puts.union(present))
    }

    /// The moves of the least set of actors and wishes around `start` that serves. There always is an actor in it, so
    /// that no end of all is left out because of a wish that need not come true.
    private func closure(
        of start: Int, _ live: MoveSet, _ state: State, _ changeable: Changeable
    ) throws -> MoveSet {
        var (found, waiting, result) = (MoveSet(), MoveSet(), MoveSet())
        func add(_ move: Move) {
            if found.contains(move) { return }
            found.insert(move)
            waiting.insert(move)
        }
        func addActors(_ isDependent: (Footprint) -> Bool) {
            for other in actors.indices where live.contains(.actor(other)) && !found.contains(.actor(other)) {
                if future(of: other, state, isDependent) { add(.actor(other)) }
            }
        }
        add(.actor(start))
        while let move = waiting.pop() {
            switch move {
            case .actor(let actor):
                result.insert(move)
                let operations = try operations(actor, state)
                addActors { future in
                    operations.contains { depends($0, on: future, state.image, changeable) }
                }
                for number in wishes.indices where !found.contains(.wish(number)) {
                    if operations.contains(where: { depends($0, onWish: number, state.image, changeable) }) {
                        add(.wish(number))
                    }
                }
            case .wish(let number):
                let wish = wishes[number]
                guard isEnabled(number, state.image) else {
                    // Who may see to it that it can come true.
                    addActors { future in
                        future.puts.contains(wish.needed) || future.deletes.contains(wish.needed)
                            || future.deletes.contains(wish.object.key)
                    }
                    for other in wishes.indices where wishes[other].object.key == wish.needed {
                        add(.wish(other))
                    }
                    continue
                }
                result.insert(move)
                let put = StoreOperation.put(wish.object)
                addActors { future in
                    future.deletes.contains(wish.needed)
                        || depends(put, on: future, state.image, changeable)
                }
                for other in wishes.indices where !found.contains(.wish(other)) {
                    if depends(put, onWish: other, state.image, changeable) { add(.wish(other)) }
                }
            }
        }
        return result
    }

    /// Whether something is true of what an actor may yet do.
    private func future(of actor: Int, _ state: State, _ test: (Footprint) -> Bool) -> Bool {
        var place = state.places[actor]
        while place >= 0 {
            if test(trees.footprints[trees.future(place)]) { return true }
            place = following[trees.root(of: place)] ?? -1
        }
        return false
    }

    /// Whether an operation depends on a wish.
    private func depends(
        _ operation: StoreOperation, onWish number: Int, _ image: StoreImage, _ changeable: Changeable
    ) -> Bool {
        let wish = wishes[number]
        var future = Footprint()
        future.puts.insert(wish.object.key)
        if case .delete(wish.needed) = operation { return true }
        guard depends(operation, on: future, image, changeable) else { return false }
        // One that cannot be granted any more is none.
        return changeable.puts.contains(wish.needed) || image[wish.needed].map(wish.isGranted) ?? true
    }

    /// Whether an operation done now comes to something else than after what someone with this future may do.
    private func depends(
        _ operation: StoreOperation, on future: Footprint, _ image: StoreImage, _ changeable: Changeable
    ) -> Bool {
        switch operation {
        case .size(let key), .read(let key, _, _):
            return image.contains(key) ? future.deletes.contains(key) : future.puts.contains(key)
        case .put(let object), .publish(let object):
            let key = object.key
            if future.deletes.contains(key) { return true }
            if image.contains(key) { return false }
            return future.puts.contains(key) || future.reads.contains(key)
                || future.lists.contains(universe.folderOfKey[Int(key)])
                || visible.put(
                    key, meets: future.puts.intersection(changeable.puts),
                    future.deletes.intersection(changeable.deletions))
        case .delete(let key):
            if future.puts.contains(key) { return true }
            if !image.contains(key) { return false }
            return future.reads.contains(key) || future.lists.contains(universe.folderOfKey[Int(key)])
                || visible.deletion(
                    key, meets: future.puts.intersection(changeable.puts),
                    future.deletes.intersection(changeable.deletions))
        case .list(let folder), .listPage(let folder, _, _):
            return future.puts.subtracting(image.keys).union(future.deletes.intersection(image.keys))
                .intersects(universe.keysOfFolder[Int(folder)])
        }
    }
}
