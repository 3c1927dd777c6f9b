// ProfileScope: which snapshots the rules of a profile decide about.
//
// Always holds: `takes` says yes only where it is certain, so that nothing else is removed; `reach` says no only where
// it is, so that nothing is said to stay which another run removes: one of another host name, or one with the disks
// that are away.

import BakCore
import BakFormat
import BakPosix
import BakRepository

/// What a profile backs up: snapshots of its device and exactly its paths.
struct ProfileScope {
    private let device: String
    private let isDeviceNamed: Bool
    private let paths: Set<[UInt8]>
    /// Of the paths, those that are there; nil if all are.
    private let found: [[UInt8]]?

    /// Nil when no rule comes from a profile, or from one without paths, whose rules are for all snapshots.
    init?(_ invocation: Invocation, _ context: CommandContext) throws {
        guard let profile = invocation.profile, !profile.paths.isEmpty,
            Flags.rules.contains(where: invocation.profileFlags.contains)
        else { return nil }
        device = profile[.device] ?? context.environment.device ?? Machine.hostName
        isDeviceNamed = profile[.device] != nil
        // As a backup records them, also while their disk is not there.
        let tree = try FileTree(roots: profile.paths)
        paths = Set(Self.outermost(tree.places + tree.missing.map(\.path)))
        found = tree.missing.isEmpty ? nil : Self.outermost(tree.places)
    }

    private static func outermost(_ paths: [[UInt8]]) -> [[UInt8]] {
        var roots: [[UInt8]] = []
        for path in paths.sorted(by: { PathOrder.precedes($0, $1) })
        where roots.last.map({ !PathOrder.isAtOrBeneath(path, $0) }) ?? true {
            roots.append(path)
        }
        return roots
    }

    func takes(_ record: CommitRecord) -> Bool { record.device == device && Set(record.paths) == paths }

    /// The snapshots that the rules may decide about, in parts of which each would be decided about for itself: any
    /// device's where the profile names none. Where some paths are not there and no snapshot is of just these, a link
    /// on the disk that is away may lead from them to where the snapshots were made.
    func reach(among all: [CommitRecord]) -> [[CommitRecord]] {
        let possible = all.filter { !isDeviceNamed || $0.device == device }
        let exact = possible.filter { Set($0.paths) == paths }
        let reached = exact.isEmpty && found != nil ? possible.filter(mayTake) : exact
        return Array(Dictionary(grouping: reached) { SnapshotGroup(of: $0) }.values)
    }

    private func mayTake(_ record: CommitRecord) -> Bool {
        guard let found else { return false }
        return found.allSatisfy { path in record.paths.contains { PathOrder.isAtOrBeneath(path, $0) } }
            && record.paths.allSatisfy { paths.contains($0) || !Machine.isThere($0.absolute) }
    }
}
