// SnapshotPath+Names: finds paths in a snapshot by their printed form. So a user can type a name with unprintable
// characters as `ls` prints it, with escapes.

import BakCore
import BakEngine
import BakFormat
import BakRepository

extension SnapshotPath {
    /// The path in a snapshot that the user meant: the typed path, or, if that does not exist, the path that commands
    /// print as the typed text.
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
    /// This error, with a question that offers paths that the user may have meant. Users often type a path relative to
    /// the backed-up folder.
    func explained(_ record: CommitRecord, _ repository: Repository, _ index: BlobIndex) -> any Error {
        guard case .notInSnapshot(let path, let id) = self,
            // If the manifest is damaged, no path is offered.
            let near = try? RestoreSelection.nearest(to: [path], in: record, repository, index),
            let question = Suggestion.question(near)
        else { return self }
        let name = Formatting.name(path.absolute)
        return CommandFailure(code: .failed, message: "\(name) is not in snapshot \(id.short)\(question)")
    }
}
