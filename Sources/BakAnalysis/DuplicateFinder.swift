// DuplicateFinder: finds the files whose duplicates waste the most space. It remembers only the larger files, so it may
// miss a small file that has very many copies. `DistinctTally` counts all duplicates.

import BakEngine
import BakCore

/// Groups files by their content. Any thread may use it.
final class DuplicateFinder: @unchecked Sendable {
    private let monitor = Monitor()
    private let limit: Int
    private var groups: [ID128: DuplicateGroup] = [:]
    private static let pathsKept = 8

    /// Makes a finder that remembers at most `limit` distinct files.
    init(limit: Int = 1 << 16) { self.limit = limit }

    /// Notes a file, which must not be empty.
    func note(_ digest: ID128, _ path: [UInt8], byteCount: UInt64) {
        monitor.locked {
            var group = groups[digest] ?? DuplicateGroup(fileBytes: byteCount, files: 0, paths: [])
            group.files += 1
            if group.paths.count < Self.pathsKept { group.paths.append(path) }
            groups[digest] = group
            if groups.count > limit { dropLesserHalf() }
        }
    }

    private func dropLesserHalf() {
        let kept = groups.sorted {
            max($0.value.fileBytes, $0.value.wastedBytes) > max($1.value.fileBytes, $1.value.wastedBytes)
        }
        groups = Dictionary(uniqueKeysWithValues: kept.prefix(limit / 2).map { ($0.key, $0.value) })
    }

    /// Returns the groups that waste the most space, the largest first.
    func largest(_ count: Int) -> [DuplicateGroup] {
        monitor.locked {
            let groups = groups.values.filter { $0.files > 1 }.map { group in
                var group = group
                group.paths.sort { PathOrder.precedes($0, $1) }
                return group
            }
            return Array(
                groups.sorted {
                    $0.wastedBytes != $1.wastedBytes
                        ? $0.wastedBytes > $1.wastedBytes : PathOrder.precedes($0.paths[0], $1.paths[0])
                }.prefix(count))
        }
    }
}
