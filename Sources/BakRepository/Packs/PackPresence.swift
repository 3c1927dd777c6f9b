// PackPresence: checks that the store still has the packs of earlier sessions on which a backup relies. The index only
// says that these packs were stored once. Without this check, only a restore would find that a pack has been lost
// since.

import BakCore
import BakFormat
import BakStorage

/// Checks each noted pack once. May be used from any thread.
final class PackPresence: @unchecked Sendable {
    private let repository: Repository
    private let monitor = Monitor()
    private var last = ID128.zero
    private var seen: Set<ID128> = []
    private var faults: [(pack: ID128, error: CorruptionError)] = []

    init(_ repository: Repository) { self.repository = repository }

    /// The damage found in packs, in the order in which it was found.
    var found: [CorruptionError] { monitor.locked { faults.map(\.error) } }

    /// The whole state, for `Milestones`.
    var knowledge: String { monitor.locked { "\(seen.sorted()) \(faults.map(\.pack))" } }

    /// Keeps only the damage found in `packs`, the packs of a newer index. A prune may have removed the other packs, so
    /// their absence is no damage.
    func retain(_ packs: Set<ID128>) {
        monitor.locked { faults.removeAll { !packs.contains($0.pack) } }
    }

    /// Notes packs that need no check. This run has staged them, and publishes them before it refers to them.
    func vouch(for packs: [SealedPack]) {
        monitor.locked { seen.formUnion(packs.map(\.pack.id)) }
    }

    /// Notes that the run will refer to a blob in `pack`, and checks the pack if it is new.
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
            // A pack that is too long is not damaged if only bytes were appended: its blobs are still where they were.
            if size == pack.size || size > pack.size && isWhole(pack) { return nil }
            reason = "it has \(size) bytes, but the index says \(pack.size)"
        } catch  where error.kind == .notFound {
            reason = "it is missing"
        } catch {
            return .unreadable(
                object: key.description, offset: 0, reason: error.message, isRefused: error.kind == .denied)
        }
        return CorruptionError(object: key.description, offset: 0, reason: reason)
    }

    /// True if the pack's footer is whole at the size that the index says.
    private func isWhole(_ pack: IndexedPack) -> Bool {
        let footer = try? repository.packFooter(pack.id, size: Int(pack.size)) { range in
            var bytes = [UInt8](repeating: 0, count: range.count)
            try bytes.withUnsafeMutableBytes { try repository.readPack(pack.id, range, into: $0) }
            return bytes
        }
        return footer?.kind == pack.kind
    }
}
