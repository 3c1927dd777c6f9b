// FullDisk: says what to do when the repository's disk is full. The advice differs from command to command.

import BakPosix
import BakStorage

/// A failure because the disk is full.
struct FullDisk {
    /// The error of the store.
    var error: StoreError

    init(_ error: StoreError) { self.error = error }

    /// Returns the failure of a backup.
    ///
    /// - Parameters:
    ///   - unread: the number of bytes of files that were not read yet; nil if it is not known.
    ///   - checkpoint: the short id of the run's last checkpoint; nil if there is none.
    ///   - snapshots: the number of snapshots; nil if it is not known.
    func inBackup(
        _ location: StoreLocation, unread: UInt64?, checkpoint: String?, snapshots: Int?
    ) -> CommandFailure {
        var parts = ["\(error)", "No snapshot was made"]
        // Name the free space only if it is too small for the files. Otherwise a quota or a lack of inodes may be the
        // cause, which the free space does not show.
        if let free = location.folder.flatMap(FolderTarget.freeBytes), let unread, free < unread {
            parts.append(
                "\(Formatting.size(free)) are free there, \(Formatting.size(unread)) of files are still to be read"
            )
        }
        parts.append("Make room there, or use another repository")
        if snapshots.map({ $0 > 10 }) ?? true {
            parts.append(
                "To keep only the last ten snapshots of each device and paths, which needs no room, run "
                    + "`bakstore forget --keep-last 10 --prune --max-unused unlimited`")
        }
        parts.append(
            checkpoint.map {
                "The files stored until checkpoint \($0) stay, and the next backup continues from there"
            }
                ?? "Earlier snapshots are not affected. If the run left data behind, the next prune frees it")
        return CommandFailure(code: .failed, message: parts.joined(separator: ". "))
    }

    /// The failure of a removal. The reserve was released for it, but there still was not enough space.
    var inRemoval: CommandFailure {
        CommandFailure(
            code: .failed,
            message:
                "\(error). The reserve for this is used up, too. Delete or move away some MiB of other files on that disk, and "
                + "run the command again. If the error stays, delete some hundred small files, too. The data stored so "
                + "far stays usable")
    }
}
