// RepairPacks: saves the undamaged blobs of damaged packs. It copies these blobs to new packs and replaces the index.
// The new index names only the copies in new packs and in undamaged packs. It does not name lost blobs, so the next
// backup that still has their content stores them again. The damaged packs stay until a prune removes them.

import BakCore
import BakFormat
import BakStorage

/// Repairs packs.
public final class RepairPacks: RepositoryRepair {
    override func attempt() throws -> Bool {
        var snapshots = try repository.snapshotList()
        let index = try BlobIndex(repository, rebuilding: true)
        onEvent(.step("packs"))
        let damaged = try findDamaged(index)
        if stop.isRequested { return try interrupt() }
        report.wasNeeded = !damaged.isEmpty
        let filler = PackFiller(repository, isDryRun: request.isDryRun)
        var lost = DamagedBlobs()
        if !damaged.isEmpty {
            onEvent(.step("salvage"))
            try salvage(damaged, index, filler, &lost)
            if stop.isRequested { return try interrupt() }
            try filler.finish()
            (report.salvagedBlobs, report.writtenBytes) = (filler.copies.count, filler.writtenBytes)
        }
        if damaged.isEmpty || request.isDryRun {
            guard try isUndisturbed() else { return false }
        } else if try !replaceIndex(index, without: damaged, filler) {
            return false
        }
        tellHeld()
        onEvent(.step("manifests"))
        // A dry run uses the old index. That index still names the lost blobs, so `find` gets their list in `lost`.
        var now = index
        if !request.isDryRun, !damaged.isEmpty {
            snapshots = try repository.snapshotList()
            now = try BlobIndex(repository)
        }
        try LossFinder(repository: repository, onEvent: onEvent, stop: stop).find(
            snapshots, in: now, lost, &report)
        return true
    }

    // MARK: Damaged packs

    private func findDamaged(_ index: BlobIndex) throws -> [CountedPack] {
        let census = try PackCensus(repository.store, index) { _ in }
        let chosen = Set(request.packs)
        let packs = census.packs.filter { chosen.isEmpty || chosen.contains($0.id) }
        report.packs = packs.count
        let present = packs.filter { $0.storedBytes != nil }
        let onEvent = onEvent
        let run = PackCheckRun(
            repository, index, ReadLog(repository), census,
            chosenBytes: present.total(\.indexed.size),
            onEvent: { event in
                guard case .progress(let done, let total) = event else { return }
                onEvent(.progress(done: done, total: total))
            }, stop: stop)
        run.verify(present.map { ($0, true) }, deadline: nil, workerCount: request.workerCount)
        if let failure = run.failure { throw failure }
        // If this user may not read a pack, it is unknown whether the pack is damaged. So the repair ends here and does
        // not treat the pack as lost.
        if let (pack, found, _) = run.faulty.first(where: \.found.isRefused) {
            throw CorruptionError.unreadable(
                object: ObjectNames.pack(pack.id).description, offset: 0, reason: found.words[0],
                isRefused: true)
        }
        var faulty: Set<ID128> = []
        for (pack, found, _) in run.faulty where found.cause != .newerProgram {
            if found.isContradicted { report.needsIndexRepair = true } else { faulty.insert(pack.id) }
            for reason in found.words { note(pack.id, reason) }
        }
        let damaged = packs.filter { pack in
            guard let size = pack.storedBytes else {
                note(pack.id, "the pack is missing")
                return true
            }
            if size != pack.indexed.size {
                note(pack.id, "it has \(size) bytes, but the index says \(pack.indexed.size)")
                return true
            }
            return faulty.contains(pack.id)
        }
        report.damagedPacks = damaged.count
        return damaged
    }

    private func note(_ pack: ID128, _ reason: String) {
        hold(.damage(object: ObjectNames.pack(pack).description, reason: reason))
    }

    // MARK: Salvage

    /// Copies the blobs that only damaged packs hold. `lost` receives the blobs of which no copy is whole.
    private func salvage(
        _ damaged: [CountedPack], _ index: BlobIndex, _ filler: PackFiller, _ lost: inout DamagedBlobs
    ) throws {
        let sorted = try index.soundIndex()
        let isDamaged = Set(damaged.map(\.id))
        let isBad = sorted.packs.map { isDamaged.contains($0.id) }
        var wanted: [ID128: [(position: Int, entry: IndexEntry)]] = [:]
        try sorted.forEachBlob { position, copies in
            guard copies.allSatisfy({ isBad[Int($0.pack)] }) else { return }
            for copy in copies {
                wanted[sorted.packs[Int(copy.pack)].id, default: []].append((position, copy))
            }
        }
        let salvage = PackSalvage(repository)
        var saved: Set<Int> = []
        var doubtful: [(position: Int, location: BlobLocation)] = []
        for (number, pack) in damaged.enumerated() where !stop.isRequested {
            onEvent(.progress(done: UInt64(number), total: UInt64(damaged.count)))
            let items = (wanted[pack.id] ?? []).sorted { $0.entry.offset < $1.entry.offset }
            let size = Int(pack.storedBytes ?? 0)
            var rows: [UInt32: BlobRecord] = [:]
            // If bytes were appended to a pack, its footer still ends at the size that the index says.
            let footerSize = min(size, Int(pack.indexed.size))
            for row in try salvage.footer(of: pack.id, size: footerSize)?.blobs ?? [] {
                rows[row.offset] = row
            }
            var whole = 0
            for (position, entry) in items {
                if saved.contains(position) {
                    whole += 1
                } else if let form = try salvage.blob(entry, rows[entry.offset], of: pack.indexed, size: size)
                {
                    try filler.append(form, of: entry, kind: pack.indexed.kind)
                    saved.insert(position)
                    whole += 1
                } else {
                    let location = BlobLocation(
                        pack: pack.id, offset: entry.offset, storedLength: entry.storedLength)
                    doubtful.append((position, location))
                }
            }
            hold(.salvaged(pack: pack.id, blobs: whole, of: items.count))
        }
        var lostPositions: Set<Int> = []
        for (position, location) in doubtful where !saved.contains(position) {
            lost.blobs.insert(location)
            lostPositions.insert(position)
        }
        report.lostBlobs = lostPositions.count
    }

    // MARK: The index

    /// Replaces the index with one that names only undamaged copies. Returns false if another program has decided a
    /// round meanwhile.
    private func replaceIndex(
        _ index: BlobIndex, without damaged: [CountedPack], _ filler: PackFiller
    ) throws -> Bool {
        let sorted = try index.soundIndex()
        let isDamaged = Set(damaged.map(\.id))
        let isBad = sorted.packs.map { isDamaged.contains($0.id) }
        let replacement = try IndexReplacement(repository, index.trusted, request)
        var base = BaseIndex(
            repository, round: replacement.round, packs: sorted.packs + filler.packs)
        var rest = filler.copies[...]
        try sorted.forEachBlob { _, copies in
            if let copy = rest.first, copy.id == copies[0].id {
                rest.removeFirst()
                var entry = copies[0]
                entry.pack = UInt32(sorted.packs.count + copy.pack)
                (entry.offset, entry.storedLength) = (copy.offset, copy.storedLength)
                try base.append([entry])
            } else {
                try base.append(copies.filter { !isBad[Int($0.pack)] })
            }
        }
        // If another program decided the round, the new packs stay until a prune: that program may have found them and
        // may rely on them.
        guard try replacement.decide(try base.finish()) else { return false }
        if report.lostBlobs > 0 { try replacement.endSessions() }
        return true
    }
}
