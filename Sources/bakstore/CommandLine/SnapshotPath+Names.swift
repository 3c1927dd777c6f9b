// SnapshotPath+Names: paths in a snapshot as commands print them. What `ls` prints can be typed: a name with characters
// that cannot be shown is found by what stands for them.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension SnapshotPath {
    /// The path in a snapshot that was meant: the one that was typed or, if it is not there, the one that is printed
    /// so.
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
        try SnapshotView(record, repository: repository, index: index).list(path, .children) { _ in false }
    }
}

extension SnapshotPathError {
    /// The same with what may have been meant: paths are often typed as they begin in what was backed up.
    func explained(_ record: CommitRecord, _ repository: Repository, _ index: BlobIndex) -> any Error {
        guard case .notInSnapshot(let path, let id) = self,
            // A list that is damaged says nothing of it.
            let near = try? RestoreSelection.nearest(to: [path], in: record, repository, index),
            let question = Suggestion.question(near)
        else { return self }
        let name = Formatting.name(path.absolute)
        return CommandFailure(code: .failed, message: "\(name) is not in snapshot \(id.short)\(question)")
    }
}
