// SnapshotTree: presents a snapshot as the source of a backup, to copy it to a repository with other ids. A file is
// read from its chunks. Its metadata, holes and doubts about its content are those of the snapshot.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// The files of a snapshot. May be used from any thread.
package final class SnapshotTree: SourceTree {
    private let view: SnapshotView

    package let topDevice: UInt64? = nil

    /// Opens the manifest of a snapshot.
    ///
    /// - Throws: `MissingBlobError`, `CorruptionError` or `StoreError`.
    package init(_ snapshot: CommitRecord, repository: Repository, index: BlobIndex) throws {
        // The view skips damaged segments. So a copy lacks all files of such a segment, and reports this, but it never
        // has only a part of such a file.
        view = try SnapshotView(
            snapshot, repository: repository, index: index, takesDamagedSegments: false)
    }

    private var snapshot: CommitRecord { view.snapshot }
    /// How often a segment was decoded, for tests.
    var decodings: Int { view.decodings.load(ordering: .relaxed) }

    package func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        let reader = view.records()
        while true {
            do {
                guard let kind = try reader.advance() else { return }
                guard kind == .entry, let segment = reader.segment else { continue }
                if try visit(.entry(path: segment.path, stat: segment.fields.stat)) == .stop { return }
            } catch  where error is CorruptionError || error is MissingBlobError {
                let path = reader.skipSegment()
                let error = SourceError(operation: "read the list of files from here on", message: "\(error)")
                if try visit(.failure(path: path, error)) == .stop { return }
            }
        }
    }

    package func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        guard let content = try known({ try view.content(of: path) }) else {
            _ = try find(path)
            throw SourceError(operation: "open", message: "it is not a regular file")
        }
        try known { try content.findAll() }
        guard content.foundExtents <= FormatLimits.extentsPerFile else {
            throw SourceError(
                operation: "read", message: "it has over \(FormatLimits.extentsPerFile) extents")
        }
        if case .extents = content.entry.content, content.foundBytes != content.entry.stat.size {
            throw SourceError(
                operation: "read",
                message: "its content in the repository does not add up to the file's size")
        }
        return SnapshotSourceFile(content)
    }

    package func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        try find(path).attributes
    }

    package func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { ([], []) }

    // MARK: What a copy takes over

    /// Adds the fields of the original entry that reading the item does not give.
    func complete(_ entry: inout ManifestEntry) throws {
        // Reading a file gives all fields except the time at which the file was found gone, and only an archive has
        // gone files.
        guard snapshot.isArchive || entry.stat.type != .regular else { return }
        let original = try find(entry.path)
        entry.goneSince = original.goneSince
        entry.missing.formUnion(original.missing)
        entry.isUnsettled = entry.isUnsettled || original.isUnsettled
    }

    /// Adds the fields of the original record that a backup of the snapshot's files cannot determine.
    func complete(_ record: inout CommitRecord) {
        record.original = snapshot.originalID
        (record.isArchive, record.doubtfulPaths) = (snapshot.isArchive, snapshot.doubtfulPaths)
        // A copy lacks what its original lacks, and what could not be read while copying.
        record.isLacking = snapshot.isArchive && (snapshot.isLacking || record.counters.failedItems > 0)
        record.confirmed = snapshot.confirmed
        record.counters.newlyGoneFiles = snapshot.counters.newlyGoneFiles
        record.counters.failedItems.add(snapshot.counters.failedItems)
    }

    // MARK: Finding entries

    private func find(_ path: [UInt8]) throws(SourceError) -> ManifestEntry {
        guard let entry = try known({ try view.entry(at: path) }) else { throw notThere }
        return entry
    }

    private var notThere: SourceError {
        SourceError(operation: "open", message: "it is not in the snapshot", isNotFound: true)
    }

    private func known<Value>(_ body: () throws -> Value) throws(SourceError) -> Value {
        do {
            return try body()
        } catch {
            throw SourceError(operation: "read the list of files with it", message: "\(error)")
        }
    }
}
