// ProfileScope: finds the snapshots that a profile's rules decide about.
//
// Always holds: `takes` is true only if the rules certainly decide about a snapshot, so that they remove no other one.
// `reach` leaves a snapshot out only if the rules certainly do not decide about it. Otherwise a snapshot could seem to
// stay although a later run removes it, when the host has another name or the missing disks are connected.

import BakCore
import BakFormat
import BakPosix
import BakRepository

/// The snapshots that a profile makes: those of its device with exactly its paths.
struct ProfileScope {
    private let device: String
    private let isDeviceNamed: Bool
    private let paths: Set<[UInt8]>
    /// The paths that exist; nil if all do.
    private let found: [[UInt8]]?

    /// Nil if no rule comes from a profile, or if the profile has no paths: then its rules are for all snapshots.
    init?(_ invocation: Invocation, _ context: CommandContext) throws {
        guard let profile = invocation.profile, !profile.paths.isEmpty,
            Flags.rules.contains(where: invocation.profileFlags.contains)
        else { return nil }
        device = profile[.device] ?? context.environment.device ?? Machine.hostName
        isDeviceNamed = profile[.device] != nil
        // Resolve the paths as a backup records them, even while their disk is away.
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

    /// The snapshots that the rules may decide about, in groups that are decided separately. If the profile names no
    /// device, snapshots of all devices are among them. If some paths are missing and no snapshot has exactly the
    /// profile's paths, snapshots with other paths are among them, because a link on the missing disk may lead to these
    /// paths.
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
