// Temporaries: a process first writes a temporary, and then the temporary gets the object's name, as in a real folder.
// The temporary's own name contains its session, and a sweep relies on that.

import BakFormat
import BakCore
import BakRepository
import BakStorage

/// A file that its writer will turn into an object.
struct Temporary: Hashable {
    /// The keys whose objects show whether the temporary's session has ended.
    struct Owner: Hashable {
        var session: Universe.Key
        var outcome: Universe.Key
        var spare: Universe.Key

        var keys: [Universe.Key] { [session, outcome, spare] }
    }

    static let folder = "tmp"

    var key: Universe.Key
    var owner: Owner?

    /// - Parameter process: distinguishes the temporaries of processes that put the same object without a session.
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

    /// Returns the session in a temporary's name.
    static func session(of key: ObjectKey) -> ID128? {
        key.description.dropFirst(folder.count + 1).split(separator: ".").first.flatMap { ID128(String($0)) }
    }
}

/// A rule that a sweep or a writer breaks.
enum SweepFault: CaseIterable {
    /// A sweep goes by the age of a temporary alone, not by its session.
    case byClock
    /// A sweep removes the temporaries of a session that may still commit.
    case ofUndecided
    /// A sweep lists the sessions before the temporaries. A session that begins in between then seems to have ended.
    case sessionsFirst
    /// A writer does not notice that its temporary is gone.
    case unnoticed
}

extension StoreImage {
    /// True if the session may still commit: its record exists and nothing says that it has ended.
    func mayCommit(_ owner: Temporary.Owner) -> Bool {
        contains(owner.session) && !contains(owner.outcome) && !contains(owner.spare)
    }
}
