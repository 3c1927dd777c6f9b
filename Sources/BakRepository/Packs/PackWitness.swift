// PackWitness: whether the packs that a backup counts on without writing them are in the store. The index says
// what was stored once; a pack that has been lost since would otherwise be found missing only by a restore.

import BakCore
import BakFormat
import BakStorage

/// Looks once at each pack that it is told of. May be used from any thread.
final class PackWitness: @unchecked Sendable {
    private let repository: Repository
    private let monitor = Monitor()
    private var last = ID128.zero
    private var seen: Set<ID128> = []
    private var faults: [(pack: ID128, error: CorruptionError)] = []

    init(_ repository: Repository) { self.repository = repository }

    /// What is wrong with packs, in the order in which it was found.
    var found: [CorruptionError] { monitor.locked { faults.map(\.error) } }

    /// All that it says, for `Milestones`.
    var knowledge: String { monitor.locked { "\(seen.sorted()) \(faults.map(\.pack))" } }

    /// Leaves out what was found of all packs but these: a collection may have removed the others since.
    func retain(_ packs: Set<ID128>) {
        monitor.locked { faults.removeAll { !packs.contains($0.pack) } }
    }

    /// Never looks at these packs: this run has staged them, and publishes them before it refers to them.
    func vouch(for packs: [SealedPack]) {
        monitor.locked { seen.formUnion(packs.map(\.pack.id)) }
    }

    /// Takes note that a blob in `pack` will be referred to.
    func note(_ pack: IndexedPack) {
        let isNew = monitor.locked {
            if pack.id == last { return false }
            last = pack.id
            return seen.insert(pack.id).inserted
        }
        guard isNew, let fault = fault(of: pack) else { return }
        monitor.locked { faults.append((pack.id, fault)) }
    }

    private func fault(of pack: IndexedPack) -> CorruptionError? {
        let key = ObjectNames.pack(pack.id)
        let reason: String
        do {
            let size = try repository.store.size(of: key)
            // What was appended to a pack changes nothing of what is in it.
            if size == pack.size || size > pack.size && isWhole(pack) { return nil }
            reason = "it has \(size) bytes, the index says \(pack.size)"
        } catch  where error.kind == .notFound {
            reason = "it is missing"
        } catch {
            return .unreadable(
                object: key.description, offset: 0, reason: error.message, isRefused: error.kind == .denied)
        }
        return CorruptionError(object: key.description, offset: 0, reason: reason)
    }

    /// Whether the pack's list of blobs is where the pack ended once.
    private func isWhole(_ pack: IndexedPack) -> Bool {
        let footer = try? repository.packFooter(pack.id, size: Int(pack.size)) { range in
            var bytes = [UInt8](repeating: 0, count: range.count)
            try bytes.withUnsafeMutableBytes { try repository.readPack(pack.id, range, into: $0) }
            return bytes
        }
        return footer?.kind == pack.kind
    }
}
