// ManifestChecker: finds the files of each snapshot that refer to missing or damaged blobs. A segment that several
// snapshots share is checked once. But a segment in which something is wrong is checked again for each snapshot,
// because the affected files are reported for each snapshot.
//
// A file's extents may continue in the next segment. So the checker keeps a summary of each segment: how many extents,
// of how many bytes, it has at its start and for its last entry. The paths of files would take much memory, so the
// checker reads a segment again to report one of its files.

import BakCore
import BakFormat

/// What a snapshot has lost.
struct ManifestFindings {
    /// The number of affected files.
    var files = 0
    /// Why the manifest cannot be read as a whole; nil if it can.
    var failure: String?
    /// The damage of the manifest.
    var damage: [CorruptionError] = []
    /// True if some part of the manifest can be read.
    var isPartlyReadable = false

    /// True if the snapshot has lost nothing.
    var isClean: Bool { files == 0 && failure == nil }

    /// Returns `isClean`, for a caller that gives up all files that cannot be read. Throws if the system refused to let
    /// this user read some of the manifest: another user may be able to read it, so its files must not be given up.
    func isCleanForAll() throws(CorruptionError) -> Bool {
        if let refused = damage.first(where: \.isRefused) { throw refused }
        return isClean
    }
}

/// Checks manifests against the index and known damage. For one thread.
final class ManifestChecker {
    /// The facts about a segment that do not depend on the segments around it.
    private struct Summary {
        /// The bytes and the number of the extents before the segment's first entry.
        var leadingBytes: UInt64 = 0
        var leadingExtents = 0
        var recordCount = 0
        /// True if the segment has an entry. The next fields are the size of its last entry, and the bytes and the
        /// number of the extents found for that entry.
        var hasEntry = false
        var lastSizeBytes: UInt64 = 0
        var lastFoundBytes: UInt64 = 0
        var lastExtents = 0
        /// The path of the last entry. `endsWithFolder` is true if that entry is a folder.
        var lastPath: [UInt8] = []
        var endsWithFolder = false
        /// True if the segment could be read and none of its files is affected.
        var isClean = true

        mutating func add(_ bytes: UInt64, _ extents: Int) {
            if hasEntry {
                lastFoundBytes.add(bytes)
                lastExtents += extents
            } else {
                leadingBytes.add(bytes)
                leadingExtents += extents
            }
        }
    }

    /// A file whose extents may continue in the next segment.
    private struct OpenFile {
        var segment: ManifestSegmentReference
        var sizeBytes: UInt64
        var foundBytes: UInt64
        var extents: Int
    }

    private let repository: Repository
    private let index: BlobIndex
    private let damage: DamagedBlobs
    private let reader: SegmentReader
    private let onFile: (_ snapshot: ID128, _ path: [UInt8], _ reason: String) -> Void
    private var catalog = SegmentCatalog()
    /// The summaries of the catalogue's segments, by their numbers; nil for a segment that has not been read.
    private var summaries: [Summary?] = []
    /// The snapshot being checked, its number in the order of checking, and the path of the file that was reported
    /// last.
    private var snapshot = ID128.zero
    private var place = 0
    private var lastPath: [UInt8]?
    private var findings = ManifestFindings()
    /// The index's round when `expectWanted` last looked and found that the snapshot is not forgotten; nil if it has
    /// not looked yet.
    private var wantedRound: UInt64?

    /// Makes a checker; `onFile` receives the files that cannot be restored as they were.
    init(
        _ repository: Repository, _ index: BlobIndex, _ damage: DamagedBlobs,
        onFile: @escaping (_ snapshot: ID128, _ path: [UInt8], _ reason: String) -> Void
    ) {
        self.repository = repository
        self.index = index
        self.damage = damage
        self.onFile = onFile
        reader = SegmentReader(repository, index)
    }

    /// Checks a snapshot's manifest. A forgotten snapshot counts as clean, because a collection may delete its content.
    /// Throws if the store fails.
    func check(_ snapshot: CommitRecord) throws -> ManifestFindings {
        (self.snapshot, lastPath, findings, wantedRound) = (snapshot.id, nil, ManifestFindings(), nil)
        place += 1
        do {
            findings.failure = try failure(of: snapshot)
            return findings
        } catch is SnapshotForgotten { return ManifestFindings() }
    }

    /// The error that ends the check of a forgotten snapshot in which something is wrong.
    private struct SnapshotForgotten: Error {}

    /// Throws if the snapshot has been forgotten. One look for each round of the index is enough: a snapshot that is
    /// still wanted now, which means not forgotten, was also wanted when this round was decided. So the round has
    /// deleted nothing that the snapshot needs.
    private func expectWanted() throws {
        let round = index.trusted.round
        guard wantedRound != round else { return }
        if try repository.isForgotten(snapshot) { throw SnapshotForgotten() }
        wantedRound = round
    }

    /// Reports affected files. Returns why some of them could not be found; nil if all were found.
    private func failure(of snapshot: CommitRecord) throws -> String? {
        do {
            return try checkFiles(of: snapshot)
        } catch let error as CorruptionError {
            try note(error)
            return "its list of files cannot be read: \(error)"
        } catch let error as MissingBlobError {
            try expectWanted()
            return "its list of files is missing: \(error)"
        }
    }

    private func note(_ error: CorruptionError) throws {
        try expectWanted()
        findings.damage.append(error)
    }

    private func checkFiles(of snapshot: CommitRecord) throws -> String? {
        let root = try reader.root(snapshot.root)
        var failure: String?
        var open: OpenFile?
        var before: Summary?
        for reference in root.segments {
            let (summary, failed) = try check(reference)
            let fault = try failed ?? misplaced(reference, after: before)
            if summary.hasEntry { before = summary }
            if let fault {
                failure = failure ?? fault
                open = nil
                continue
            }
            findings.isPartlyReadable = true
            open?.foundBytes.add(summary.leadingBytes)
            open?.extents += summary.leadingExtents
            guard summary.hasEntry else { continue }
            try close(open)
            open = OpenFile(
                segment: reference, sizeBytes: summary.lastSizeBytes, foundBytes: summary.lastFoundBytes,
                extents: summary.lastExtents)
        }
        try close(open)
        return failure
    }

    /// Returns why a reader would refuse the segment at its place in the manifest; nil if it would not.
    private func misplaced(_ segment: ManifestSegmentReference, after before: Summary?) throws -> String? {
        // If a segment begins with extents of a file, its first path is the path of that file, which is also the last
        // path of the segment before.
        guard let before, segment.firstPath != before.lastPath else { return nil }
        let isInOrder = PathOrder.precedes(before.lastPath, segment.firstPath)
        guard
            !isInOrder
                || !before.endsWithFolder && PathOrder.isAtOrBeneath(segment.firstPath, before.lastPath)
        else { return nil }
        let error = CorruptionError(
            object: SegmentReader.name(segment.blob), offset: 0,
            reason: isInOrder
                ? ManifestEntry.beneathNoFolder : "its paths do not follow those of the segment before")
        try note(error)
        return "files from \(Self.text(segment.firstPath)) on cannot be read: \(error)"
    }

    private func tell(_ path: [UInt8], _ reason: String) throws {
        guard path != lastPath else { return }
        try expectWanted()
        lastPath = path
        findings.files += 1
        onFile(snapshot, path, reason)
    }

    private func close(_ file: OpenFile?) throws {
        guard let file else { return }
        let hasTooMany = file.extents > FormatLimits.extentsPerFile
        guard hasTooMany || file.foundBytes != file.sizeBytes else { return }
        let decoder = try reader.decoder(file.segment.blob)
        while try decoder.advance() != nil {}
        try tell(
            decoder.path,
            hasTooMany
                ? "it has over \(FormatLimits.extentsPerFile) extents"
                : Self.wrongLength(file.foundBytes, of: file.sizeBytes))
    }

    private static func wrongLength(_ found: UInt64, of size: UInt64) -> String {
        "it has \(found) bytes of chunks for a size of \(size)"
    }

    /// Returns a segment's summary, and reports its affected files.
    private func check(_ reference: ManifestSegmentReference) throws -> (Summary, failure: String?) {
        let number = catalog.note(reference, of: place)
        if number == summaries.count { summaries.append(nil) }
        if let known = summaries[number], known.isClean, known.recordCount == reference.recordCount {
            return (known, nil)
        }
        var summary = Summary()
        var failure: String?
        do {
            try checkRecords(of: reference, &summary)
        } catch let error as CorruptionError {
            try note(error)
            failure = "files from \(Self.text(reference.firstPath)) on cannot be read: \(error)"
        } catch let error as MissingBlobError {
            try expectWanted()
            failure = "files from \(Self.text(reference.firstPath)) on are missing: \(error)"
        }
        if failure != nil { summary.isClean = false }
        summaries[number] = summary
        return (summary, failure)
    }

    private static func text(_ path: [UInt8]) -> String { "/" + String(decoding: path, as: UTF8.self) }

    private func checkRecords(of reference: ManifestSegmentReference, _ summary: inout Summary) throws {
        let decoder = try reader.decoder(reference.blob)
        let name = SegmentReader.name(reference.blob)
        var path = reference.firstPath
        while let kind = try decoder.advance() {
            summary.recordCount += 1
            if kind == .entry {
                if summary.hasEntry, summary.lastFoundBytes != summary.lastSizeBytes {
                    try tell(path, Self.wrongLength(summary.lastFoundBytes, of: summary.lastSizeBytes))
                    summary.isClean = false
                }
                path = decoder.path
                guard summary.recordCount > 1 || path == reference.firstPath else {
                    throw CorruptionError(
                        object: name, offset: 0, reason: "it does not begin at the path that the root says")
                }
                let fields = decoder.fields
                summary.hasEntry = true
                summary.lastSizeBytes = fields.stat.size
                summary.endsWithFolder = fields.stat.type == .directory
                // Inline content was compared with the size when it was decoded, and other types of entries have no
                // content.
                (summary.lastFoundBytes, summary.lastExtents) = (fields.hasExtents ? 0 : fields.stat.size, 0)
            }
            if kind == .continuation || decoder.fields.hasExtents {
                summary.add(decoder.extentBytes, decoder.extentCount)
            }
            var fault: String?
            _ = try decoder.allExtents { extent in
                if case .chunk(let blob) = extent { fault = self.fault(of: blob) }
                return fault == nil
            }
            guard let fault else { continue }
            try tell(path, fault)
            summary.isClean = false
        }
        summary.lastPath = path
        guard summary.recordCount == reference.recordCount else {
            throw CorruptionError(
                object: name, offset: 0,
                reason: "it has \(summary.recordCount) records, the root says \(reference.recordCount)")
        }
    }

    private func fault(of reference: BlobReference) -> String? {
        guard let location = index.location(of: reference) else { return "chunk \(reference.id) is missing" }
        guard !damage.isEmpty, damage.contains(location) else { return nil }
        if index.locations(of: reference).contains(where: { !damage.contains($0) }) { return nil }
        if !damage.packs.contains(location.pack) { return "chunk \(reference.id) is damaged" }
        return "chunk \(reference.id) is in \(ObjectNames.pack(location.pack)), which is damaged or missing"
    }
}
