// Aftermath: what must hold once no process acts any more. First a repair brings back lost commit records. Then an
// undisturbed prune must succeed, keep all snapshots, and leave no garbage.

import BakCore
import BakFormat
import BakStorage
import TestSupport

@testable import BakRepository

/// Checks a store that no process uses any more.
enum Aftermath {
    /// Returns a description of the first fault; nil if there is none.
    static func fault(_ start: StoreImage, _ universe: Universe) -> String? {
        do {
            var image = start
            let store = ActorStore(universe) { image.apply($0, universe) }
            if try !Oracle.open(store).snapshots().unreadable.isEmpty {
                let request = RepairRequest(host: "host", program: "test")
                let report = try RepairSnapshots(try Oracle.open(store), request).run()
                if !report.isWhole { return "what has lost its record is not brought back" }
            }
            let before = try Oracle.open(store).snapshots().readable.map(\.id)
            for round in 1...2 {
                let report = try prune(store, seed: UInt64(round))
                if report.isPartial { return "prune \(round) leaves something undone" }
                if round == 2, report.deletedPacks > 0 { return "the second prune still finds something" }
                if let fault = Oracle.fault(image, universe) { return "after prune \(round): \(fault)" }
            }
            let repository = try Oracle.open(store)
            let after = try repository.snapshots().readable.map(\.id)
            if after != before { return "prune changed the snapshots from \(before) to \(after)" }
            return try garbage(repository)
        } catch { return "an undisturbed prune: \(error)" }
    }

    private static func prune(_ store: any ObjectStore, seed: UInt64) throws -> PruneReport {
        var options = PruneOptions()
        options.maxUnused = .bytes(0)
        options.graceSeconds = 0
        let repository = try Repository.open(
            store, cache: MemoryCache(), time: SimulatedTime(),
            random: OneFolderRandom(seed: 77_000 + seed))
        return try Prune(repository, options, host: "host", program: "test").run()
    }

    /// Returns a description of damage, or of an object that nothing needs; nil if there is neither.
    private static func garbage(_ repository: Repository) throws -> String? {
        let index = try BlobIndex(repository, rebuilding: true)
        var packs = Set(index.packs.map(\.id))
        for folder in ObjectNames.packFolders {
            for info in try repository.store.list(folder) {
                guard let id = ObjectNames.id(in: info.key), packs.remove(id) != nil else {
                    return "\(info.key) is left over"
                }
            }
        }
        if let lost = packs.first { return "the index names pack \(lost), which is gone" }
        let living = try livingBlobs(repository, index)
        var dead = 0
        try index.forEach { entry, _ in if !living.contains(entry.id) { dead += 1 } }
        if dead > 0 { return "\(dead) blobs are left that nothing refers to" }
        // A prune does not end an abandoned session if it would gain no space. Such a session's record may stay.
        let outcomes = try repository.sessionOutcomes()
        let sessions = try repository.store.list(ObjectNames.sessions).filter {
            outcomes.isDecided(ObjectNames.id(in: $0.key)!)
        }
        let probes = try repository.store.list(ObjectNames.collections).filter {
            ObjectNames.round(in: $0.key) == nil
        }
        // The temporaries of such a session may stay, too.
        try repository.removeLeavings()
        let open = Set(
            try repository.store.list(ObjectNames.sessions).compactMap { ObjectNames.id(in: $0.key) })
        let temporaries = try repository.store.list(Temporary.folder).filter {
            Temporary.session(of: $0.key).map { !open.contains($0) } ?? false
        }
        return (sessions + probes + temporaries).first.map { "\($0.key) is left over" }
    }

    private static func livingBlobs(_ repository: Repository, _ index: BlobIndex) throws -> Set<ID128> {
        let reader = SegmentReader(repository, index)
        var living: Set<ID128> = []
        for snapshot in try repository.snapshots().readable {
            living.insert(snapshot.root.id)
            for segment in try reader.root(snapshot.root).segments {
                living.insert(segment.blob.id)
                try reader.forEachChunk(of: segment) { living.insert($0.id) }
            }
        }
        return living
    }
}
