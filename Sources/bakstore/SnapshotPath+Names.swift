// SnapshotPath+Names: paths in a snapshot as commands print them. What `ls` prints can be typed: a name with characters
// that cannot be shown is found by what stands for them.

import BakCore
import BakFormat
import BakRepository

extension SnapshotPath {
    /// The path in a snapshot that was meant: the one that was typed or, if it is not there, the one that is printed so.
    func path(in record: CommitRecord, _ repository: Repository, _ index: BlobIndex) throws -> [UInt8] {
        guard let printed = Formatting.unescaped(path), printed != path,
            !printed.contains(0), try !Self.isThere(path, in: record, repository, index),
            try Self.isThere(printed, in: record, repository, index)
        else { return path }
        return printed
    }

    private static func isThere(
        _ path: [UInt8], in record: CommitRecord, _ repository: Repository, _ index: BlobIndex
    ) throws -> Bool {
        let reader = try ManifestReader(record, repository: repository, index: index, from: path)
        while let next = try reader.next() {
            guard case .entry(let entry) = next, !PathOrder.precedes(entry.path, path) else { continue }
            return PathOrder.isAtOrBeneath(entry.path, path)
        }
        return false
    }
}
