// SourceFilter: a PathFilter that reads marks and ignore files from the source itself.

import BakCore
import BakStorage

/// Decides about each entry of one walk. For one thread.
public final class SourceFilter {
    private var filter: PathFilter
    private let tree: any SourceTree

    /// Makes a filter for one walk of `tree`, whose roots are `roots`.
    public init(_ exclusions: BackupExclusions, roots: [[UInt8]], tree: any SourceTree) {
        filter = PathFilter(exclusions, roots: roots, topDevice: tree.topDevice)
        needsStats = exclusions.largestFile != nil || exclusions.oneFileSystem
        self.tree = tree
    }

    /// True if a decision needs a full stat, not just the path and whether it is a folder.
    public let needsStats: Bool

    /// Decides about an entry that is not a folder, without its stat. The caller must not use this if `needsStats` is
    /// true.
    package func decide(unseen path: [UInt8]) -> FilterDecision { decide(path, FileStat(type: .regular)) }

    /// Decides about an entry. Entries must come in the order of the walk.
    public func decide(_ path: [UInt8], _ stat: FileStat) -> FilterDecision {
        filter.decide(path, stat) { path, count in start(of: path, count) }
    }

    /// Ends the walk: no entry is decided after this.
    package func finish() { filter.finish() }

    /// The patterns that have decided about no entry so far.
    var unmatchedPatterns: [PathPattern] { filter.unmatchedPatterns }

    /// Returns and clears the messages about ignore files.
    package func takeRemarks() -> [String] {
        filter.takeRemarks()
            + filter.takeStrangers().map { path, owner in
                "\(path) leaves things out and \(owner.map(belongs) ?? "other users may write to it"). "
                    + "To back up everything, add --no-ignore-files"
            }
    }

    private func belongs(to owner: UInt32) -> String {
        let name = String(decoding: tree.names(uid: owner, gid: 0).user, as: UTF8.self)
        return "belongs to \(name.isEmpty ? "user \(owner)" : name)"
    }

    private func start(of path: [UInt8], _ count: Int) -> FileStart? {
        guard let file = try? tree.open(path) else { return nil }
        defer { file.close() }
        guard let stat = try? file.stat() else { return nil }
        // The members of a group are not known here. So a file counts as writable by others if its group may write it,
        // except root's group, in which no user is by accident.
        let othersMayWrite = stat.mode & 0o002 != 0 || stat.mode & 0o020 != 0 && stat.gid != 0
        let bytes = try? [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
        }
        return bytes.map { FileStart($0, owner: stat.uid, othersMayWrite: othersMayWrite) }
    }
}
