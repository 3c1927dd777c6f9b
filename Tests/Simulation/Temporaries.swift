// Temporaries: an object that is put is first a file of another name, as in a real folder. The file's name says which
// session it belongs to, and a sweep relies on that.

import BakFormat
import BakCore
import BakRepository
import BakStorage

/// A file that is to become an object.
struct Temporary: Hashable {
    /// The objects that tell what has become of the temporary's session.
    struct Owner: Hashable {
        var session: Universe.Key
        var outcome: Universe.Key
        var spare: Universe.Key

        var keys: [Universe.Key] { [session, outcome, spare] }
    }

    static let folder = "tmp"

    var key: Universe.Key
    var owner: Owner?

    /// - Parameter process: tells apart processes that put the same object and belong to no session.
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

    /// Returns the session that a temporary belongs to, by its name.
    static func session(of key: ObjectKey) -> ID128? {
        key.description.dropFirst(folder.count + 1).split(separator: ".").first.flatMap { ID128(String($0)) }
    }
}

/// A rule that a sweep, or a writer of temporaries, leaves out.
enum SweepFault: CaseIterable {
    /// A sweep goes by a clock, whatever session a temporary belongs to.
    case byClock
    /// A sweep takes the temporaries of a session that has not committed.
    case ofUndecided
    /// A sweep lists the sessions before the temporaries.
    case sessionsFirst
    /// A writer does not notice that its temporary is gone.
    case unnoticed
}

extension StoreImage {
    /// True if the session's record is there and nothing says how the session ended.
    func mayCommit(_ owner: Temporary.Owner) -> Bool {
        contains(owner.session) && !contains(owner.outcome) && !contains(owner.spare)
    }
}
