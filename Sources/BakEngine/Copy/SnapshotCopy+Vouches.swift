// SnapshotCopy+Vouches: records vouches of the source in the destination. A vouch says that content is safe to delete
// because a snapshot has it, so the copy of that snapshot needs the vouch, too. If the user moves to another disk,
// commands ask there, too, before they remove such content.
//
// A vouch identifies content by the ids of its repository. If the destination uses other ids, this code finds them in
// the copy's manifest.

import BakCore
import BakFormat
import BakRepository

extension SnapshotCopy {
    /// Records the source's vouches in the destination, for content that the copies have. Vouches that the destination
    /// already has are not repeated.
    func carryVouches(_ pairs: [(original: CommitRecord, copy: CommitRecord)]) throws {
        let (carried, unreadable) = try source.vouches(carriedBy: pairs.map(\.original))
        for error in unreadable { onEvent(.vouchUnreadable(reason: "\(error)")) }
        let pairs = Dictionary(pairs.map { ($0.original.id, $0) }) { one, _ in one }
        for (id, vouches) in Dictionary(grouping: carried, by: \.snapshot) {
            guard let (original, copy) = pairs[id] else { continue }
            do {
                let ids = try ids(Set(vouches.flatMap { $0.files.map(\.content) }), original, copy)
                for vouch in vouches {
                    let files = vouch.files.compactMap { file in
                        ids(file.content).map { Vouch.File(content: $0, path: file.path) }
                    }
                    try destination.vouch(for: [copy.id: files], vouch.origin)
                }
            } catch  where error is CorruptionError || error is MissingBlobError {
                report.failedVouches += 1
                onEvent(.vouchFailed(copy, reason: "\(error)"))
            }
        }
    }

    /// Returns a function that maps fingerprints of the source to those of the destination. It returns nil for content
    /// that the copy lacks.
    private func ids(
        _ wanted: Set<ID128>, _ original: CommitRecord, _ copy: CommitRecord
    ) throws -> (ID128) -> ID128? {
        if report.isVerbatim { return { $0 } }
        var paths: [[UInt8]: ID128] = [:]
        try source.forEachFile(of: original) { entry, fingerprint in
            if wanted.contains(fingerprint) { paths[entry.path] = fingerprint }
        }
        var ids: [ID128: ID128] = [:]
        try destination.forEachFile(of: copy) { entry, fingerprint in
            guard !entry.missing.contains(.content), let original = paths[entry.path] else { return }
            ids[original] = fingerprint
        }
        return { ids[$0] }
    }
}

extension Repository {
    /// Calls `body` with the first record of each regular file of a snapshot and the fingerprint of its whole content.
    fileprivate func forEachFile(
        of snapshot: CommitRecord, _ body: (ManifestEntry, ID128) -> Void
    ) throws {
        let reader = try ManifestReader(snapshot, repository: self, index: try BlobIndex(self))
        var last: (entry: ManifestEntry, content: ContentFingerprint)?
        while let record = try reader.next() {
            switch record {
            case .entry(let entry):
                if let last { body(last.entry, last.content.value()) }
                last = entry.content.map { (entry, ContentFingerprint($0)) }
            case .continuation(let more): last?.content.add(more)
            }
        }
        if let last { body(last.entry, last.content.value()) }
    }
}
