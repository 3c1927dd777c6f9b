// Breach: a value that breaks one rule of the format but has a correct checksum, and helpers that write such values.

import BakCodec
import BakCore
import BakFormat
import TestSupport
import Testing

/// A broken value, and the words that the refusal must contain.
struct Breach: CustomTestStringConvertible {
    var kind: FormatSpecimen
    var reason: String
    var bytes: [UInt8]
    var testDescription: String { "\(kind): \(reason)" }

    init(_ kind: FormatSpecimen, _ reason: String, _ bytes: [UInt8]) {
        (self.kind, self.reason, self.bytes) = (kind, reason, bytes)
    }

    /// Makes a framed object with a body written by hand.
    init(_ kind: FormatSpecimen, _ reason: String, body: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        writer.id(FormatSpecimen.repository)
        body(&writer)
        let kinds: [FormatSpecimen: ObjectKind] = [
            .config: .config, .session: .session, .commitRecord: .commitRecord, .indexSegment: .indexSegment,
            .tombstone: .tombstone, .forgetMarker: .forgetMarker, .plan: .collectionPlan,
            .decision: .collectionDecision, .vouch: .vouch,
        ]
        let id =
            switch kind {
            case .config: FormatSpecimen.repository
            case .plan, .decision: ID128(high: 0, low: FormatSpecimen.round)
            default: FormatSpecimen.object
            }
        self.init(
            kind, reason,
            ObjectFrame.encode(kind: kinds[kind]!, id: id, body: writer.bytes, sealer: .plain))
    }

    /// Makes a sample with bytes overwritten at an offset, and corrects its checksum.
    init(_ kind: FormatSpecimen, _ reason: String, at offset: Int, _ replacement: [UInt8]) {
        var bytes = kind.sample(SeededRandom(seed: 3))
        let start = offset < 0 ? bytes.count + offset : offset
        bytes.replaceSubrange(start..<start + replacement.count, with: replacement)
        kind.repair(&bytes)
        self.init(kind, reason, bytes)
    }

    /// Makes a manifest segment with records written by hand.
    init(segment reason: String, records: Int = 1, _ body: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        writer.byte(1)
        writer.varint(records)
        body(&writer)
        self.init(.manifestSegment, reason, writer.bytes)
    }

    /// Makes a manifest segment with an entry that the encoder accepts and the rules forbid.
    init(entry reason: String, _ change: (inout ManifestEntry) -> Void) {
        var entry = file("a")
        change(&entry)
        self.init(.manifestSegment, reason, FormatSpecimen.segment([entry]))
    }

    /// Expects that the decoder refuses the value for this reason.
    func expectRefusal() {
        do throws(CorruptionError) {
            _ = try kind.recode(bytes)
            Issue.record("taken")
        } catch { #expect(error.description.contains(reason)) }
    }
}

/// Returns a file or another entry without metadata.
func file(_ path: String, type: FileType = .regular) -> ManifestEntry {
    ManifestEntry(
        path: Array(path.utf8), stat: FileStat(type: type), attributes: FileAttributes(),
        content: type == .regular ? .inline([]) : nil)
}

/// Writes the fields of a commit record after the repository's id, up to the paths.
func commitHead(_ body: inout ByteWriter) {
    body.timestamp(Timestamp(seconds: 0))
    body.timestamp(Timestamp(seconds: 0))
    for _ in 0..<4 { body.text("") }
}

extension [UInt8] {
    /// Returns the manifest segment with another version.
    func withVersion(_ version: UInt8) -> [UInt8] { [version] + dropFirst() }

    /// Returns the manifest segment with another number of records, which must be below 128.
    func withCount(_ count: UInt8) -> [UInt8] {
        var copy = self
        copy[1] = count
        return copy
    }
}
