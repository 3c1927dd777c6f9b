// SeenState: what this machine saw last of a repository, in each folder where it met it: the newest decided round and the
// newest snapshots. A store that shows less was put back from an old copy, or hides what is new.
//
//   magic "bakseen\0" 8 | version 4 | zero 4 | repository id 16 | place* | XXH3-128 of it all 16
//   place    its XXH3-64 8 | round 8 | number of paths 1 | number of snapshots 1 | XXH3-64 of a path 8 * | snapshot id 16 *
//
// Always holds: a folder that was met is compared with itself, so that copies which are used in turns stay apart; another
// folder at a path that was met, and one of which only its path is known, with what was last seen at that path; and one of
// which neither was met, with what was last seen anywhere.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// What a store does not show any more.
public struct OlderState: Equatable, Sendable {
    /// Snapshots that were there and of which nothing is left, neither a spare nor a mark that they are not wanted.
    public var lostSnapshots: [ID128] = []
    /// Whether collections that were decided are not there any more.
    public var lacksRounds = false
    /// True if it was seen in another folder and under another path only: it may be a copy that was never used.
    public var isElsewhere = false

    var isNothing: Bool { lostSnapshots.isEmpty && !lacksRounds }
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
        var snapshots: [ID128] = []

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
        for _ in 0..<snapshots { place.snapshots.append(try reader.id()) }
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
                for id in place.snapshots { writer.id(id) }
            }
        }
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x006e_6565_736b_6162 /* "bakseen" */, version: 2, repository: repository)
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
    mutating func note(_ snapshots: [ID128], round: UInt64, in repository: Repository) {
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
    public func olderState() throws -> OlderState? {
        for (seen, isElsewhere) in SeenState(self).toCompare {
            var older = OlderState()
            if seen.round > 0, try !isThere(Layout.decision(seen.round)) {
                older.lacksRounds = try collectionRounds().decided < seen.round
            }
            for id in seen.snapshots {
                let traces = [Layout.snapshot(id), Layout.forget(id), Layout.spare(id)]
                if try !traces.contains(where: isThere) { older.lostSnapshots.append(id) }
            }
            older.isElsewhere = isElsewhere
            if !older.isNothing { return older }
        }
        return nil
    }

    private func isThere(_ key: ObjectKey) throws -> Bool {
        do {
            _ = try store.size(of: key)
            return true
        } catch {
            guard error.kind == .notFound else { throw error }
            return false
        }
    }

    /// Forgets what was seen here: what is there now counts from now on.
    public func forgetSeenState() { noteSeen([], round: 0) }

    /// Takes note of a snapshot that was stored from here.
    public func noteSeen(_ snapshot: ID128) {
        let seen = SeenState(self).here
        noteSeen(seen.snapshots.filter { $0 != snapshot } + [snapshot], round: seen.round)
    }

    /// Takes note of all that is there, the newest snapshots last.
    func noteSeen(_ snapshots: [ID128], round: UInt64) {
        var seen = SeenState(self)
        seen.note(snapshots, round: round, in: self)
    }
}
