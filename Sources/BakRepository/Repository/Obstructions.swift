// Obstructions: what lies under the names of objects and is none, told by what it hinders. Nothing of it is followed,
// read or removed: what it is good for only its owner knows.

import BakFormat
import BakStorage

/// What is in the place of a repository's objects. Packs, which a census lists, are added to it.
struct Obstructions {
    /// What keeps a snapshot from being known, forgotten or pruned, in the order of the names.
    let hindering: [Obstruction]
    /// What has the name of an object that can be done without or is told of where it is missing.
    private(set) var others: [Obstruction]
    private var all: [ObjectKey: Obstruction]

    init(_ store: any ObjectStore) throws {
        // In this order: a snapshot whose marker is listed was forgotten, whatever has its name.
        let forgotten = Set(try store.list(ObjectNames.forgotten).compactMap { ObjectNames.id(in: $0.key) })
        let decided = CollectionState.Rounds(try store.list(ObjectNames.collections).map(\.key)).decided
        var (hindering, others): ([Obstruction], [Obstruction]) = ([], [])
        func look(into folder: String, _ hinders: (ObjectKey) -> Bool?) throws {
            for found in try store.listWithObstructions(folder).obstructions {
                switch hinders(found.key) {
                case true?: hindering.append(found)
                case false?: others.append(found)
                case nil: break
                }
            }
        }
        // A commit record or the tombstone of a session that is to be ended.
        try look(into: ObjectNames.snapshots) { key in ObjectNames.id(in: key).map { !forgotten.contains($0) }
        }
        try look(into: ObjectNames.forgotten) { key in ObjectNames.id(in: key).map { _ in true } }
        // The next round, and one whose decision may have been there.
        try look(into: ObjectNames.collections) { key in
            ObjectNames.round(in: key).map { $0.number > decided }
        }
        // What was called safe, and would be let go.
        try look(into: ObjectNames.vouched) { key in
            ObjectNames.id(in: key) != nil ? true : ObjectNames.anyVouch(in: key).map { _ in false }
        }
        for folder in [ObjectNames.spares, ObjectNames.sessions, ObjectNames.keys] {
            try look(into: folder) { key in ObjectNames.id(in: key).map { _ in false } }
        }
        try look(into: ObjectNames.index) { key in
            ObjectNames.id(in: key) != nil || ObjectNames.baseSegment(in: key) != nil ? false : nil
        }
        (self.hindering, self.others) = (hindering, others)
        all = Dictionary(uniqueKeysWithValues: (hindering + others).map { ($0.key, $0) })
    }

    /// Adds what is in the place of packs.
    mutating func add(_ packs: [Obstruction]) {
        others += packs
        for found in packs { all[found.key] = found }
    }

    /// Why an object is not there, as "missing".
    func absence(of key: ObjectKey) -> String {
        all[key].map { "missing: \($0.what) is in its place" } ?? "missing"
    }
}
