// Obstructions: everything under an object's name that is not an object, sorted by whether it hinders the program. The
// program never follows, reads or removes an obstruction, because only its owner knows what it is for.

import BakFormat
import BakStorage

/// The obstructions in a repository. `add` adds those in the place of packs, which a census lists.
struct Obstructions {
    /// Obstructions that keep the program from listing, forgetting or pruning a snapshot, in the order of their names.
    let hindering: [Obstruction]
    /// Obstructions under names of objects that are dispensable, or whose absence is reported elsewhere.
    private(set) var others: [Obstruction]
    private var all: [ObjectKey: Obstruction]

    init(_ store: any ObjectStore) throws {
        // The markers are listed first: a snapshot with a listed marker was forgotten, whatever lies under its name.
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
        // A commit record, or the tombstone that would end a session.
        try look(into: ObjectNames.snapshots) { key in ObjectNames.id(in: key).map { !forgotten.contains($0) }
        }
        try look(into: ObjectNames.forgotten) { key in ObjectNames.id(in: key).map { _ in true } }
        // The next round, or a round that may have had a decision.
        try look(into: ObjectNames.collections) { key in
            ObjectNames.round(in: key).map { $0.number > decided }
        }
        // A vouch: without it, content that was called safe could be removed.
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

    /// Adds the obstructions in the place of packs.
    mutating func add(_ packs: [Obstruction]) {
        others += packs
        for found in packs { all[found.key] = found }
    }

    /// Returns why an object is absent: "missing", with the obstruction if one is in its place.
    func absence(of key: ObjectKey) -> String {
        all[key].map { "missing: \($0.what) is in its place" } ?? "missing"
    }
}
