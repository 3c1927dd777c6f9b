// SourceTotals: counts the files and bytes of a source while a command reads the source, so that the command can
// estimate the time left.

import BakCore

/// Counts regular files and their bytes. Called from any thread.
final class SourceTotals: @unchecked Sendable {
    private let monitor = Monitor()
    private var files: UInt64 = 0
    private var bytes: UInt64 = 0
    private var areFinal = false

    /// Counts an item.
    @Sendable func count(_ stat: FileStat) {
        guard stat.type == .regular else { return }
        monitor.locked {
            files += 1
            bytes.add(stat.size)
        }
    }

    /// Makes the totals final.
    @Sendable func finish() { monitor.locked { areFinal = true } }

    /// Returns progress with the totals so far. `done` sets the members that say how much work is done.
    func progress(_ done: (inout Progress) -> Void) -> Progress {
        var progress = Progress()
        monitor.locked {
            (progress.totalFiles, progress.totalBytes, progress.totalsAreFinal) = (files, bytes, areFinal)
        }
        done(&progress)
        return progress
    }
}
