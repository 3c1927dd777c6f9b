// FullDisk: what to say where the repository's disk is full. What became of the run, how much room there is and would
// be needed, and what to do differ from command to command.

import BakPosix
import BakStorage

/// A failure for want of room.
struct FullDisk {
    /// What could not be stored.
    var error: StoreError

    init(_ error: StoreError) { self.error = error }

    /// A backup found no room.
    ///
    /// - Parameters:
    ///   - unread: how much of the files had not been read; nil when it is not known.
    ///   - checkpoint: the short id of what the run committed on its way.
    ///   - snapshots: how many there are; nil when it is not known.
    func inBackup(
        _ location: StoreLocation, unread: UInt64?, checkpoint: String?, snapshots: Int?
    ) -> CommandFailure {
        var parts = ["\(error)", "no snapshot was made"]
        // A quota, or want of file numbers, does not show here.
        if let free = location.folder.flatMap(FolderTarget.freeBytes), let unread, free < unread {
            parts.append(
                "\(Formatting.size(free)) free there, \(Formatting.size(unread)) of files still to be read")
        }
        parts.append("make room there, or use another repository")
        if snapshots.map({ $0 > 10 }) ?? true {
            parts.append(
                "to let go of all but the last ten snapshots of each device and paths, which needs no room: "
                    + "bakstore forget --keep-last 10 --prune --max-unused unlimited")
        }
        parts.append(
            checkpoint.map {
                "what was stored until checkpoint \($0) stays, and the next backup goes on from there"
            }
                ?? "what was stored before stays usable, and what this run stored the next prune gives back")
        return CommandFailure(code: .failed, message: parts.joined(separator: "; "))
    }

    /// What would have made room found none, although the reserve was given up for it.
    var inRemoval: CommandFailure {
        CommandFailure(
            code: .failed,
            message:
                "\(error); the reserve for this is used up, too: delete or move away some MiB of other files on that "
                + "disk, where the error stays also some hundred small ones, and run the command again; what is stored "
                + "stays usable")
    }
}
