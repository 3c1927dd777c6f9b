// CommandContext+OlderState: handles a repository that is older than when this machine last saw it. Either a user has
// put back an old copy, or an attacker who controls the disk hides the newest objects.

import BakRepository

extension CommandContext {
    /// Tells the user if the repository is older than this machine has seen it. The state that this machine saw may be
    /// that of this copy of the repository or of another copy. If the repository is encrypted, asks whether to
    /// continue, and throws unless the user agrees. Does the same if the command deletes something for good and the
    /// seen state was of this copy. In all other cases, only warns. The warning about this copy is repeated until the
    /// user accepts the older state. The warning about another copy is given once.
    func expectNoOlderState(
        _ repository: Repository, at location: RepositoryLocation, _ invocation: Invocation
    ) throws {
        guard let older = try repository.olderState() else { return }
        if !invocation.has(.acceptOlder) {
            let words =
                older.isElsewhere
                ? "the repository \(location) is older than another copy of it that this machine has seen: "
                    + "\(text(older)). Is it the one that you mean?"
                : "the repository \(location) is older than when this machine last saw it: \(text(older)). "
                    + "Was an old copy of it put back?"
            if repository.isEncrypted || invocation.isFinal && !older.isElsewhere {
                try expectMeant(words)
            } else if older.isElsewhere {
                // A command on one copy takes nothing from the other copy, so a warning is enough.
                complain(words)
            } else {
                return complain(words + " " + consequence(of: older))
            }
        }
        repository.forgetSeenState()
    }

    private func expectMeant(_ words: String) throws {
        guard !isJSON, let agrees = try agrees(to: "\(words) Continue with the present copy?") else {
            throw CommandFailure(
                code: .damage,
                message:
                    "\(words) To continue with the present copy, run: bakstore check --accept-older")
        }
        guard agrees else { throw CommandFailure(code: .failed, message: "nothing was done") }
    }

    /// Says what follows for a plain repository, where the user is only warned.
    private func consequence(of older: OlderState) -> String {
        let words =
            "To continue with the present copy, run `bakstore check --accept-older`. Until then nothing is pruned or "
            + "repaired, and no archive continues that lacks the missing snapshots"
        if older.lost.isEmpty { return words }
        return words
            + ". To bring back what another repository still has, run: bakstore copy --from-repo FOLDER"
    }

    private func text(_ older: OlderState) -> String {
        var parts: [String] = []
        if !older.lostSnapshots.isEmpty {
            let ids = older.lostSnapshots.map(\.short).joined(separator: ", ")
            let word = Formatting.word(UInt64(older.lostSnapshots.count), "snapshot", "snapshots")
            parts.append(
                "\(word) \(ids) \(Formatting.word(UInt64(older.lostSnapshots.count), "is", "are")) missing")
        }
        if older.lacksRounds { parts.append("the last prunes are undone") }
        return parts.joined(separator: ", and ")
    }
}

extension Invocation {
    /// True if the command does something that cannot be undone while snapshots are missing.
    fileprivate var isFinal: Bool {
        if has(.dryRun) { return false }
        return command == .prune || command == .repair || command == .forget && has(.prune)
    }
}
