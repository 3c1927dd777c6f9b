// Repository+Retention: removes snapshots, by name or by rules, and gives their space back.
//
// Always holds: what was called safe to delete on the phone is not removed without the caller's word.

import BakCore
import BakFormat
import BakPosix
import BakRepository

/// Which snapshots stay. A snapshot stays if any rule wants it.
public struct RetentionRules: Sendable {
    /// So many of the newest.
    public var last = 0
    /// The newest of each hour, for so many hours that have one.
    public var hourly = 0
    /// The newest of each day, for so many days that have one.
    public var daily = 0
    /// The newest of each week, for so many weeks that have one.
    public var weekly = 0
    /// The newest of each month, for so many months that have one.
    public var monthly = 0
    /// The newest of each year, for so many years that have one.
    public var yearly = 0
    /// Every snapshot that has one of these labels.
    public var tags: [String] = []

    /// Rules that keep nothing but the newest snapshot of each device and paths, which always stays.
    public init() {}
}

/// What a prune did.
public struct PruneResult: Sendable {
    /// The space that was given back, in bytes.
    public let freedBytes: UInt64
    /// What the repository takes now, in bytes of packs.
    public let remainingBytes: UInt64
    /// True if the prune ended before it was through. Running it again goes on.
    public let isPartial: Bool
}

extension Repository {
    /// Removes the snapshots that no rule wants. The newest snapshot of each device and paths stays whatever the rules
    /// say. Space comes back with `prune`; until then the command line can take the snapshots back.
    ///
    /// - Parameters:
    ///   - rules: which stay.
    ///   - isDryRun: true to remove nothing and only return what would go.
    ///   - endangersFiles: true to go on although files that were called safe to delete would be in no snapshot any
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

    /// Removes snapshots by name. Space comes back with `prune`.
    ///
    /// - Parameters:
    ///   - snapshots: which ones.
    ///   - endangersFiles: true to go on although files that were called safe to delete would be in no snapshot any
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

    /// Gives the space of removed snapshots back. Backups may go on meanwhile.
    ///
    /// - Parameters:
    ///   - onProgress: told of the objects or bytes that a step is done with, as `RunProgress.bytes`.
    ///   - cancellation: ends the prune as soon as it can, with all it did in effect.
    ///   - endangersFiles: true to go on although files that were called safe to delete are in removed snapshots only.
    /// - Throws: `BakstoreError` of kind `endangersFiles`, `damaged` if what the snapshots need cannot be told (nothing
    ///   is deleted then), `storage`, `refused`.
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

    /// What of the files that were called safe to delete would be in no snapshot any more. Throws unless that may be.
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
        // Whoever has agreed to lose what they are about is not asked again.
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
