// PartialRecord: makes a new commit record for a snapshot whose record is lost, together with its second copy, the
// spare.

import BakCore
import BakFormat
import BakStorage

extension CommitRecord {
    /// True if a repair made this snapshot from the remains of `lost`.
    package func isMade(from lost: CommitRecord) -> Bool {
        parent == lost.id && time == lost.time && tags.contains(RepairSnapshots.tag)
    }
}

extension UnreadableSnapshot {
    /// True if the record is damaged or missing. A record is not damaged if only this version of the program, or only
    /// this user, cannot read it.
    var isDamage: Bool {
        (error as? CorruptionError)?.isWhole == false
    }
}

extension Repository {
    /// Returns a record for a snapshot if the index segment of its session still leads to its manifest; else nil. The
    /// snapshot counts as partial, because it is unknown whether it was complete.
    func partialRecord(of snapshot: UnreadableSnapshot, _ index: BlobIndex) throws -> CommitRecord? {
        guard snapshot.isDamage else { return nil }
        let segment: IndexSegment
        do {
            segment = try indexSegment(snapshot.id)
        } catch is CorruptionError { return nil } catch let error as StoreError where error.kind == .notFound
        {
            return nil
        }
        let reader = BlobReader(self)
        for entry in segment.entries where segment.packs[Int(entry.pack)].kind == .manifestPack {
            let reference = BlobReference(id: entry.id, length: entry.rawLength)
            // A session stores one root, and no manifest segment decodes as a root. So the first root is the snapshot's
            // root.
            guard let bytes = try? reader.read(reference, kind: .manifestPack, index: index),
                let root = try? ManifestRoot(decoding: bytes, object: ""), let first = root.segments.first
            else { continue }
            let session = try? sessionRecord(snapshot.id)
            let top = first.firstPath.prefix { $0 != UInt8(ascii: "/") }
            return CommitRecord(
                id: snapshot.id, time: session?.time ?? Timestamp(seconds: 0),
                endTime: time.now(), host: session?.host ?? "", device: session?.host ?? "",
                user: "", program: session?.program ?? "", paths: [Array(top)], tags: [], parent: nil,
                isComplete: false, hasIndex: true, root: reference, counters: SnapshotCounters())
        }
        return nil
    }
}
