// Vouching: stores vouches in the repository. A vouch records that the command `safe-to-delete` called some files safe
// to delete, because a snapshot has their content. So every program, on any machine, asks before it removes the last
// snapshots that have this content.
//
// Copying a snapshot also copies its vouches, so that they protect the content even if the original repository is gone.
//
// Always holds:
// - A vouch is durable before the program calls anything safe.
// - A vouch that can be read is deleted only after each of its files is recorded elsewhere. If a snapshot still has the
//   file's content, another vouch names the file. If not, the content is recorded as given up: the user has agreed to
//   lose it.
// - When a snapshot is taken back, vouches protect its given-up content again.
// - Each vouch is stored twice, under two names, and one copy is enough. If both were lost, a prune could delete
//   content that people rely on.
// - A vouch of which no copy can be read may be about any snapshot. So the program asks before it removes any snapshot.
//   If the user agrees, it deletes the unreadable vouch, too, unless a newer program can read the vouch.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// A file that was called safe to delete, and whose content is in danger: if the snapshots that the user wants to
/// remove were removed, no snapshot would have the content any more.
public struct EndangeredFile: Equatable, Sendable {
    /// A path at which it was seen.
    public var path: [UInt8]
    /// When it was called safe.
    public var time: Timestamp
    /// The snapshot that has its content now.
    public var snapshot: ID128
    fileprivate var content: ID128
}

/// A vouch of which no copy can be read, so that its content is unknown.
public struct UnreadableVouch: Sendable {
    /// What is wrong with it.
    public var error: CorruptionError
    /// True if an obstruction is in its place.
    public var isObstructed: Bool
    /// Its objects, which can be deleted.
    var objects: [ObjectKey]
}

/// The vouches in the repository.
struct StoredVouches {
    var readable: [Vouch] = []
    var unreadable: [UnreadableVouch] = []
}

/// What would happen to vouches if only some snapshots stayed.
public struct VouchOutlook: Sendable {
    /// The files whose content no snapshot would have any more, by path.
    public internal(set) var endangered: [EndangeredFile] = []
    /// The vouches that cannot be read. They may be about any snapshot.
    public internal(set) var unreadable: [UnreadableVouch] = []
    /// The vouches whose snapshot does not stay.
    var outdated: [Vouch] = []
    /// The files of outdated vouches whose content other snapshots have.
    var moved: [(snapshot: ID128, origin: RecordOrigin, files: [Vouch.File])] = []
    /// The files of outdated vouches whose content no other snapshot has.
    var givenUp: [(snapshot: ID128, origin: RecordOrigin, files: [Vouch.File])] = []

    /// Makes the outlook of a repository without vouches.
    public init() {}
}

extension Repository {
    /// Stores vouches for files that were called safe because of a snapshot. It leaves out files that a vouch already
    /// names, so asking the same question again stores nothing. On return the vouches are durable.
    ///
    /// - Throws: `CorruptionError` if another object has a vouch's name, and `StoreError`.
    public func vouch(for files: [ID128: [Vouch.File]], _ origin: RecordOrigin) throws {
        var known: [ID128: Set<ID128>] = [:]
        for vouch in try vouches().readable where files[vouch.snapshot] != nil {
            known[vouch.snapshot, default: []].formUnion(vouch.files.map(\.content))
        }
        for (snapshot, files) in files.sorted(by: { $0.key < $1.key }) {
            let known = known[snapshot] ?? []
            for vouch in vouches(files.filter { !known.contains($0.content) }, snapshot, origin) {
                try put(vouch)
            }
        }
    }

    private func vouches(_ files: [Vouch.File], _ snapshot: ID128, _ origin: RecordOrigin) -> [Vouch] {
        Vouch.parts(files).map {
            Vouch(id: ID128(from: random), origin: origin, snapshot: snapshot, files: $0)
        }
    }

    private func put(_ vouch: Vouch) throws {
        try put(vouch, at: ObjectNames.vouch(vouch.id))
        try put(vouch, at: ObjectNames.vouchSpare(vouch.id))
    }

    private func put(_ vouch: Vouch, at key: ObjectKey) throws {
        try store.putUnderFreshName(key, vouch.encode(context))
    }

    private func delete(_ vouch: ID128) throws {
        // An obstruction in the place of a vouch stays.
        for key in [ObjectNames.vouchSpare(vouch), ObjectNames.vouch(vouch)] where store.has(key) {
            try store.delete(key)
        }
    }

    /// True if the repository has vouches.
    ///
    /// - Throws: `StoreError` if the vouches cannot be listed.
    public func hasVouches() throws -> Bool {
        let listing = try store.listWithObstructions(ObjectNames.vouched)
        return (listing.objects.map(\.key) + listing.obstructions.map(\.key)).contains {
            ObjectNames.anyVouch(in: $0) != nil
        }
    }

    /// Returns the fingerprints of content that was called safe to delete, as far as vouches can be read.
    ///
    /// - Throws: `StoreError` if the vouches cannot be listed or read.
    public func vouchedContent() throws -> [ID128] {
        try vouches().readable.flatMap { $0.files.map(\.content) }
    }

    /// Returns every vouch, read from one of its two copies, and the vouches that cannot be read.
    func vouches() throws -> StoredVouches {
        let listing = try store.listWithObstructions(ObjectNames.vouched)
        let objects = Set(listing.objects.map(\.key))
        let obstructions = Dictionary(
            listing.obstructions.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        var vouches = StoredVouches()
        let named = objects.union(obstructions.keys).compactMap { ObjectNames.anyVouch(in: $0) }
        for id in Set(named).sorted() {
            let keys = [ObjectNames.vouch(id), ObjectNames.vouchSpare(id)]
            var faults: [CorruptionError] = []
            var found: Vouch?
            for key in keys where found == nil && objects.contains(key) {
                found = try vouchIfThere(id, key) { faults.append($0) }
            }
            if let found {
                vouches.readable.append(found)
                continue
            }
            let obstruction = keys.compactMap { obstructions[$0] }.first
            if let obstruction {
                let key = obstruction.key.description
                faults.insert(CorruptionError(object: key, offset: 0, reason: "\(obstruction)"), at: 0)
            }
            // No copy was read. If no read found a fault either, the copies have vanished since they were listed:
            // another program has just replaced or dropped the vouch.
            guard let error = faults.first else { continue }
            vouches.unreadable.append(
                UnreadableVouch(
                    error: error, isObstructed: obstruction != nil, objects: keys.filter(objects.contains)))
        }
        return vouches
    }

    /// Returns the vouches of content that was given up.
    func givenUp() throws -> (readable: [Vouch], unreadable: [CorruptionError]) {
        var vouches: (readable: [Vouch], unreadable: [CorruptionError]) = ([], [])
        for info in try store.list(ObjectNames.vouched) {
            guard let id = ObjectNames.givenUp(in: info.key),
                let vouch = try vouchIfThere(id, info.key, onFault: { vouches.unreadable.append($0) })
            else { continue }
            vouches.readable.append(vouch)
        }
        return vouches
    }

    private func vouchIfThere(
        _ id: ID128, _ key: ObjectKey, onFault: (CorruptionError) -> Void
    ) throws -> Vouch? {
        do {
            return try vouch(id, key)
        } catch let error as CorruptionError {
            onFault(error)
        } catch let error as StoreError where error.kind == .notFound {}
        return nil
    }

    /// Returns the faults of damaged copies of vouches if the other copy can be read.
    func damagedCopies() throws -> [CorruptionError] {
        var faults: [CorruptionError] = []
        for vouch in try vouches().readable {
            for key in [ObjectNames.vouch(vouch.id), ObjectNames.vouchSpare(vouch.id)] {
                _ = try vouchIfThere(vouch.id, key) { faults.append($0) }
            }
        }
        return faults
    }

    /// Renews missing and damaged copies of vouches if the other copy can be read.
    ///
    /// - Throws: `CorruptionError` if another object has a copy's name, and `StoreError` unless the store is full or
    ///   the name obstructed.
    public func renewVouches() throws {
        for vouch in try vouches().readable {
            for key in [ObjectNames.vouch(vouch.id), ObjectNames.vouchSpare(vouch.id)] {
                var isDamaged = false
                if try vouchIfThere(vouch.id, key, onFault: { isDamaged = $0.cause == .damage }) != nil {
                    continue
                }
                do {
                    if isDamaged { try store.delete(key) }
                    try put(vouch, at: key)
                } catch let error as StoreError where [.full, .obstructed].contains(error.kind) {
                    // The other copy is enough.
                }
            }
        }
    }

    /// Drops vouches that cannot be read, after the user has agreed that their content may be lost. A vouch that a
    /// newer program can read stays.
    ///
    /// - Throws: `StoreError` if one cannot be deleted.
    public func drop(_ vouches: [UnreadableVouch]) throws {
        for vouch in vouches where vouch.error.cause != .newerProgram {
            for key in vouch.objects { try store.delete(key) }
        }
    }

    private func vouch(_ id: ID128, _ key: ObjectKey) throws -> Vouch {
        let bytes = try store.readWhole(key, upTo: FormatLimits.recordBytes)
        return try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try Vouch(decoding: bytes, object: key.description, id: id, context: context)
        }
    }

    /// Returns the vouched content that no complete snapshot would have if only the snapshots in `staying` stayed. It
    /// reads manifests only if a vouch relies on a snapshot that does not stay.
    ///
    /// - Throws: `CorruptionError` if the index is damaged, and `StoreError`.
    public func outlook(ifOnly staying: [CommitRecord]) throws -> VouchOutlook {
        let vouches = try vouches()
        var outlook = try outlook(of: vouches.readable, ifOnly: staying)
        outlook.unreadable = vouches.unreadable
        return outlook
    }

    private func outlook(of vouches: [Vouch], ifOnly staying: [CommitRecord]) throws -> VouchOutlook {
        var outlook = VouchOutlook()
        let complete = staying.filter(\.isComplete)
        let ids = Set(complete.map(\.id))
        outlook.outdated = vouches.filter { !ids.contains($0.snapshot) }
        if outlook.outdated.isEmpty { return outlook }
        var search = ContentSearch(
            Set(outlook.outdated.flatMap { $0.files.map(\.content) }),
            SegmentReader(self, try BlobIndex(self)))
        for snapshot in complete.reversed() where !search.wanted.isEmpty { try search.look(into: snapshot) }
        for vouch in outlook.outdated {
            var moved: [ID128: [Vouch.File]] = [:]
            var lost: [Vouch.File] = []
            for file in vouch.files {
                if let snapshot = search.found[file.content] {
                    moved[snapshot, default: []].append(file)
                } else {
                    lost.append(file)
                    outlook.endangered.append(
                        EndangeredFile(
                            path: file.path, time: vouch.origin.time, snapshot: vouch.snapshot,
                            content: file.content))
                }
            }
            outlook.moved += moved.map { ($0.key, vouch.origin, $0.value) }
            if !lost.isEmpty { outlook.givenUp.append((vouch.snapshot, vouch.origin, lost)) }
        }
        outlook.endangered.sort { PathOrder.precedes($0.path, $1.path) }
        try find(&outlook.endangered, notIn: ids, &search)
        return outlook
    }

    /// Makes sure that each endangered file names a snapshot that exists. A vouch names the snapshot by the id that it
    /// had when the file was called safe. If the snapshot was committed again since then, it has another id. The file
    /// then gets the id of a snapshot that has its content and does not stay.
    private func find(
        _ files: inout [EndangeredFile], notIn staying: Set<ID128>, _ search: inout ContentSearch
    ) throws {
        if files.isEmpty { return }
        let going = try snapshots().readable.filter { $0.isComplete && !staying.contains($0.id) }
        let known = Set(going.map(\.id))
        if files.allSatisfy({ known.contains($0.snapshot) }) { return }
        for snapshot in going.reversed() where !search.wanted.isEmpty { try search.look(into: snapshot) }
        for place in files.indices where !known.contains(files[place].snapshot) {
            files[place].snapshot = search.found[files[place].content] ?? files[place].snapshot
        }
    }

    /// Returns the files that were called safe and that these snapshots have, so that copies of the snapshots can vouch
    /// for them. It also returns the faults of vouches that cannot be read.
    ///
    /// - Throws: `CorruptionError` if the index is damaged, and `StoreError`.
    public func vouches(
        carriedBy snapshots: [CommitRecord]
    ) throws -> (
        carried: [(snapshot: ID128, origin: RecordOrigin, files: [Vouch.File])], unreadable: [CorruptionError]
    ) {
        let vouches = try vouches()
        let outlook = try outlook(of: vouches.readable, ifOnly: snapshots)
        let outdated = Set(outlook.outdated.map(\.id))
        let direct = vouches.readable.filter { !outdated.contains($0.id) }
        return (
            direct.map { ($0.snapshot, $0.origin, $0.files) } + outlook.moved, vouches.unreadable.map(\.error)
        )
    }

    /// Updates the vouches after the snapshots of an outlook were removed. If other snapshots have the content of a
    /// file, a new vouch names one of them. If no snapshot has it, the content is recorded as given up. If the store is
    /// full, all vouches stay, and the program asks about them again.
    ///
    /// - Throws: `CorruptionError` if another object has a vouch's name, and `StoreError` unless the store is full.
    public func settle(_ outlook: VouchOutlook) throws {
        do {
            for (snapshot, origin, files) in outlook.moved { try vouch(for: [snapshot: files], origin) }
            for (snapshot, origin, files) in outlook.givenUp {
                for vouch in vouches(files, snapshot, origin) {
                    try put(vouch, at: ObjectNames.givenUp(vouch.id))
                }
            }
        } catch let error as StoreError where error.kind == .full {
            return
        }
        for vouch in outlook.outdated { try delete(vouch.id) }
    }

    // MARK: Given-up content

    /// Takes snapshots back with `takeBack`. Before that, it makes all given-up content vouched content again.
    /// Afterwards, it gives up again the content that no snapshot has. If the program stops in between, vouches protect
    /// content that no snapshot has. The program then asks too often, but never too seldom.
    ///
    /// - Throws: the errors of `takeBack`, `CorruptionError` if the index is damaged, and `StoreError`.
    public func recallingVouches<Value>(_ takeBack: () throws -> Value) throws -> Value {
        let recalled = try givenUp().readable
        for vouch in recalled {
            try put(vouch)
            try store.delete(ObjectNames.givenUp(vouch.id))
        }
        let value = try takeBack()
        if !recalled.isEmpty { try settle(outlook(of: recalled, ifOnly: try snapshots().readable)) }
        return value
    }

    /// Drops the vouches of given-up content if no forgotten snapshot can be taken back any more.
    ///
    /// - Throws: as `canTakeAnyBack` does, and `StoreError`.
    public func dropGivenUpVouches() throws {
        let keys = try store.list(ObjectNames.vouched).map(\.key).filter {
            ObjectNames.givenUp(in: $0) != nil
        }
        guard !keys.isEmpty, try !canTakeAnyBack() else { return }
        for key in keys { try store.delete(key) }
    }
}

/// Searches snapshots for content. It reads a segment only once, even if several snapshots share the segment. For one
/// thread.
private struct ContentSearch {
    /// The fingerprints that have not been found.
    private(set) var wanted: Set<ID128>
    /// The snapshot that has each fingerprint that was found.
    private(set) var found: [ID128: ID128] = [:]
    private let reader: SegmentReader
    /// The segments that have been read, each with the segment before it, because a file may continue from one segment
    /// into the next.
    private var seen: Set<[ID128]> = []
    /// The fingerprint of the last file, as far as it has been read.
    private var content: ContentFingerprint?

    init(_ wanted: Set<ID128>, _ reader: SegmentReader) { (self.wanted, self.reader) = (wanted, reader) }

    /// Searches one snapshot. It does not find a file of which a part lies in a damaged segment.
    mutating func look(into snapshot: CommitRecord) throws {
        guard let segments = try passingDamage({ try reader.root(snapshot.root).segments }) else { return }
        let steps = segments.indices.map { place in
            [place > 0 ? segments[place - 1].blob.id : .zero, segments[place].blob.id]
        }
        content = nil
        for place in segments.indices {
            // A known segment is read again if the next one is unknown, because its last file may continue there.
            let isKnown = seen.contains(steps[place])
            if isKnown, place + 1 == segments.count || seen.contains(steps[place + 1]) {
                content = nil
            } else if try passingDamage({ try read(segments[place], in: snapshot) }) != nil {
                seen.insert(steps[place])
            } else {
                content = nil
            }
        }
        note(in: snapshot)
    }

    private mutating func read(_ segment: ManifestSegmentReference, in snapshot: CommitRecord) throws {
        let decoder = try reader.decoder(segment.blob)
        while let record = try decoder.next() {
            switch record {
            case .entry(let entry):
                note(in: snapshot)
                content = entry.stat.type == .regular ? entry.content.map(ContentFingerprint.init) : nil
            case .continuation(let more): content?.add(more)
            }
        }
    }

    /// Notes that a snapshot has the last file that was read.
    private mutating func note(in snapshot: CommitRecord) {
        guard let last = content.take(), let known = wanted.remove(last.value()) else { return }
        found[known] = snapshot.id
    }

    private func passingDamage<Value>(_ body: () throws -> Value) throws -> Value? {
        do {
            return try body()
        } catch let error where error is CorruptionError || error is MissingBlobError {
            return nil
        }
    }
}
