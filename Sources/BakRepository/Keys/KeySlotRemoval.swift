// KeySlotRemoval: how a key slot goes while others remove slots too, and any of them may stop at any moment.
//
// Always holds: a slot is deleted only by who has put an object beside it that says so, and has after that found
// another slot that nobody had said it of. Then one is always left. Each who deletes a slot has found another that was
// to stay; who deletes that one says so later than that, looks later still, and so finds yet another. Of the last one
// of them all the slot that it found stays. A slot that is to go opens the repository until it is deleted: who stops
// before loses nothing.
//
// Each has an object of its own name. With one for all who remove a slot, one that gives up would take away what
// another relies on.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// Removes a slot, so that its password does not open the repository any more, also after a power cut. False where
    /// somebody else has removed it already.
    ///
    /// Throws `RepositoryError.lastKeySlot` when no other slot of somebody who had the key is there, and
    /// `keySlotsBeingRemoved` when there are some, and each is to go as well.
    @discardableResult
    public func removeKeySlot(_ id: ID128) throws -> Bool {
        // To be told that it is the last one costs no write.
        try expectOther(than: id, in: foundSlots(), evenIfGoing: true)
        let mark = ObjectNames.keyRemoval(id, ID128(from: random))
        let found: KeySlots
        let wasThere: Bool
        do {
            try store.putUnderFreshName(mark, [])
            // In this order: all marks are listed, and then slots are read. Who deletes one that is read after a
            // listing without a mark of it has put that mark, and so looks, later than this look began.
            found = try foundSlots()
            try expectOther(than: id, in: found, evenIfGoing: false)
            wasThere = try isThere(id)
        } catch {
            // It would keep others from removing theirs.
            try? store.delete(mark)
            throw error
        }
        // Where this fails the mark stays: whether the slot is gone is not known.
        try store.deleteDurably(ObjectNames.keySlot(id))
        clear(found.removals)
        return wasThere
    }

    private func expectOther(
        than id: ID128, in found: KeySlots, evenIfGoing: Bool
    ) throws(RepositoryError) {
        let others = infos(found).filter { $0.note != nil && $0.id != id }
        if others.isEmpty { throw .lastKeySlot }
        if !evenIfGoing, others.allSatisfy(\.isBeingRemoved) { throw .keySlotsBeingRemoved(others.map(\.id)) }
    }

    /// Whether a slot is there, whatever is in it.
    private func isThere(_ id: ID128) throws -> Bool {
        do throws(StoreError) {
            _ = try store.size(of: ObjectNames.keySlot(id))
            return true
        } catch {
            guard error.kind == .notFound else { throw error }
            return false
        }
    }

    /// Deletes the marks of slots that are gone: no slot comes back, so that they mean nothing any more. What is left
    /// of them does no harm.
    private func clear(_ marks: [(slot: ID128, key: ObjectKey)]) {
        for (slot, key) in marks where (try? isThere(slot)) == false { try? store.delete(key) }
    }
}
