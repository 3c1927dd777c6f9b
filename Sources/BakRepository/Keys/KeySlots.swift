// KeySlots: the passwords of an encrypted repository. Each slot wraps the same key under a password of its own.
// `KeySlotRemoval` removes slots.
//
// Always holds:
// - A new slot is durable before another slot is deleted.
// - A slot that belongs to another repository does not count. An interrupted `init` can leave such a slot.
// - The last slot is never removed. To remove a slot, a program needs another slot whose note opens under the
//   repository's key. Such a note shows that its maker had the key. Anyone with access to the store can put slots, but
//   not with such a note.
// - Opening never takes more work than 32 slots of the highest cost, however many slots there are.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A repository's key, and the slot that opened it.
struct UnlockedKey: Sendable {
    let key: SecretBytes
    let slot: ID128
}

/// A key slot with the facts that `key list` shows.
public struct KeySlotInfo: Sendable {
    /// The slot's id.
    public var id: ID128
    /// The cost of trying a password; nil if the slot cannot be read.
    public var cost: PasswordCost?
    /// The note in the slot; nil if it cannot be read.
    public var note: KeySlotNote?
    /// True if this slot opened the repository.
    public var isCurrent: Bool
    /// True if a program is removing the slot, or was stopped while it did. The slot opens the repository until it is
    /// deleted.
    public var isBeingRemoved = false
    /// Why the slot or its note cannot be read; nil if both can.
    public var fault: CorruptionError?
}

/// The slots of a repository, read without its key.
struct KeySlots {
    private let store: any ObjectStore
    /// The readable slots.
    let slots: [KeySlot]
    /// The unreadable slots.
    let unreadable: [(id: ID128, error: CorruptionError)]
    /// The error for a slot of another repository, if there is one.
    private let stranger: CorruptionError?
    /// True if there are more slots that were not read.
    let areCut: Bool
    /// The removal marks. All of them were listed before any slot was read, as a removal requires.
    let removals: [(slot: ID128, key: ObjectKey)]
    /// The largest number of slots. There is a limit because trying a password takes time and memory for each slot.
    static let most = 32
    /// The most work for trying a password on all slots together, in the unit of `PasswordCost.work`.
    private static let mostWork =
        UInt64(most) * UInt64(PasswordCost.mostMemoryKiB) * UInt64(PasswordCost.mostPasses)
    /// The largest number of slots to read, besides the slot that this machine opened last.
    private static let mostRead = 1024

    /// Reads the slots, up to a limit. The slot `known`, which this machine opened last, is read even beyond the limit.
    /// Slots of other repositories are left out.
    init(_ store: any ObjectStore, repository: ID128, known: ID128? = nil) throws {
        self.store = store
        var slots: [KeySlot] = []
        var unreadable: [(ID128, CorruptionError)] = []
        var stranger: CorruptionError?
        let all = try store.list(ObjectNames.keys)
        removals = all.compactMap { info in ObjectNames.keyRemoval(in: info.key).map { ($0, info.key) } }
        let listed = all.sorted { $0.key < $1.key }
            .filter { info in ObjectNames.id(in: info.key).map(ObjectNames.keySlot) == info.key }
        areCut = listed.count > Self.mostRead
        let known = known.map(ObjectNames.keySlot)
        for (place, info) in listed.enumerated() where place < Self.mostRead || info.key == known {
            guard let id = ObjectNames.id(in: info.key) else { continue }
            do {
                let bytes = try store.readWhole(info.key, upTo: KeySlot.objectBytes)
                let slot = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
                    try KeySlot(decoding: bytes, object: info.key.description, id: id)
                }
                if slot.repository == repository {
                    slots.append(slot)
                } else {
                    stranger = CorruptionError(
                        object: info.key.description, offset: 0, reason: "a key of another repository")
                }
            } catch let error as CorruptionError {
                unreadable.append((id, error))
            } catch let error as StoreError where error.kind == .notFound {
                // Another program has removed the slot meanwhile.
            }
        }
        (self.slots, self.unreadable, self.stranger) = (slots, unreadable, stranger)
    }

    /// Returns the slots in the order in which to try a password: first `known`, which this machine opened last, then
    /// the others from the cheapest to the most expensive.
    func order(known: ID128?) -> [KeySlot] {
        let byCost = slots.sorted { ($0.cost.work, $0.id) < ($1.cost.work, $1.id) }
        return byCost.filter { $0.id == known } + byCost.filter { $0.id != known }
    }

    /// Returns the slots on which to try a password: as many as the limit on work allows.
    func tried(known: ID128?) -> (slots: [KeySlot], areAll: Bool) {
        let ordered = order(known: known)
        var work: UInt64 = 0
        let tried = ordered.prefix { slot in
            work += slot.cost.work
            return work <= Self.mostWork
        }
        return (Array(tried), tried.count == ordered.count && !areCut)
    }

    /// Returns the repository's key from the first slot that the password opens. It asks for `password` once.
    func unlock(known: ID128?, _ password: () throws -> SecretBytes) throws -> UnlockedKey {
        guard !slots.isEmpty else {
            throw unreadable.first?.error ?? stranger ?? RepositoryError.noKeySlot(location: store.location)
        }
        let password = try password()
        var changed: CorruptionError?
        let tried = tried(known: known)
        for slot in tried.slots {
            do {
                let object = ObjectNames.keySlot(slot.id).description
                if let key = try slot.open(password, object: object) {
                    return UnlockedKey(key: key, slot: slot.id)
                }
            } catch let error as CorruptionError { changed = error }
        }
        if let changed { throw changed }
        guard tried.areAll else { throw RepositoryError.tooManyKeySlots(location: store.location) }
        throw RepositoryError.wrongPassword(location: store.location, unreadableSlots: unreadable.count)
    }

    /// Puts a slot after testing that its bytes open again.
    static func put(
        _ unlocked: UnlockedKey, _ method: SealMethod, password: SecretBytes, cost: PasswordCost,
        note: KeySlotNote, repository: ID128, in store: any ObjectStore, random: any RandomSource
    ) throws {
        let bytes = try KeySlot(
            id: unlocked.slot, key: unlocked.key, method: method, repository: repository, password: password,
            cost: cost, note: note, random: random
        ).encode()
        let key = ObjectNames.keySlot(unlocked.slot)
        let slot = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try KeySlot(decoding: bytes, object: key.description, id: unlocked.slot)
        }
        guard try slot.open(password, object: key.description) == unlocked.key else {
            throw CorruptionError(object: key.description, offset: 0, reason: "it does not open again")
        }
        try store.putUnderFreshName(key, bytes)
    }
}

extension Repository {
    /// Returns the slots of an encrypted repository, oldest first. Unreadable slots come last.
    ///
    /// - Throws: `StoreError` if they cannot be listed or read.
    public func keySlots() throws -> [KeySlotInfo] {
        infos(try foundSlots())
    }

    func foundSlots() throws -> KeySlots {
        try KeySlots(store, repository: config.id, known: openedSlot)
    }

    func infos(_ found: KeySlots) -> [KeySlotInfo] {
        var infos = found.slots.map { slot in
            var info = KeySlotInfo(id: slot.id, cost: slot.cost, isCurrent: slot.id == openedSlot)
            do throws(CorruptionError) {
                info.note = try slot.note(context, object: ObjectNames.keySlot(slot.id).description)
            } catch { info.fault = error }
            return info
        }
        infos.sort { left, right in
            switch (left.note?.created, right.note?.created) {
            case (let one?, let other?): one != other ? one < other : left.id < right.id
            case (nil, nil): left.id < right.id
            default: left.note != nil
            }
        }
        infos += found.unreadable.map { KeySlotInfo(id: $0.id, isCurrent: false, fault: $0.error) }
        let going = Set(found.removals.map(\.slot))
        for place in infos.indices { infos[place].isBeingRemoved = going.contains(infos[place].id) }
        return infos
    }

    /// Adds a slot for a further password and returns its id. On return the slot is durable.
    ///
    /// - Throws: `RepositoryError.notEncrypted`, `RepositoryError.outsideLimits` if there are too many slots,
    ///   `PasswordHashError` if the password cannot be hashed, `CorruptionError` if the slot does not open again, and
    ///   `StoreError`.
    public func addKeySlot(
        password: SecretBytes, cost: PasswordCost, note: KeySlotNote
    ) throws -> ID128 {
        guard let key else { throw RepositoryError.notEncrypted(location: store.location) }
        func expectAtMost(_ count: Int) throws {
            let found = try KeySlots(store, repository: config.id)
            guard found.slots.count > count || found.areCut else { return }
            throw RepositoryError.outsideLimits(
                what: "a further key slot",
                reason: "there can be at most \(KeySlots.most). Remove one first with: bakstore key remove ID"
            )
        }
        try expectAtMost(KeySlots.most - 1)
        let id = ID128(from: random)
        try KeySlots.put(
            UnlockedKey(key: key, slot: id), config.encryption, password: password, cost: cost,
            note: note, repository: config.id, in: store, random: random)
        do {
            // Other programs may have added slots meanwhile. The program that put the last slot sees all of them, so it
            // notices if there are too many.
            try expectAtMost(KeySlots.most)
        } catch {
            // Another program may have deleted a slot because it found this new one. So the new slot is not simply
            // deleted here: `removeKeySlot` first looks for another slot. If there is none, it throws, and the new slot
            // stays.
            do {
                try removeKeySlot(id)
            } catch is RepositoryError { return id }
            throw error
        }
        return id
    }
}

/// The slot with which this machine last opened a repository, as a file of the cache. It only says which slot to try
/// first.
enum OpenedSlot {
    static let cacheName = "slot"

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x0074_6f6c_736b_6162 /* "bakslot" */, version: 1, repository: repository)
    }

    static func last(_ repository: ID128, in cache: any LocalCache) -> ID128? {
        cache.readRows(cacheName, header(repository)) { bytes in
            var reader = ByteReader(bytes, object: cacheName)
            return try? reader.id()
        } ?? nil
    }

    static func remember(_ slot: ID128, _ repository: ID128, in cache: any LocalCache) {
        cache.writeRows(cacheName, header(repository)) { $0.id(slot) }
    }
}
