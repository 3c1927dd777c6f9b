// DuplicateVerifier: makes sure that a collection keeps a whole copy, if there is one, of each living blob that lies in
// several packs. A blob is living if a snapshot refers to it. The decision drops all copies but one, so the verifier
// reads that copy first.
//
// Several copies arise if backups store the same content at the same time. This is rare, and each decision leaves one
// copy, so there is little to read.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// Verifies a choice among copies. For one thread.
final class DuplicateVerifier {
    private let repository: Repository
    private let sorted: SortedIndex
    private let reader: BlobReader
    private let onVerified: (_ blobs: Int) throws -> Void
    private var blobs = 0
    /// The first fault of each faulty pack, by the pack's position in the sorted index.
    private(set) var faults: [UInt32: CorruptionError] = [:]
    /// The number of blobs to verify together. Each batch is sorted by pack and offset.
    private static let batch = 1 << 20

    /// Prepares the verifier. `onVerified` receives the number of verified blobs and may throw to end the work.
    init(_ repository: Repository, _ sorted: SortedIndex, onVerified: @escaping (Int) throws -> Void) {
        self.repository = repository
        self.sorted = sorted
        self.onVerified = onVerified
        reader = BlobReader(repository)
    }

    /// For each living blob with several copies, reads the copy that `choice` would keep. If that copy is damaged,
    /// drops it from `choice` and reads the next best copy. Also notes missing packs in `faults`.
    func verify(_ choice: inout CopyChoice, _ live: LiveBlobs) throws {
        var chosen: [IndexEntry] = []
        var missing: Set<UInt32> = []
        try sorted.forEachBlob { position, copies in
            guard copies.count > 1, live.contains(position), let best = choice.best(copies) else { return }
            for copy in copies where !choice.isStored(Int(copy.pack)) { missing.insert(copy.pack) }
            chosen.append(best)
            guard chosen.count == Self.batch else { return }
            try settle(chosen, &choice)
            chosen.removeAll(keepingCapacity: true)
        }
        try settle(chosen, &choice)
        for place in missing.sorted() where faults[place] == nil { try expectPack(place) }
    }

    /// Verifies copies. For each damaged copy, also verifies the next best copy of its blob.
    private func settle(_ copies: [IndexEntry], _ choice: inout CopyChoice) throws {
        var pending = copies
        while !pending.isEmpty {
            pending.sort { ($0.pack, $0.offset) < ($1.pack, $1.offset) }
            var next: [IndexEntry] = []
            var rest = pending[...]
            let planner = RangePlanner(for: repository.store)
            while let request = planner.next(&rest, location) {
                for copy in try damaged(request) {
                    choice.leaveOut(copy)
                    if let other = choice.best(sorted.copies(of: copy.id)) { next.append(other) }
                }
                blobs += request.items.count
                try onVerified(blobs)
            }
            pending = next
        }
    }

    private func location(_ copy: IndexEntry) -> BlobLocation {
        BlobLocation(
            pack: sorted.packs[Int(copy.pack)].id, offset: copy.offset, storedLength: copy.storedLength)
    }

    /// Returns the blobs of a request that cannot be read.
    private func damaged(_ request: PackRequest<IndexEntry>) throws -> [IndexEntry] {
        var damaged: [IndexEntry] = []
        let kind = sorted.packs[Int(request.items.first!.pack)].kind
        try reader.read(
            request, kind: kind, { (BlobReference(id: $0.id, length: $0.rawLength), location($0)) }
        ) { copy, result in
            guard case .failure(let error) = result else { return }
            damaged.append(copy)
            if faults[copy.pack] == nil { faults[copy.pack] = error }
        }
        return damaged
    }

    /// Notes that a pack is missing, unless a session has published it since the packs were listed.
    private func expectPack(_ place: UInt32) throws {
        let key = ObjectNames.pack(sorted.packs[Int(place)].id)
        do {
            _ = try repository.store.size(of: key)
        } catch  where error.kind == .notFound {
            faults[place] = .missing(object: key.description, "the pack is missing")
        }
    }
}
