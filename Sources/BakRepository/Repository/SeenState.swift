// SeenState: what this machine saw last of a repository, in each folder where it met it: the newest decided round and
// the newest snapshots. A store that shows less was put back from an old copy, or hides what is new.
//
//   magic "bakseen\0" 8 | version 4 | zero 4 | repository id 16 | place* | XXH3-128 of it all 16
//   place    its XXH3-64 8 | round 8 | number of paths 1 | number of snapshots 1 | XXH3-64 of a path 8 * | snapshot *
//   snapshot id 16 | XXH3-64 of its device and paths 8 | 1 if it is an archive, else 0
//
// Always holds: a folder that was met is compared with itself, so that copies which are used in turns stay apart;
// another folder at a path that was met, and one of which only its path is known, with what was last seen at that path;
// and one of which neither was met, with what was last seen anywhere. As long as something of it is gone, and nobody
// has said that this is meant, it is not forgotten.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// What a store does not show any more.
public struct OlderState: Equatable, Sendable {
    /// A snapshot that was there and of which nothing is left, neither a spare nor a mark that it is not wanted.
    public struct Lost: Equatable, Sendable {
        /// Its id.
        public var id: ID128
        /// The XXH3-64 of its device and paths.
        var line: UInt64
        /// Whether it was an archive.
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
            // Neither a device's name nor a path has a zero byte.
            let parts = [Array(device.utf8)] + Set(paths).sorted { PathOrder.precedes($0, $1) }
            return Array(parts.joined(separator: [0])).withUnsafeBytes(Checksum.xxh3_64)
        }
    }

    /// Those that are gone, oldest first.
    public var lost: [Lost] = []
    /// Their ids.
    public var lostSnapshots: [ID128] { lost.map(\.id) }
    /// Whether collections that were decided are not there any more.
    public var lacksRounds = false
    /// True if it was seen in another folder and under another path only: it may be a copy that was never used.
    public var isElsewhere = false

    var isNothing: Bool { lost.isEmpty && !lacksRounds }
}

/// The file of the cache.
struct SeenState: Equatable {
    static let cacheName = "seen"
    /// So many snapshots are remembered of a place.
    static let snapshotLimit = 8
    /// So many paths are remembered of a place.
    private static let pathLimit = 16
    /// So many places are remembered.
    static let placeLimit = 64

    /// A folder in which the repository was met.
    struct Place: Equatable {
        var name: UInt64
        var paths: [UInt64] = []
        var round: UInt64 = 0
        /// The newest snapshots, oldest first.
        var snapshots: [OlderState.Lost] = []

        fileprivate var isEmpty: Bool { round == 0 && snapshots.isEmpty }
    }

    /// The one that was used last is the last.
    private(set) var places: [Place] = []
    private let name: UInt64
    private let paths: [UInt64]

    /// Reads the file. Where something is wrong with it nothing was seen.
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

    /// Writes the file anew. One that cannot be written remembers nothing.
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

    /// What was seen in this folder.
    var here: Place { places.last { $0.name == name } ?? Place(name: name) }

    /// With what this folder is to be compared, and whether that was elsewhere.
    var toCompare: [(place: Place, isElsewhere: Bool)] {
        let known = places.last { $0.name == name }
        // Another folder may have been at the path that is all that this one has for a name.
        let newPaths = paths.filter { $0 == name || known?.paths.contains($0) != true }
        var found = newPaths.compactMap { path in places.last { !$0.isEmpty && $0.paths.contains(path) } }
        if let known { found.append(known) }
        if !found.isEmpty { return found.map { ($0, false) } }
        return places.last { !$0.isEmpty }.map { [($0, true)] } ?? []
    }

    /// Remembers what is in this folder.
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
    /// What this machine saw and is not shown any more; nil where all of it is there. It takes a look at a few names.
    /// Throws `StoreError` if the store fails.
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
                // What a copy has brought back is there. This listing is none to take note of.
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

    /// Whether a marker says so that opens: its name anybody can give.
    private func isForgottenWhole(_ id: ID128) throws -> Bool {
        do {
            return try isForgotten(id) && faultOfMarker(id) == nil
        } catch let error as StoreError where error.kind == .notFound { return false }
    }

    /// Whether there is something of a snapshot's record. A tombstone says that the session never committed, which this
    /// machine knows better; what was only cut to its length is damage, and told of as that.
    private func hasRecord(_ id: ID128) throws -> Bool {
        guard let size = try size(of: ObjectNames.snapshot(id)) else { return false }
        return size != Tombstone.objectBytes(context) || (try? expectTombstone(id)) == nil
    }

    private func isThere(_ key: ObjectKey) throws -> Bool { try size(of: key) != nil }

    /// Nil where there is no such object.
    private func size(of key: ObjectKey) throws -> Int? {
        do {
            return try store.size(of: key)
        } catch {
            guard error.kind == .notFound else { throw error }
            return nil
        }
    }

    /// Whether it was older when somebody looked last, and nobody has said since that this is meant.
    public var isOlder: Bool { olderHold.isHeld }

    /// Forgets what was seen here: what is there now counts from now on.
    public func forgetSeenState() {
        olderHold.isHeld = false
        note([], round: 0)
    }

    /// Takes note of a snapshot that was stored from here.
    public func noteSeen(_ snapshot: CommitRecord) {
        let seen = SeenState(self).here
        let others = seen.snapshots.filter { $0.id != snapshot.id }
        note(others + [OlderState.Lost(snapshot)], round: seen.round)
    }

    /// Takes note of all that is there, the newest snapshots last.
    func noteSeen(_ snapshots: [CommitRecord], round: UInt64) {
        note(snapshots.suffix(SeenState.snapshotLimit).map(OlderState.Lost.init), round: round)
    }

    private func note(_ snapshots: [OlderState.Lost], round: UInt64) {
        if olderHold.isHeld { return }
        var seen = SeenState(self)
        seen.note(snapshots, round: round, in: self)
    }
}

/// Whether what was seen of a repository is kept as it is, because something of it is gone.
final class OlderHold: @unchecked Sendable {
    private let monitor = Monitor()
    private var value = false

    var isHeld: Bool {
        get { monitor.locked { value } }
        set { monitor.locked { value = newValue } }
    }
}
