// ObjectNames: the keys of a repository's objects in its store. The names are part of the format; see docs/format.md.

import BakCore
import BakStorage

/// The keys of objects, by kind.
public enum ObjectNames {
    /// The configuration.
    public static let config = ObjectKey("config")
    /// The folder of commit records.
    public static let snapshots = "snapshots"
    /// The folder of the spares of commit records. A spare is a second copy of a record, and is put after it. The
    /// folder's name sorts before `snapshots`. So a program that copies a repository in the order of names, while a
    /// backup runs, never copies a spare without its record.
    public static let spares = "records"
    /// The folder of registered sessions.
    public static let sessions = "sessions"
    /// The folder of index segments.
    public static let index = "index"
    /// The folder of forget markers.
    public static let forgotten = "forget"
    /// The folder of vouches. A vouch lists content that was called safe to delete because a snapshot has it.
    public static let vouched = "vouched"
    /// The folder of the plans and decisions of collections.
    public static let collections = "gc"
    /// The folder of key slots.
    public static let keys = "keys"
    /// The folder that contains the folders of packs.
    public static let packs = "packs"
    /// The 256 folders of packs, named by the first two digits of a pack's id.
    public static let packFolders = (0..<256).map { "packs/" + String(Hex.encode([UInt8($0)])) }

    /// All folders of a repository's objects.
    public static let folders =
        [snapshots, spares, sessions, index, forgotten, vouched, collections, keys, packs] + packFolders

    /// The key of a pack.
    public static func pack(_ id: ID128) -> ObjectKey {
        let name = id.description
        return ObjectKey("packs/\(name.prefix(2))/\(name)")
    }

    /// True if a key names one of the folders of packs.
    public static func isPackFolder(_ key: ObjectKey) -> Bool {
        let text = key.description.utf8
        return text.count == packs.utf8.count + 3 && isBeneathPackFolder(text)
    }

    /// True if a key names something directly in one of the folders of packs.
    public static func isInPackFolder(_ key: ObjectKey) -> Bool {
        let text = key.description.utf8
        let name = text.dropFirst(packs.utf8.count + 3)
        return name.first == UInt8(ascii: "/") && !name.dropFirst().contains(UInt8(ascii: "/"))
            && isBeneathPackFolder(text)
    }

    private static func isBeneathPackFolder(_ text: String.UTF8View) -> Bool {
        let digits = text.dropFirst(packs.utf8.count + 1).prefix(2)
        return text.starts(with: "packs/".utf8) && digits.count == 2
            && digits.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    /// Returns the id of a pack; nil if the key names something else.
    public static func pack(in key: ObjectKey) -> ID128? {
        guard let id = id(in: key), pack(id) == key else { return nil }
        return id
    }

    /// The key of a key slot.
    public static func keySlot(_ id: ID128) -> ObjectKey { ObjectKey("keys/\(id)") }

    /// The key of a request to remove a key slot. Each attempt at a removal has an id of its own.
    public static func keyRemoval(_ slot: ID128, _ removal: ID128) -> ObjectKey {
        ObjectKey("keys/\(slot).remove-\(removal)")
    }

    /// Returns the slot that a request asks to remove; nil if the key names something else.
    public static func keyRemoval(in key: ObjectKey) -> ID128? {
        let name = key.description.split(separator: "/").last ?? ""
        let parts = name.split(separator: ".", maxSplits: 1)
        guard parts.count == 2, let slot = ID128(parts[0]), parts[1].hasPrefix("remove-"),
            let removal = ID128(parts[1].dropFirst("remove-".utf8.count)), keyRemoval(slot, removal) == key
        else { return nil }
        return slot
    }

    /// The key of a collection's plan.
    public static func plan(_ number: UInt64) -> ObjectKey { ObjectKey("gc/\(number).plan") }

    /// The key of a collection's decision.
    public static func decision(_ number: UInt64) -> ObjectKey { ObjectKey("gc/\(number).decision") }

    /// The key of an index segment of the base that a decision names.
    public static func baseSegment(_ number: UInt64, _ id: ID128) -> ObjectKey {
        ObjectKey("index/\(number)-\(id)")
    }

    /// The key of a snapshot's forget marker.
    public static func forget(_ snapshot: ID128) -> ObjectKey { ObjectKey("forget/\(snapshot)") }

    /// The key of a vouch.
    public static func vouch(_ id: ID128) -> ObjectKey { ObjectKey("vouched/\(id)") }

    /// The key of a vouch's second copy.
    public static func vouchSpare(_ id: ID128) -> ObjectKey { ObjectKey("vouched/\(id).spare") }

    /// Returns the id of a vouch from the key of either copy; nil if the key names something else.
    public static func anyVouch(in key: ObjectKey) -> ID128? { id(in: key) ?? id(in: key, named: vouchSpare) }

    /// The key of a vouch that the user gave up by removing its snapshot.
    public static func givenUp(_ id: ID128) -> ObjectKey { ObjectKey("vouched/\(id).given-up") }

    /// Returns the id of a vouch that was given up; nil if the key names something else.
    public static func givenUp(in key: ObjectKey) -> ID128? { id(in: key, named: givenUp) }

    /// Returns the id before the dot of a key; nil unless `name` turns that id into the same key.
    private static func id(in key: ObjectKey, named name: (ID128) -> ObjectKey) -> ID128? {
        let parts = key.description.split(separator: "/", maxSplits: 1).last?.split(
            separator: ".", maxSplits: 1)
        guard let id = parts?.first.flatMap({ ID128($0) }), name(id) == key else { return nil }
        return id
    }

    /// Returns the round and id of a base segment; nil if the key names something else.
    public static func baseSegment(in key: ObjectKey) -> (round: UInt64, id: ID128)? {
        let parts = key.description.dropFirst(index.utf8.count + 1).split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let round = UInt64(parts[0]), (1...lastRound).contains(round),
            let id = ID128(parts[1]), baseSegment(round, id) == key
        else { return nil }
        return (round, id)
    }

    /// The highest number that a round may have.
    public static let lastRound: UInt64 = 1 << 62

    /// Returns the round of a plan or decision; nil if the key names something else.
    public static func round(in key: ObjectKey) -> (number: UInt64, isDecision: Bool)? {
        let parts = key.description.dropFirst(collections.utf8.count + 1).split(separator: ".")
        guard parts.count == 2, let number = UInt64(parts[0]), (1...lastRound).contains(number) else {
            return nil
        }
        if key == plan(number) { return (number, false) }
        return key == decision(number) ? (number, true) : nil
    }

    /// The key of a session's index segment.
    public static func indexSegment(_ session: ID128) -> ObjectKey { ObjectKey("index/\(session)") }

    /// The key of a session's commit record or tombstone.
    public static func snapshot(_ session: ID128) -> ObjectKey { ObjectKey("snapshots/\(session)") }

    /// The key of the spare of a session's commit record.
    public static func spare(_ session: ID128) -> ObjectKey { ObjectKey("records/\(session)") }

    /// The key of a session's record.
    public static func session(_ session: ID128) -> ObjectKey { ObjectKey("sessions/\(session)") }

    /// Returns the id in the last component of a key; nil if there is none.
    public static func id(in key: ObjectKey) -> ID128? {
        let text = key.description.utf8
        let name = text.lastIndex(of: UInt8(ascii: "/")).map { text[text.index(after: $0)...] } ?? text[...]
        return ID128(Substring(name))
    }
}
