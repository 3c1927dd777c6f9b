// VouchedContent: the content that vouches call safe to delete. Vouches are loaded on first use, because most backups
// need none.

import BakCore
import BakFormat
import BakRepository

/// The content that a repository's vouches name. For one thread.
final class VouchedContent {
    private lazy var known = Result { Set(try repository.vouchedContent()) }
    private let repository: Repository
    private let index: BlobIndex

    init(_ repository: Repository, _ index: BlobIndex) { (self.repository, self.index) = (repository, index) }

    /// True if a vouch calls the content of a file safe to delete. An unreadable vouch does not count; a prune reports
    /// it before it removes a snapshot. Throws `StoreError` if the vouches cannot be listed.
    func contains(_ content: FileContent) throws -> Bool {
        let known = try known.get()
        return !known.isEmpty && known.contains(content.fingerprint)
    }

    /// True if a vouch calls the content of the file at a cursor safe to delete; false if the content or the vouches
    /// cannot be read. The cursor does not move.
    func contains(_ segment: ManifestSegmentDecoder, of snapshot: CommitRecord) -> Bool {
        guard let known = try? known.get(), !known.isEmpty else { return false }
        var entry = segment.isComplete ? try? segment.entry() : nil
        if !segment.isComplete,
            let other = try? ParentCursor(snapshot, repository: repository, index: index, from: segment.path),
            let segment = other.entry(at: segment.path)
        {
            entry = other.whole(segment)
        }
        return (entry?.content).map { known.contains($0.fingerprint) } ?? false
    }
}
