// KeySlots: the passwords of an encrypted repository. Each slot wraps the same key under a password of its own.
//
// Always holds: a slot is durable before another goes. A slot of another repository, as an interrupted init leaves it,
// is no slot of this one. Whoever holds the store can put more of them: only one whose note opens under the
// repository's key was made by somebody who had the key, and only such a one counts as another. However many there are,
// opening takes no more work than 32 slots of the highest cost do. How slots go: KeySlotRemoval.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A repository's key, and the slot that gave it.
struct UnlockedKey: Sendable {
    let key: SecretBytes
    let slot: ID128
}

/// A slot as `key list` shows it.
public struct KeySlotInfo: Sendable {
    /// Its id.
    public var id: ID128
    /// What it costs to try a password; nil when the slot cannot be read.
    public var cost: PasswordCost?
    /// What was noted of it; nil when that cannot be read.
    public var note: KeySlotNote?
    /// Whether the repository was opened with it.
    public var isCurrent: Bool
    /// Whether a program is about to remove it, or was stopped when it was. Until then it opens the repository.
    public var isBeingRemoved = false
    /// What is wrong with it.
    public var fault: CorruptionError?
}

/// The slots of a repository whose key is not known yet.
struct KeySlots {
    private let store: any ObjectStore
    /// The slots that can be read.
    let slots: [KeySlot]
    /// Those that cannot.
    let unreadable: [(id: ID128, error: CorruptionError)]
    /// What is wrong with one that another repository's key lies in, if there is such a one.
    private let stranger: CorruptionError?
    /// Whether there are more that were not read.
    let areCut: Bool
    /// What says that a slot is to go. All of it was listed before any slot was read, as a removal needs it.
    let removals: [(slot: ID128, key: ObjectKey)]
    /// To try a password on a slot takes time and memory: no more than so many are made.
    static let most = 32
    /// What is tried of a password on all slots together, in blocks of memory.
    private static let mostWork =
        UInt64(most) * UInt64(PasswordCost.mostMemoryKiB) * UInt64(PasswordCost.mostPasses)
    /// So many are read, beside the one that this machine knows.
    private static let mostRead = 1024

    /// Reads the slots, `known` among them. Those of other repositories are left out.
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
                // Somebody has removed it meanwhile.
            }
        }
        (self.slots, self.unreadable, self.stranger) = (slots, unreadable, stranger)
    }

    /// The slots in the order in which a password is tried on them: `known`, which this machine opened last; then what
    /// is cheap before what is dear.
    func order(known: ID128?) -> [KeySlot] {
        let byCost = slots.sorted { ($0.cost.work, $0.id) < ($1.cost.work, $1.id) }
        return byCost.filter { $0.id == known } + byCost.filter { $0.id != known }
    }

    /// Those of them that it is tried on: as many as the work allows.
    func tried(known: ID128?) -> (slots: [KeySlot], areAll: Bool) {
        let ordered = order(known: known)
        var work: UInt64 = 0
        let tried = ordered.prefix { slot in
            work += slot.cost.work
            return work <= Self.mostWork
        }
        return (Array(tried), tried.count == ordered.count && !areCut)
    }

    /// The repository's key, from whichever slot the password opens. `password` is asked for once.
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

    /// Puts a slot, and reads it back before anything relies on it.
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
    /// The slots of an encrypted repository, sorted by age; what cannot be read comes last. Throws `StoreError` if they
    /// cannot be listed or read.
    public func keySlots() throws -> [KeySlotInfo] {
        infos(try foundSlots())
    }

    func foundSlots() throws -> KeySlots {
        try KeySlots(store, repository: config.id, known: unlocked?.slot)
    }

    func infos(_ found: KeySlots) -> [KeySlotInfo] {
        var infos = found.slots.map { slot in
            var info = KeySlotInfo(id: slot.id, cost: slot.cost, isCurrent: slot.id == unlocked?.slot)
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

    /// Adds a slot for a further password. Returns its id; it is durable then. Throws `RepositoryError.notEncrypted`
    /// or, if there are too many slots, `.outsideLimits`. Throws `PasswordHashError` if the password cannot be hashed,
    /// `CorruptionError` if the slot does not open again, and `StoreError`.
    public func addKeySlot(
        password: SecretBytes, cost: PasswordCost, note: KeySlotNote
    ) throws -> ID128 {
        guard let unlocked else { throw RepositoryError.notEncrypted(location: store.location) }
        func expectAtMost(_ count: Int) throws {
            let found = try KeySlots(store, repository: config.id)
            guard found.slots.count > count || found.areCut else { return }
            throw RepositoryError.outsideLimits(
                what: "a further key slot",
                reason: "there can be at most \(KeySlots.most); remove one first: bakstore key remove ID")
        }
        try expectAtMost(KeySlots.most - 1)
        let id = ID128(from: random)
        try KeySlots.put(
            UnlockedKey(key: unlocked.key, slot: id), config.encryption, password: password, cost: cost,
            note: note, repository: config.id, in: store, random: random)
        do {
            // Others may have added slots meanwhile. Whoever put the last one sees them all.
            try expectAtMost(KeySlots.most)
        } catch {
            // Somebody may count on it already: it goes as any other does, or is needed and stays.
            do {
                try removeKeySlot(id)
            } catch is RepositoryError { return id }
            throw error
        }
        return id
    }
}

/// The slot that this machine opened a repository with last, in its cache. It says only what to try first.
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
