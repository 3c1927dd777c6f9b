// SeenState: remembers for each folder with a copy of the repository what this machine saw there last: the newest
// decided collection round and the newest snapshots. If a store shows less than its record, it was restored from an old
// copy, or it hides something. A place is a folder as the machine identifies it.
//
//   magic "bakseen\0" 8 | version 4 | zero 4 | repository id 16 | place* | XXH3-128 of it all 16
//   place    its XXH3-64 8 | round 8 | number of paths 1 | number of snapshots 1 | XXH3-64 of a path 8 * | snapshot *
//   snapshot id 16 | XXH3-64 of its device and paths 8 | 1 if it is an archive, else 0
//
// Always holds:
// - A folder that this machine knows is compared with its own record, so that copies used in turns stay apart.
// - A new folder at a known path, or a folder known by its path only, is compared with the last record at that path.
// - A folder that is new and at a new path is compared with the last record of any folder.
// - While the store lacks anything that the record lists, the record does not change, until the user accepts the loss.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// What this machine saw in a store and the store no longer shows.
public struct OlderState: Equatable, Sendable {
    /// A snapshot of which nothing is left: no commit record, no spare (the record's second copy) and no readable
    /// forget marker.
    public struct Lost: Equatable, Sendable {
        /// Its id.
        public var id: ID128
        /// The XXH3-64 of its device and paths.
        var line: UInt64
        /// True if it was an archive.
        public var isArchive: Bool

        /// True if it was of this device and these paths.
        public func isOf(device: String, paths: [[UInt8]]) -> Bool {
            line == Self.line(device: device, paths: paths)
        }

        init(_ record: CommitRecord) {
            id = record.id
            line = Self.line(device: record.device, paths: record.paths)
            isArchive = record.isArchive
        }

        init(id: ID128, line: UInt64, isArchive: Bool) {
            (self.id, self.line, self.isArchive) = (id, line, isArchive)
        }

        private static func line(device: String, paths: [[UInt8]]) -> UInt64 {
            // Zero bytes separate the parts: neither a device's name nor a path has one.
            let parts = [Array(device.utf8)] + Set(paths).sorted { PathOrder.precedes($0, $1) }
            return Array(parts.joined(separator: [0])).withUnsafeBytes(Checksum.xxh3_64)
        }
    }

    /// The snapshots that are gone, oldest first.
    public var lost: [Lost] = []
    /// Their ids.
    public var lostSnapshots: [ID128] { lost.map(\.id) }
    /// True if decided rounds are gone.
    public var lacksRounds = false
    /// True if this folder was compared with the record of another folder at another path. Then this folder may only be
    /// an older copy that this machine has not used before.
    public var isElsewhere = false

    var isNothing: Bool { lost.isEmpty && !lacksRounds }
}

/// The seen state as a file of the cache.
struct SeenState: Equatable {
    static let cacheName = "seen"
    /// The number of snapshots to remember of a place.
    static let snapshotLimit = 8
    /// The number of paths to remember of a place.
    private static let pathLimit = 16
    /// The number of places to remember.
    static let placeLimit = 64

    /// A folder in which this machine met the repository.
    struct Place: Equatable {
        var name: UInt64
        var paths: [UInt64] = []
        var round: UInt64 = 0
        /// The newest snapshots, oldest first.
        var snapshots: [OlderState.Lost] = []

        fileprivate var isEmpty: Bool { round == 0 && snapshots.isEmpty }
    }

    /// The places, with the one used last at the end.
    private(set) var places: [Place] = []
    private let name: UInt64
    private let paths: [UInt64]

    /// Reads the file. A missing or damaged file counts as empty.
    init(_ repository: Repository) {
        func hash(_ text: String) -> UInt64 { Array(text.utf8).withUnsafeBytes(Checksum.xxh3_64) }
        name = hash(repository.store.place)
        paths = repository.store.paths.map(hash).sorted()
        places =
            repository.cache.readRows(Self.cacheName, Self.header(repository.config.id)) { bytes in
                var reader = ByteReader(bytes, object: Self.cacheName)
                var places: [Place] = []
                while let place = try? Self.place(&reader) { places.append(place) }
                return places
            } ?? []
    }

    private static func place(_ reader: inout ByteReader) throws(CorruptionError) -> Place {
        var place = Place(name: try reader.integer(UInt64.self))
        place.round = try reader.integer(UInt64.self)
        let (paths, snapshots) = (try reader.byte(), try reader.byte())
        for _ in 0..<paths { place.paths.append(try reader.integer(UInt64.self)) }
        for _ in 0..<snapshots {
            place.snapshots.append(
                OlderState.Lost(
                    id: try reader.id(), line: try reader.integer(UInt64.self),
                    isArchive: try reader.byte() != 0))
        }
        return place
    }

    /// Replaces the file. If that fails, the machine remembers nothing new.
    private func write(_ repository: Repository) {
        repository.cache.writeRows(Self.cacheName, Self.header(repository.config.id)) { writer in
            for place in places {
                writer.integer(place.name)
                writer.integer(place.round)
                writer.byte(UInt8(place.paths.count))
                writer.byte(UInt8(place.snapshots.count))
                for path in place.paths { writer.integer(path) }
                for snapshot in place.snapshots {
                    writer.id(snapshot.id)
                    writer.integer(snapshot.line)
                    writer.byte(snapshot.isArchive ? 1 : 0)
                }
            }
        }
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x006e_6565_736b_6162 /* "bakseen" */, version: 3, repository: repository)
    }

    /// The record of this folder.
    var here: Place { places.last { $0.name == name } ?? Place(name: name) }

    /// The records to compare this folder with; `isElsewhere` is true if the record is of another folder and path.
    var toCompare: [(place: Place, isElsewhere: Bool)] {
        let known = places.last { $0.name == name }
        // If the path is the only identity of this folder, another folder may have been at that path. So the path
        // counts as new, and the last record at that path is compared.
        let newPaths = paths.filter { $0 == name || known?.paths.contains($0) != true }
        var found = newPaths.compactMap { path in places.last { !$0.isEmpty && $0.paths.contains(path) } }
        if let known { found.append(known) }
        if !found.isEmpty { return found.map { ($0, false) } }
        return places.last { !$0.isEmpty }.map { [($0, true)] } ?? []
    }

    /// Remembers what this folder shows.
    mutating func note(_ snapshots: [OlderState.Lost], round: UInt64, in repository: Repository) {
        var place = here
        (place.round, place.snapshots) = (round, Array(snapshots.suffix(Self.snapshotLimit)))
        place.paths = Array((place.paths.filter { !paths.contains($0) } + paths).suffix(Self.pathLimit))
        guard places.last != place else { return }
        places = Array((places.filter { $0.name != name } + [place]).suffix(Self.placeLimit))
        write(repository)
    }
}

extension Repository {
    /// Returns what this machine saw and the store no longer shows; nil if nothing is gone. It looks up a few names
    /// only.
    ///
    /// - Throws: `StoreError` if the store fails.
    public func olderState() throws -> OlderState? {
        for (seen, isElsewhere) in SeenState(self).toCompare {
            var older = OlderState()
            if seen.round > 0, try !isThere(ObjectNames.decision(seen.round)) {
                older.lacksRounds = try collectionRounds().decided < seen.round
            }
            for snapshot in seen.snapshots {
                let id = snapshot.id
                if try hasRecord(id) || isThere(ObjectNames.spare(id)) || isForgottenWhole(id) {
                    continue
                }
                older.lost.append(snapshot)
            }
            if !older.lost.isEmpty {
                // A snapshot is not lost if it was copied back from another repository. `snapshots` would also note the
                // listed snapshots as seen. The hold prevents that, because the store may still lack others.
                olderHold.isHeld = true
                let present = Set((try? snapshots())?.readable.map(\.originalID) ?? [])
                olderHold.isHeld = false
                older.lost.removeAll { present.contains($0.id) }
            }
            older.isElsewhere = isElsewhere
            if older.isNothing { continue }
            olderHold.isHeld = true
            return older
        }
        return nil
    }

    /// True if the snapshot has an undamaged forget marker. The marker's name alone proves nothing, because any program
    /// can create a file of that name.
    private func isForgottenWhole(_ id: ID128) throws -> Bool {
        do {
            return try isForgotten(id) && faultOfMarker(id) == nil
        } catch let error as StoreError where error.kind == .notFound { return false }
    }

    /// True if any part of a snapshot's record is left. A tombstone under the record's name does not count: it says
    /// that the session never committed, but this machine has seen the snapshot, so the record is lost. A record that
    /// was cut to a tombstone's length counts, because other checks report it as damage.
    private func hasRecord(_ id: ID128) throws -> Bool {
        guard let size = try size(of: ObjectNames.snapshot(id)) else { return false }
        return size != Tombstone.objectBytes(context) || (try? expectTombstone(id)) == nil
    }

    private func isThere(_ key: ObjectKey) throws -> Bool { try size(of: key) != nil }

    /// Returns an object's size; nil if there is no such object.
    private func size(of key: ObjectKey) throws -> Int? {
        do {
            return try store.size(of: key)
        } catch {
            guard error.kind == .notFound else { throw error }
            return nil
        }
    }

    /// True if `olderState` has found something gone and the user has not accepted the loss since.
    public var isOlder: Bool { olderHold.isHeld }

    /// Forgets the record of this folder, so that its present state counts from now on.
    public func forgetSeenState() {
        olderHold.isHeld = false
        note([], round: 0)
    }

    /// Notes a snapshot that this machine stored.
    public func noteSeen(_ snapshot: CommitRecord) {
        let seen = SeenState(self).here
        let others = seen.snapshots.filter { $0.id != snapshot.id }
        note(others + [OlderState.Lost(snapshot)], round: seen.round)
    }

    /// Notes the snapshots that a listing shows, the newest last.
    func noteSeen(_ snapshots: [CommitRecord], round: UInt64) {
        note(snapshots.suffix(SeenState.snapshotLimit).map(OlderState.Lost.init), round: round)
    }

    private func note(_ snapshots: [OlderState.Lost], round: UInt64) {
        if olderHold.isHeld { return }
        var seen = SeenState(self)
        seen.note(snapshots, round: round, in: self)
    }
}

/// A flag that keeps the seen state unchanged while the store lacks anything that it lists.
final class OlderHold: @unchecked Sendable {
    private let monitor = Monitor()
    private var value = false

    var isHeld: Bool {
        get { monitor.locked { value } }
        set { monitor.locked { value = newValue } }
    }
}
