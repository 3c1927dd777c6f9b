// TimeProbes: finds out how a target rounds a modification time. File systems keep times in steps of up to two seconds.
// A probe is an empty temporary. Its time is set in the same way as a restored file's and read back.

import BakCore
import CLinux
import Glibc

/// The probes of a target, one for each device. Any thread may use it.
final class TimeProbes: @unchecked Sendable {
    private struct Probe {
        /// The temporary's path.
        var path: [UInt8]
        /// Nil if no file could be made.
        var file: Descriptor?
    }

    private let monitor = Monitor()
    private var probes: [UInt64: Probe] = [:]

    /// The time as the file system of `path` would keep it; nil if a probe cannot tell.
    func rendered(
        _ time: Timestamp, at path: [UInt8], device: UInt64, in folders: TargetFolders
    ) -> Timestamp? {
        monitor.locked {
            let probe = probes[device] ?? make(beside: path, in: folders)
            probes[device] = probe
            guard let file = probe.file, let before = try? file.status() else { return nil }
            let times = [before.st_atim, time.systemValue]
            guard futimens(file.number, times) == 0, let after = try? file.status() else { return nil }
            return Timestamp(after.st_mtim)
        }
    }

    private func make(beside path: [UInt8], in folders: TargetFolders) -> Probe {
        let made = try? folders.withParent(of: path) { parent, _ throws(Errno) in
            try RestoreTemporary.create(in: parent.number)
        }
        guard let made else { return Probe(path: [], file: nil) }
        let folder = Array(path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)])
        return Probe(path: PathOrder.join(folder, made.name), file: made.file)
    }

    /// Removes the probes.
    func removeAll(in folders: TargetFolders) {
        let made = monitor.locked {
            defer { probes = [:] }
            return probes.values
        }
        for probe in made where probe.file != nil {
            try? folders.withParent(of: probe.path) { parent, name throws(Errno) in
                _ = try system { unlinkat(parent.number, name, 0) }
            }
        }
    }
}
