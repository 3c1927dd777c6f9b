// PackCheckRun: the threads of a check that verify packs, and their common findings.
//
// The first time that this machine reads a sealed pack, it opens each blob and computes its id. Later it only opens the
// blobs: the seal proves that each is what was sealed then (decision 141).

import BakCore
import BakFormat

/// One pass over packs. Its results may be read after `verify` has returned.
final class PackCheckRun: @unchecked Sendable {
    private let repository: Repository
    private let index: BlobIndex
    private let chosenBytes: UInt64
    private let onEvent: @Sendable (CheckEvent) -> Void
    private let stop: StopSignal
    private let monitor = Monitor()
    private var readBytes: UInt64 = 0
    private var logWrittenAt: UInt64
    /// The interval between writes of the log. If the check is killed, only the reading since the last write is
    /// forgotten.
    private static let logIntervalNanoseconds: UInt64 = 60_000_000_000

    /// The read log as it was before this pass.
    private let earlierLog: ReadLog
    /// The read log: the entries of earlier checks and of this one.
    private(set) var log: ReadLog
    /// The packs with something wrong; `wasRead` is true if the check tried to read the whole pack.
    private(set) var faulty: [(pack: CountedPack, found: PackFindings, wasRead: Bool)] = []
    /// The error that ended the pass.
    private(set) var failure: (any Error)?
    /// The packs that were read as a whole and found whole.
    private(set) var wholePacks: [ID128] = []
    /// The number and the bytes of packs that were read as a whole.
    private(set) var verifiedPacks = 0
    private(set) var verifiedBytes: UInt64 = 0
    /// True if the deadline came before all packs with `readsData` were read.
    private(set) var ranOutOfTime = false

    init(
        _ repository: Repository, _ index: BlobIndex, _ log: ReadLog, _ census: PackCensus,
        chosenBytes: UInt64, onEvent: @escaping @Sendable (CheckEvent) -> Void,
        stop: StopSignal
    ) {
        self.repository = repository
        self.index = index
        earlierLog = log
        self.log = log
        self.log.keep { census.place(of: $0) != nil }
        self.chosenBytes = chosenBytes
        self.onEvent = onEvent
        self.stop = stop
        logWrittenAt = repository.time.monotonicNanoseconds()
    }

    /// Verifies packs in the given order. A pack with `readsData` is read as a whole if its turn comes before
    /// `deadline`, in monotonic nanoseconds. Of every other pack, only header and footer are read.
    func verify(_ packs: [(CountedPack, readsData: Bool)], deadline: UInt64?, workerCount: Int) {
        let queue = BoundedQueue<(CountedPack, readsData: Bool)>(capacity: max(1, packs.count))
        for pack in packs { queue.push(pack) }
        queue.close()
        let threads = (0..<max(1, workerCount)).map { _ in
            Thread { [self] in
                let verifier = PackVerifier(repository, index, stop: stop) { self.noteRead($0) }
                while !stop.isRequested, monitor.locked({ failure == nil }), let (pack, wanted) = queue.pop()
                {
                    let isLate = deadline.map { repository.time.monotonicNanoseconds() >= $0 } ?? false
                    do {
                        let found = try verifier.verify(
                            pack, readsData: wanted && !isLate, trustingSeals: earlierLog.isWhole(pack.id))
                        note(found, pack, wasRead: wanted && !isLate, isLate: wanted && isLate)
                    } catch { monitor.locked { failure = failure ?? error } }
                }
            }
        }
        for thread in threads { thread.join() }
        if verifiedPacks > 0 { log.write(for: repository) }
    }

    private func noteRead(_ bytes: Int) {
        let done = monitor.locked {
            readBytes.add(UInt64(bytes))
            return readBytes
        }
        onEvent(.progress(doneBytes: min(done, chosenBytes), totalBytes: chosenBytes))
    }

    private func note(_ found: PackFindings, _ pack: CountedPack, wasRead: Bool, isLate: Bool) {
        // After an interrupted read it is unknown whether the pack is whole, so the log must not change.
        let isWhole = wasRead && !stop.isRequested
        monitor.locked {
            ranOutOfTime = ranOutOfTime || isLate
            if !found.isClean { faulty.append((pack, found, wasRead)) }
            guard isWhole else { return }
            verifiedPacks += 1
            verifiedBytes.add(pack.indexed.size)
            if found.isClean {
                wholePacks.append(pack.id)
                log.note(pack.id, at: repository.time.now())
            } else if found.cause != .newerProgram, !found.isRefused {
                log.noteDamage(pack.id)
            }
            let now = repository.time.monotonicNanoseconds()
            guard now &- logWrittenAt >= Self.logIntervalNanoseconds else { return }
            logWrittenAt = now
            log.write(for: repository)
        }
    }
}
