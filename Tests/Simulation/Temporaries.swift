// Temporaries: an object that is put is a file of another name first, as in a folder. The file's name says to which
// session it belongs, and whoever sweeps goes by that.

import BakFormat
import BakCore
import BakRepository
import BakStorage

/// What is to become an object.
struct Temporary: Hashable {
    /// The session that it belongs to, as objects tell of it.
    struct Owner: Hashable {
        var session: Universe.Key
        var outcome: Universe.Key
        var spare: Universe.Key

        var keys: [Universe.Key] { [session, outcome, spare] }
    }

    static let folder = "tmp"

    var key: Universe.Key
    var owner: Owner?

    /// - Parameter process: what tells processes apart that put one object and belong to no session.
    init(_ key: ObjectKey, of session: ID128?, process: String, _ universe: Universe) {
        let name = key.description.split(separator: "/").joined(separator: "-")
        self.key = universe.key(
            ObjectKey("\(Self.folder)/\(session.map(\.description) ?? "none").\(process).\(name)"))
        owner = session.map {
            Owner(
                session: universe.key(ObjectNames.session($0)),
                outcome: universe.key(ObjectNames.snapshot($0)),
                spare: universe.key(ObjectNames.spare($0)))
        }
    }

    /// The session that a temporary belongs to, by its name.
    static func session(of key: ObjectKey) -> ID128? {
        key.description.dropFirst(folder.count + 1).split(separator: ".").first.flatMap { ID128(String($0)) }
    }
}

/// A rule that who sweeps, or whose temporaries are swept, leaves out.
enum SweepFault: CaseIterable {
    /// They go by a clock, whosever they are.
    case byClock
    /// Those of a session that has not committed go.
    case ofUndecided
    /// Sessions are listed before the temporaries are.
    case sessionsFirst
    /// A writer does not notice that what it is to name is gone.
    case unnoticed
}

extension StoreImage {
    /// Whether a session's record is there and nothing says how it ended.
    func mayCommit(_ owner: Temporary.Owner) -> Bool {
        contains(owner.session) && !contains(owner.outcome) && !contains(owner.spare)
    }
}
