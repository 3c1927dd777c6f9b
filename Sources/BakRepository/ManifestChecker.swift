// ManifestChecker: finds the files of each snapshot that refer to blobs which are missing or damaged. A
// segment that several snapshots share is looked at once. A file's extents may go over from one segment to
// the next, so each is kept with what it says of the file at its start and at its end.

import BakCore
import BakFormat

/// Checks manifests against the index and what is known to be damaged. For one thread.
final class ManifestChecker {
    /// A file that cannot be restored as it was.
    struct AffectedFile {
        var path: [UInt8]
        var reason: String
    }

    /// What is wrong with a snapshot.
    struct Findings {
        var failure: String?
        var files: [AffectedFile] = []
    }

    /// A file whose extents may go on.
    private struct OpenFile {
        var path: [UInt8]
        var sizeBytes: UInt64
        var foundBytes: UInt64

        mutating func add(_ bytes: UInt64) {
            let (sum, overflow) = foundBytes.addingReportingOverflow(bytes)
            foundBytes = overflow ? .max : sum
        }
    }

    /// What a segment says, apart from the segments around it.
    private struct Segment {
        var findings = Findings()
        /// Bytes of the extents before its first entry.
        var leadingBytes: UInt64 = 0
        /// Its last entry, if it has any.
        var last: OpenFile?
    }

    private let index: BlobIndex
    private let damage: DamagedBlobs
    private let reader: BlobReader
    private var segments: [ID128: Segment] = [:]

    init(_ repository: Repository, _ index: BlobIndex, _ damage: DamagedBlobs) {
        self.index = index
        self.damage = damage
        reader = BlobReader(repository)
    }

    /// Checks a snapshot's manifest. Throws when the store fails.
    func check(_ snapshot: CommitRecord) throws -> Findings {
        var findings = Findings()
        let root: ManifestRoot
        do {
            let bytes = try reader.read(snapshot.root, kind: .manifestPack, index: index)
            root = try ManifestRoot(decoding: bytes, object: "manifest root \(snapshot.root.id)")
        } catch let error as CorruptionError {
            findings.failure = "its list of files cannot be read: \(error)"
            return findings
        } catch let error as MissingBlobError {
            findings.failure = "its list of files is missing: \(error)"
            return findings
        }
        var open: OpenFile?
        for reference in root.segments {
            let segment = try check(reference)
            findings.files += segment.findings.files
            if let failure = segment.findings.failure {
                findings.failure = findings.failure ?? failure
                open = nil
                continue
            }
            open?.add(segment.leadingBytes)
            guard let last = segment.last else { continue }
            Self.close(open, &findings)
            open = last
        }
        Self.close(open, &findings)
        return findings
    }

    private static func close(_ file: OpenFile?, _ findings: inout Findings) {
        guard let file, file.foundBytes != file.sizeBytes, findings.files.last?.path != file.path else {
            return
        }
        let reason = "it has \(file.foundBytes) bytes of chunks for a size of \(file.sizeBytes)"
        findings.files.append(AffectedFile(path: file.path, reason: reason))
    }

    private func check(_ reference: ManifestSegmentReference) throws -> Segment {
        if let known = segments[reference.blob.id] { return known }
        var segment = Segment()
        do {
            try checkRecords(of: reference, &segment)
        } catch let error as CorruptionError {
            segment.findings.failure =
                "files from \(Self.text(reference.firstPath)) on cannot be read: \(error)"
        } catch let error as MissingBlobError {
            segment.findings.failure =
                "files from \(Self.text(reference.firstPath)) on are missing: \(error)"
        }
        segments[reference.blob.id] = segment
        return segment
    }

    private static func text(_ path: [UInt8]) -> String { "/" + String(decoding: path, as: UTF8.self) }

    private func checkRecords(of reference: ManifestSegmentReference, _ segment: inout Segment) throws {
        let bytes = try reader.read(reference.blob, kind: .manifestPack, index: index)
        let name = "manifest segment \(reference.blob.id)"
        let decoder = try ManifestSegmentDecoder(bytes, object: name)
        var count = 0
        while let record = try decoder.next() {
            count += 1
            var extents: [Extent] = []
            switch record {
            case .continuation(let more):
                extents = more
                let bytes = more.totalLength ?? .max
                if segment.last == nil { segment.leadingBytes &+= bytes } else { segment.last?.add(bytes) }
            case .entry(let entry):
                Self.close(segment.last, &segment.findings)
                if case .extents(let first) = entry.content { extents = first }
                segment.last = OpenFile(
                    path: entry.path, sizeBytes: entry.stat.size,
                    foundBytes: Self.bytes(of: entry))
            }
            let path = segment.last?.path ?? reference.firstPath
            for extent in extents {
                guard case .chunk(let blob) = extent, let reason = fault(of: blob) else { continue }
                if segment.findings.files.last?.path != path {
                    segment.findings.files.append(AffectedFile(path: path, reason: reason))
                }
                break
            }
        }
        guard count == reference.recordCount else {
            throw CorruptionError(
                object: name, offset: 0,
                reason: "it has \(count) records, the root says \(reference.recordCount)")
        }
    }

    private static func bytes(of entry: ManifestEntry) -> UInt64 {
        switch entry.content {
        case .extents(let extents): extents.totalLength ?? .max
        // Inline content was compared with the size when it was decoded.
        case .inline, nil: entry.stat.size
        }
    }

    private func fault(of reference: BlobReference) -> String? {
        guard let location = index.location(of: reference) else { return "chunk \(reference.id) is missing" }
        if damage.blobs.contains(reference.id) { return "chunk \(reference.id) is damaged" }
        guard damage.packs.contains(location.pack) else { return nil }
        return "chunk \(reference.id) is in \(Layout.pack(location.pack)), which is damaged or missing"
    }
}
