// Repository+Retention: removes snapshots, by name or by rules, and frees their space.
//
// Always holds: the last copy of a file that was called safe to delete is removed only if the caller allows it.

import BakCore
import BakFormat
import BakPosix
import BakRepository

/// Rules that decide which snapshots stay. A snapshot stays if any rule keeps it.
public struct RetentionRules: Sendable {
    /// Keeps this many snapshots, the newest ones.
    public var last = 0
    /// Keeps one snapshot, the newest, for each of this many hours. Hours without a snapshot do not count.
    public var hourly = 0
    /// Keeps one snapshot, the newest, for each of this many days. Days without a snapshot do not count.
    public var daily = 0
    /// Keeps one snapshot, the newest, for each of this many weeks. Weeks without a snapshot do not count.
    public var weekly = 0
    /// Keeps one snapshot, the newest, for each of this many months. Months without a snapshot do not count.
    public var monthly = 0
    /// Keeps one snapshot, the newest, for each of this many years. Years without a snapshot do not count.
    public var yearly = 0
    /// Labels: every snapshot that has one of them is kept.
    public var tags: [String] = []

    /// Makes rules that keep only the newest snapshot of each device and paths. That one always stays.
    public init() {}
}

/// The result of a prune.
public struct PruneResult: Sendable {
    /// The space that was freed, in bytes.
    public let freedBytes: UInt64
    /// The remaining size of all packs, in bytes.
    public let remainingBytes: UInt64
    /// True if the prune ended early. Another prune continues the work.
    public let isPartial: Bool
}

extension Repository {
    /// Removes the snapshots that no rule keeps. The newest snapshot of each device and paths stays, whatever the rules
    /// say. `prune` frees the space; until then the command line can take the snapshots back.
    ///
    /// - Parameters:
    ///   - rules: decide which snapshots stay.
    ///   - isDryRun: true to remove nothing and only return the snapshots that would be removed.
    ///   - endangersFiles: true to proceed even if files that were called safe to delete would be in no snapshot any
    ///     more.
    /// - Returns: the snapshots that were removed.
    /// - Throws: `BakstoreError` of kind `endangersFiles`, `damaged`, `storage`.
    public func removeSnapshots(
        outside rules: RetentionRules, isDryRun: Bool = false, endangersFiles: Bool = false
    ) throws(BakstoreError) -> [Snapshot] {
        try BakstoreError.wrapping {
            let list = try engine.snapshotList()
            let retention = Retention(
                RetentionPolicy(rules), now: engine.time.now(), localOffset: Machine.utcOffsetSeconds)
            let removed = retention.decide(list.readable, among: list.readable, list.order)
                .flatMap(\.decisions).filter { !$0.isKept }.map(\.snapshot)
            if !isDryRun { try remove(removed.map(\.id), endangersFiles) }
            return removed.map(Snapshot.init)
        }
    }

    /// Removes the given snapshots. `prune` frees their space.
    ///
    /// - Parameters:
    ///   - snapshots: the snapshots to remove.
    ///   - endangersFiles: true to proceed even if files that were called safe to delete would be in no snapshot any
    ///     more.
    /// - Throws: `BakstoreError` of kind `endangersFiles`, `damaged`, `storage`.
    public func remove(_ snapshots: [Snapshot], endangersFiles: Bool = false) throws(BakstoreError) {
        try BakstoreError.wrapping { try remove(snapshots.map(\.record.id), endangersFiles) }
    }

    private func remove(_ ids: [ID128], _ endangersFiles: Bool) throws {
        guard !ids.isEmpty else { return }
        try prepareToChange()
        let outlook = try outlook(removing: ids, endangersFiles)
        try engine.forget(ids, host: Machine.hostName, program: Self.program)
        try settle(outlook, endangersFiles)
    }

    /// Frees the space of removed snapshots. Backups may run at the same time.
    ///
    /// - Parameters:
    ///   - onProgress: receives, in `RunProgress.bytes`, the number of objects or bytes that a step has processed.
    ///   - cancellation: ends the prune as soon as possible. Its work so far stays in effect.
    ///   - endangersFiles: true to proceed even if files that were called safe to delete are only in removed snapshots.
    /// - Throws: `BakstoreError` of kind `endangersFiles`, `damaged` if it cannot be determined what the snapshots need
    ///   (nothing is deleted then), `storage`, `refused`.
    public func prune(
        onProgress: (@Sendable (RunProgress) -> Void)? = nil, cancellation: Cancellation? = nil,
        endangersFiles: Bool = false
    ) throws(BakstoreError) -> PruneResult {
        try BakstoreError.wrapping {
            try prepareToChange()
            try settle(try outlook(removing: [], endangersFiles), endangersFiles)
            var options = PruneOptions()
            options.workerCount = Machine.workerCount
            options.pause = { nanoseconds in
                let monitor = Monitor()
                monitor.locked { monitor.wait(milliseconds: Int(clamping: nanoseconds / 1_000_000)) }
            }
            let prune = Prune(
                engine, options, host: Machine.hostName, program: Self.program,
                onEvent: { event in
                    if case .progress(let done, _) = event {
                        var progress = RunProgress()
                        progress.bytes = done
                        onProgress?(progress)
                    }
                }, stop: StopSignal { cancellation?.isCancelled ?? false })
            let report = try prune.run()
            if report.deletedPacks > 0 { try engine.dropGivenUpVouches() }
            engine.store.renewReserve()
            return PruneResult(
                freedBytes: report.freedBytes,
                remainingBytes: report.packBytes - min(report.packBytes, report.freedBytes),
                isPartial: report.isPartial || report.wasInterrupted)
        }
    }

    /// Returns which files that were called safe to delete would be in no snapshot any more. Throws if there are any,
    /// unless `endangersFiles` allows it.
    private func outlook(removing ids: [ID128], _ endangersFiles: Bool) throws -> VouchOutlook {
        guard try engine.hasVouches() else { return VouchOutlook() }
        let gone = Set(ids)
        let outlook = try engine.outlook(
            ifOnly: try engine.snapshots().readable.filter { !gone.contains($0.id) })
        if endangersFiles { return outlook }
        if let file = outlook.endangered.first {
            throw BakstoreError(
                .endangersFiles,
                "\(outlook.endangered.count) files that were called safe to delete, such as "
                    + "\(PathText.absolute(file.path)), would be in no snapshot any more")
        }
        if let unreadable = outlook.unreadable.first, try !ids.isEmpty || engine.canTakeAnyBack() {
            throw BakstoreError(
                .endangersFiles,
                "it cannot be told which files were called safe to delete: \(unreadable.error)")
        }
        return outlook
    }

    private func settle(_ outlook: VouchOutlook, _ endangersFiles: Bool) throws {
        try engine.settle(outlook)
        // A vouch records which files were called safe to delete. The caller has accepted the loss of files that
        // unreadable vouches name. These vouches are deleted, so that no later call fails because of them.
        if endangersFiles, !outlook.unreadable.isEmpty { try engine.drop(outlook.unreadable) }
        if try engine.hasVouches() { try engine.renewVouches() }
    }
}

extension RetentionPolicy {
    fileprivate init(_ rules: RetentionRules) {
        self.init()
        counts = [
            .last: rules.last, .hourly: rules.hourly, .daily: rules.daily, .weekly: rules.weekly,
            .monthly: rules.monthly, .yearly: rules.yearly,
        ]
        tagSets = rules.tags.map { [$0] }
    }
}
