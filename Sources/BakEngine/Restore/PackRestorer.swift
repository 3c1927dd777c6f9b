// PackRestorer: reads packs and writes their chunks to the files that need them. Each worker has one. Every chunk is
// verified before it is written.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// Finishes files and reports the results. May be used from any thread.
struct FileFinisher: Sendable {
    let counters: RestoreCounters
    let onEvent: @Sendable (RestoreEvent) -> Void

    /// Completes a file at its path if no part of it is missing; otherwise reports why the file is not restored. Throws
    /// only fatal failures of the target.
    func finish(_ file: PendingFile) throws(TargetError) {
        let result: Result<[MetadataNote], FileFailure>
        do {
            result = try file.finish()
        } catch {
            file.abandon()
            if error.isFatal { throw error }
            if error.kind == .taken {
                return fail(
                    file,
                    FileFailure(
                        reason:
                            "another item took its name meanwhile, or the target treats its name as that of another item. "
                            + "The other item stays. Restore this one into another folder"
                    ))
            }
            return fail(file, FileFailure(reason: error.description))
        }
        switch result {
        case .failure(let failure): fail(file, failure)
        case .success(let notes):
            counters.update {
                $0.files += 1
                $0.bytes.add(file.entry.stat.size)
                $0.processedBytes.add(file.unwrittenBytes)
            }
            note(file.entry.path, notes)
            tell(file.entry, file.replaced)
        }
    }

    /// Reports that an entry is in its place, and what it replaced there.
    func tell(_ entry: ManifestEntry, _ replaced: ReplacedEntry?) {
        if let replaced {
            counters.update {
                $0.replaced += 1
                if replaced == .newer { $0.replacedNewer += 1 }
            }
            onEvent(.replaced(path: entry.path, replaced))
        }
        onEvent(.restored(entry))
        guard !entry.missing.isEmpty else { return }
        counters.update { $0.incomplete += 1 }
        if entry.missing.contains(.content) {
            onEvent(.incomplete(path: entry.path, reason: "the snapshot has only the beginning of it"))
        }
        if entry.missing.contains(.attributes) {
            onEvent(
                .incomplete(path: entry.path, reason: "the snapshot has not all of its extended attributes"))
        }
    }

    /// Reports the metadata of an entry that could not be set.
    func note(_ path: [UInt8], _ notes: [MetadataNote]) {
        if notes.contains(where: { !$0.isExpected }) { counters.update { $0.notes += 1 } }
        for note in notes {
            onEvent(.note(path: path, reason: note.reason, isExpected: note.isExpected))
        }
    }

    /// Reports that the snapshot's entry at a path is not restored.
    func fail(_ path: [UInt8], _ failure: FileFailure) {
        counters.update {
            $0.failed += 1
            if failure.isDamage { $0.damaged += 1 }
        }
        onEvent(.failed(path: path, reason: failure.reason))
    }

    private func fail(_ file: PendingFile, _ failure: FileFailure) { fail(file.entry.path, failure) }
}

/// Reads packs for a restore. For one thread.
final class PackRestorer {
    private let reader: BlobReader
    private let index: BlobIndex
    /// Reads chunks that are damaged, or no longer where they were when the restore was planned.
    private let rescuer: BlobReader
    private let finisher: FileFinisher

    init(_ repository: Repository, _ index: BlobIndex, _ finisher: FileFinisher) {
        reader = BlobReader(repository, trustingSeals: true)
        rescuer = BlobReader(repository, trustingSeals: true)
        self.index = index
        self.finisher = finisher
    }

    /// Carries out the steps of one pack, which are sorted by offset. Damage fails only the files concerned.
    func restore(
        _ steps: ArraySlice<RestoreStep>, _ files: [PendingFile], stop: StopSignal
    ) throws {
        var rest = steps
        while !stop.isRequested, let request = reader.planner.next(&rest, { $0.location }) {
            try reader.read(request, kind: .chunkPack, { ($0.reference, $0.location) }) { step, result in
                switch result {
                case .success(let content): try write(content, step, files)
                case .failure(let error): try rescue(step, files, from: error)
                }
            }
        }
    }

    /// Reads a chunk from another pack that has it, or from the pack to which a prune has moved it.
    private func rescue(_ step: RestoreStep, _ files: [PendingFile], from error: CorruptionError) throws {
        do {
            try write(rescuer.read(step.reference, kind: .chunkPack, index: index), step, files)
        } catch is CorruptionError {
            try settle(step, files, failure: .unreadable(error))
        } catch is MissingBlobError {
            try settle(step, files, failure: .unreadable(error))
        }
    }

    private func write(
        _ content: UnsafeRawBufferPointer, _ step: RestoreStep, _ files: [PendingFile]
    ) throws(TargetError) {
        do throws(TargetError) {
            try files[Int(step.file)].write(content, at: step.fileOffset)
            finisher.counters.update { $0.processedBytes.add(UInt64(content.count)) }
            try settle(step, files, failure: nil)
        } catch {
            if error.isFatal { throw error }
            try settle(step, files, failure: FileFailure(reason: error.description))
        }
    }

    private func settle(
        _ step: RestoreStep, _ files: [PendingFile], failure: FileFailure?
    ) throws(TargetError) {
        let file = files[Int(step.file)]
        if let failure { file.fail(failure) }
        if file.finishChunk() { try finisher.finish(file) }
    }
}
