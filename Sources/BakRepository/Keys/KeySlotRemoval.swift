// KeySlotRemoval: removes a key slot while other programs may remove slots too, and any of them may stop at any moment.
//
// Always holds: a program deletes a slot only after two steps. It puts a removal mark for the slot, and afterwards it
// finds another slot without a removal mark.
//
// So one slot always remains. Say that a program deletes slot A after it has found slot B without a mark. If another
// program deletes B, that program put its mark for B after the first program had looked, and only then looked for
// another slot. So it saw the mark for A and found a third slot, C. The same holds for a program that deletes C, and so
// on. The slot that the last of these programs found stays.
//
// A marked slot opens the repository until it is deleted. So nothing is lost if a program stops before it deletes the
// slot.
//
// Each mark has a name of its own. If all programs that remove a slot shared one mark, a program that gives up would
// delete the mark that another program relies on.

import BakCore
import BakFormat
import BakStorage

extension Repository {
    /// Removes a slot, so that its password no longer opens the repository, even after a power cut. Returns false if
    /// another program has removed it already.
    ///
    /// - Throws: `RepositoryError.lastKeySlot` if there is no other slot whose maker had the key,
    ///   `.keySlotsBeingRemoved` if there are such slots but each is being removed as well, and `StoreError`.
    @discardableResult
    public func removeKeySlot(_ id: ID128) throws -> Bool {
        // If the slot is the last one, this throws before anything is written.
        try expectOther(than: id, in: foundSlots(), evenIfGoing: true)
        let mark = ObjectNames.keyRemoval(id, ID128(from: random))
        let found: KeySlots
        let wasThere: Bool
        do {
            try store.putUnderFreshName(mark, [])
            // This lists all marks before it reads any slot. If it finds a slot without a mark in the listing, any
            // program that deletes this slot puts its mark after the listing, and looks for another slot only then.
            found = try foundSlots()
            try expectOther(than: id, in: found, evenIfGoing: false)
            wasThere = try isThere(id)
        } catch {
            // If the mark stayed, it would keep other programs from removing their slots.
            try? store.delete(mark)
            throw error
        }
        // If this fails, the mark stays, because it is unknown whether the slot is gone.
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

    /// True if the store has the slot, whatever the slot's content.
    private func isThere(_ id: ID128) throws -> Bool {
        do throws(StoreError) {
            _ = try store.size(of: ObjectNames.keySlot(id))
            return true
        } catch {
            guard error.kind == .notFound else { throw error }
            return false
        }
    }

    /// Deletes the marks of slots that are gone. No slot comes back, so these marks mean nothing any more and do no
    /// harm if they stay.
    private func clear(_ marks: [(slot: ID128, key: ObjectKey)]) {
        for (slot, key) in marks where (try? isThere(slot)) == false { try? store.delete(key) }
    }
}
