// SeenState: what this machine saw last of this copy of a repository: the newest decided round and the newest snapshots. A
// store that shows less was put back from an old copy, or hides what is new.
//
//   magic "bakseen\0" 8 | version 4 | zero 4 | repository id 16 | round 8 | snapshot ids 16 each | XXH3-128 of it all 16

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
}

/// The file of the cache.
struct SeenState: Equatable {
    static let cacheName = "seen"
    /// So many snapshots are remembered.
    static let snapshotLimit = 8

    var round: UInt64 = 0
    /// The newest snapshots, oldest first.
    var snapshots: [ID128] = []

    /// Nothing.
    init() {}

    /// Reads the file. Where something is wrong with it nothing was seen.
    init(_ repository: Repository) {
        let name = repository.cacheNameHere(Self.cacheName)
        let seen = repository.cache.readRows(name, Self.header(repository.config.id)) { bytes in
            var reader = ByteReader(bytes, object: Self.cacheName)
            var seen = SeenState()
            seen.round = (try? reader.integer(UInt64.self)) ?? 0
            while let id = try? reader.id() { seen.snapshots.append(id) }
            return seen
        }
        self = seen ?? SeenState()
    }

    /// Writes the file anew. One that cannot be written remembers nothing.
    func write(_ repository: Repository) {
        let name = repository.cacheNameHere(Self.cacheName)
        repository.cache.writeRows(name, Self.header(repository.config.id)) { writer in
            writer.integer(round)
            for id in snapshots { writer.id(id) }
        }
    }

    private static func header(_ repository: ID128) -> CacheHeader {
        CacheHeader(magic: 0x006e_6565_736b_6162 /* "bakseen" */, version: 1, repository: repository)
    }
}

extension Repository {
    /// What this machine saw here and is not shown any more; nil where all of it is there. It takes a look at a few names.
    public func olderState() throws -> OlderState? {
        let seen = SeenState(self)
        var older = OlderState()
        if seen.round > 0, try !isThere(Layout.decision(seen.round)) {
            older.lacksRounds = try collectionRounds().decided < seen.round
        }
        for id in seen.snapshots {
            let traces = [Layout.snapshot(id), Layout.forget(id), Layout.spare(id)]
            if try !traces.contains(where: isThere) { older.lostSnapshots.append(id) }
        }
        return older == OlderState() ? nil : older
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

    /// Forgets what was seen: what is there now counts from now on.
    public func forgetSeenState() { SeenState().write(self) }

    /// Takes note of a snapshot that was stored from here.
    public func noteSeen(_ snapshot: ID128) {
        let seen = SeenState(self)
        noteSeen(seen.snapshots.filter { $0 != snapshot } + [snapshot], round: seen.round)
    }

    /// Takes note of all that is there, the newest snapshots last.
    func noteSeen(_ snapshots: [ID128], round: UInt64) {
        var now = SeenState()
        (now.round, now.snapshots) = (round, Array(snapshots.suffix(SeenState.snapshotLimit)))
        if now != SeenState(self) { now.write(self) }
    }
}
