// SourceFilter: a PathFilter that looks into the source itself for marks and ignore files.

import BakCore
import BakStorage

/// Decides for each entry of one walk. For one thread.
public final class SourceFilter {
    private var filter: PathFilter
    private let tree: any SourceTree

    /// Makes a filter for one walk of `tree`, whose roots are `roots`.
    public init(_ exclusions: BackupExclusions, roots: [[UInt8]], tree: any SourceTree) {
        filter = PathFilter(exclusions, roots: roots, topDevice: tree.topDevice)
        needsStats = exclusions.largestFile != nil || exclusions.oneFileSystem
        self.tree = tree
    }

    /// Whether a decision needs more than a path and whether it is a folder's.
    public let needsStats: Bool

    /// Decides about an entry that is no folder, unless `needsStats`.
    package func decide(unseen path: [UInt8]) -> FilterDecision { decide(path, FileStat(type: .regular)) }

    /// Decides about an entry; the entries of a walk come in its order.
    public func decide(_ path: [UInt8], _ stat: FileStat) -> FilterDecision {
        filter.decide(path, stat) { path, count in start(of: path, count) }
    }

    /// Says that nothing more is asked about.
    package func finish() { filter.finish() }

    /// The patterns that have had the last word on nothing so far.
    var unmatchedPatterns: [PathPattern] { filter.unmatchedPatterns }

    /// Takes what is to be said of the ignore files that were met.
    package func takeRemarks() -> [String] {
        filter.takeRemarks()
            + filter.takeStrangers().map { path, owner in
                "\(path) leaves things out and \(owner.map(belongs) ?? "others may write it"); "
                    + "--no-ignore-files takes everything"
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
        // A group of one is its owner; who is in any other is not known here, but in root's nobody is by chance.
        let othersMayWrite = stat.mode & 0o002 != 0 || stat.mode & 0o020 != 0 && stat.gid != 0
        let bytes = try? [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
        }
        return bytes.map { FileStart($0, owner: stat.uid, othersMayWrite: othersMayWrite) }
    }
}
