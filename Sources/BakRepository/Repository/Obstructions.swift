// Obstructions: finds the obstructions in a store: items under an object's name that are not regular files, such as a
// folder or a link. It separates obstructions that hinder the program from harmless ones. The program never follows,
// reads or removes an obstruction, because only its owner knows what it is for.

import BakFormat
import BakStorage

/// The obstructions in a repository. `init` leaves out packs, which `PackCensus` lists. `add` adds the obstructions
/// that the census found in the place of packs.
struct Obstructions {
    /// Obstructions that keep the program from listing, forgetting or pruning a snapshot, in the order of their names.
    let hindering: [Obstruction]
    /// Obstructions in the place of objects that are dispensable, or whose absence is reported elsewhere.
    private(set) var others: [Obstruction]
    private var all: [ObjectKey: Obstruction]

    init(_ store: any ObjectStore) throws {
        // The forget markers are listed first. A snapshot with a listed marker was forgotten, whatever lies under its
        // name.
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
        // In `snapshots/`, an obstruction hides a commit record, or prevents the tombstone that would end a session.
        try look(into: ObjectNames.snapshots) { key in ObjectNames.id(in: key).map { !forgotten.contains($0) }
        }
        try look(into: ObjectNames.forgotten) { key in ObjectNames.id(in: key).map { _ in true } }
        // In `gc/`, an obstruction prevents a round, or hides a decision that is newer than all visible decisions.
        try look(into: ObjectNames.collections) { key in
            ObjectNames.round(in: key).map { $0.number > decided }
        }
        // An obstruction may hide a vouch, the record that a user may delete files because a snapshot holds their
        // content. A prune that does not see the vouch could remove that content.
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
