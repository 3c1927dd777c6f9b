// SnapshotFilter: which snapshots the flags --tag, --host, --device and --path choose.

import BakCore
import BakFormat

/// A choice among snapshots.
struct SnapshotFilter: Equatable {
    private let hosts: [String]
    private let devices: [String]
    private let paths: [[UInt8]]
    private let tagSets: [[String]]

    init(_ invocation: Invocation) {
        (hosts, devices) = (invocation.allTexts(.host), invocation.allTexts(.device))
        paths = invocation.allBytes(.path).map { path in
            Array(path.split(separator: UInt8(ascii: "/")).joined(separator: [UInt8(ascii: "/")]))
        }
        tagSets = invocation.tagSets
    }

    /// Whether it takes every snapshot.
    var isEmpty: Bool { hosts.isEmpty && devices.isEmpty && paths.isEmpty && tagSets.isEmpty }

    /// Whether it takes this one.
    func takes(_ record: CommitRecord) -> Bool {
        (hosts.isEmpty || hosts.contains(record.host))
            && (devices.isEmpty || devices.contains(record.device))
            && paths.allSatisfy { wanted in
                let printed = Formatting.unescaped(wanted)
                return record.paths.contains { path in
                    PathOrder.isAtOrBeneath(wanted, path)
                        || printed.map { PathOrder.isAtOrBeneath($0, path) } == true
                }
            }
            && (tagSets.isEmpty || tagSets.contains { Set($0).isSubset(of: record.tags) })
    }
}
