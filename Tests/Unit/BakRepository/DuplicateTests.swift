// Duplicates: blobs that lie in several packs, because backups ran at the same time. A prune keeps one copy, and reads
// that copy before it deletes the others. So no blob is lost that could be read before.

import BakCore
import BakFormat
import BakStorage
import TestSupport
import Testing

@testable import BakRepository

private let shared = SeededRandom(seed: 21).bytes(30_000)
private let garbage = (0..<3).map { SeededRandom(seed: 30 + UInt64($0)).bytes(150_000) }
private let own = (0..<3).map { SeededRandom(seed: 40 + UInt64($0)).bytes(8_000) }

extension Fixture {
    /// Stores snapshots with backups that do not know of each other.
    fileprivate func together(_ contents: [[[UInt8]]]) throws -> [CommitRecord] {
        let sessions = try contents.map { _ in try session(try open()) }
        return try zip(sessions, contents).map { session, contents in
            let chunks = session.makeWriter(.chunkPack, compression: .auto)
            let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
            for (number, content) in contents.enumerated() {
                try manifest.append(file(Array("file\(number)".utf8), try chunks.store(content)))
            }
            let root = try manifest.storeRoot()
            return try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
        }
    }

    /// Returns the files that can be read, each as snapshot and path. Records an issue if a file differs from its
    /// original.
    fileprivate func readable() throws -> Set<String> {
        let repository = try open()
        let index = try BlobIndex(repository)
        let reader = BlobReader(repository)
        var found: Set<String> = []
        for snapshot in try repository.snapshots().readable {
            guard let manifest = try? ManifestReader(snapshot, repository: repository, index: index) else {
                continue
            }
            while case .entry(let entry)? = try? manifest.next() {
                guard case .extents(let extents) = entry.content, case .chunk(let chunk)? = extents.first
                else { continue }
                guard let bytes = try? reader.copy(of: chunk, kind: .chunkPack, index: index) else {
                    continue
                }
                let known = [shared] + garbage + own
                #expect(known.contains(bytes))
                found.insert("\(snapshot.id)/\(String(decoding: entry.path, as: UTF8.self))")
            }
        }
        return found
    }

    /// Returns the locations of a chunk's copies.
    fileprivate func places(of content: [UInt8]) throws -> [BlobLocation] {
        let repository = try open()
        let id = content.withUnsafeBytes { repository.hasher(for: .chunkPack).id(of: $0) }
        return try BlobIndex(repository).locations(
            of: BlobReference(id: id, length: UInt32(content.count)))
    }
}

/// What a prune does with the packs that have copies.
enum DuplicateCase: CaseIterable {
    case bothRewritten, oneRewritten, oneUnused, threeCopies, threeRewritten, noneGoes

    /// Makes a repository in which a prune has work to do.
    func prepare(isSealed: Bool = false) throws -> Fixture {
        var fixture = Fixture()
        if isSealed { fixture.word = "word" }
        _ = isSealed ? try fixture.createEncrypted() : try fixture.create()
        switch self {
        case .bothRewritten, .threeRewritten:
            let count = self == .bothRewritten ? 2 : 3
            let old = try fixture.together((0..<count).map { [shared, garbage[$0], own[$0]] })
            for number in 0..<count { try fixture.backup([shared, own[number]]) }
            for snapshot in old { try fixture.forget(snapshot) }
        case .oneRewritten:
            let old = try fixture.together([[shared], [shared, garbage[0], own[0]]])
            try fixture.backup([shared, own[0]])
            try fixture.forget(old[1])
        case .oneUnused:
            _ = try fixture.together([[shared], [shared]])
        case .threeCopies:
            _ = try fixture.together([[shared], [shared, own[0]], [shared]])
        case .noneGoes:
            _ = try fixture.together([[shared, own[0]], [shared, own[1]]])
            let old = try fixture.backup([garbage[0]])
            try fixture.forget(old)
        }
        return fixture
    }
}

@Suite struct DuplicateTests {
    private enum Damage: CaseIterable {
        case header, content, cut, gone

        func strike(_ place: BlobLocation, _ store: SimulatedStore) {
            let key = ObjectNames.pack(place.pack).description
            switch self {
            case .header: store[key]?[Int(place.offset) + 17] ^= 4
            case .content: store[key]?[place.endOffset - 100] ^= 4
            case .cut: store[key] = store[key].map { Array($0.prefix(place.endOffset - 1)) }
            case .gone: store[key] = nil
            }
        }
    }

    @Test(arguments: DuplicateCase.allCases, [false, true])
    func whatCouldBeReadStaysReadable(which: DuplicateCase, isSealed: Bool) throws {
        let whole = try which.prepare(isSealed: isSealed)
        let image = whole.store.durableImage
        let places = try whole.places(of: shared)
        #expect(places.count == (which == .threeCopies || which == .threeRewritten ? 3 : 2))
        let everything = try whole.readable()
        var told = 0
        for damage in Damage.allCases {
            // Damage one copy, then all copies but one.
            let victims =
                places.map { [$0] }
                + places.indices.map { kept in
                    places.enumerated().filter { $0.offset != kept }.map(\.element)
                }
            for struck in victims {
                var fixture = whole
                fixture.store = SimulatedStore(image)
                fixture.cache = MemoryCache()
                for place in struck { damage.strike(place, fixture.store) }
                let before = try fixture.readable()
                if damage == .header || damage == .content { #expect(before == everything) }
                for round in 1...3 {
                    let report = try fixture.prune { $0.maxUnused = .bytes(round == 3 ? 0 : 20_000) }
                    if round == 1 { told += min(report.damagedPacks, 1) }
                    #expect(try fixture.readable() == before, "\(damage) of \(struck), prune \(round)")
                }
            }
        }
        // The test does not know which copy a prune prefers. But in some case, the damaged copy is the preferred one.
        #expect(told >= Damage.allCases.count)
    }

    @Test func whereNoCopyIsWholeAllStay() throws {
        for which in DuplicateCase.allCases {
            let fixture = try which.prepare()
            let places = try fixture.places(of: shared)
            for place in places { Damage.content.strike(place, fixture.store) }
            for _ in 1...2 {
                let report = try fixture.prune { $0.maxUnused = .bytes(0) }
                #expect(report.damagedPacks == places.count, "\(which)")
                #expect(Set(try fixture.places(of: shared)) == Set(places), "\(which)")
            }
            // The last copy can be read again, as after a change of cables.
            Damage.content.strike(places.last!, fixture.store)
            let report = try fixture.prune { $0.maxUnused = .bytes(0) }
            #expect(report.damagedPacks < places.count, "\(which)")
            #expect(try fixture.places(of: shared).count == 1)
            let check = try RepositoryCheck(
                try fixture.open(), depth: .readData, workerCount: 1, onEvent: { _ in }
            ).run()
            #expect(check.affectedFiles == 0, "\(which)")
        }
    }

    @Test func aCopyIsReadOnce() throws {
        let fixture = try DuplicateCase.oneUnused.prepare()
        let events = EventLog()
        func reads() throws -> Int {
            fixture.store.clearCalls()
            var options = PruneOptions()
            options.graceSeconds = 0
            let report = try Prune(
                try fixture.open(), options, host: "h", program: "p", onEvent: events.note
            ).run()
            #expect(report.damagedPacks == 0)
            return fixture.store.calls.filter { $0.operation == .read && $0.object.hasPrefix("packs/") }
                .count
        }
        // The prune reads root and segment to mark them. Then it reads root, segment and chunk as copies, in two packs.
        #expect(try reads() == 4)
        #expect(events.steps.contains(.verifying))
        // Now there is one copy of each blob, and the prune only reads the root.
        #expect(try reads() == 1)
        #expect(events.steps.filter { $0 == .verifying }.count == 1)
    }

    @Test func aStopWhileVerifyingDecidesNothing() throws {
        let fixture = try DuplicateCase.oneUnused.prepare()
        let before = fixture.keys("packs")
        let events = EventLog()
        var options = PruneOptions()
        options.graceSeconds = 0
        let report = try Prune(
            try fixture.open(), options, host: "h", program: "p", onEvent: events.note,
            stop: StopSignal { events.steps.contains(.verifying) }
        ).run()
        #expect(report.wasInterrupted && report.deletedPacks == 0)
        #expect(fixture.keys("packs") == before)
        #expect(try fixture.open().collectionRounds().decided == 0)
        #expect(try fixture.prune().deletedPacks == 2)
        #expect(try fixture.readable().count == 2)
    }
}

/// Collects the steps that a prune reports.
private final class EventLog: @unchecked Sendable {
    private let monitor = Monitor()
    private var noted: [PruneStep] = []

    var steps: [PruneStep] { monitor.locked { noted } }

    @Sendable func note(_ event: PruneEvent) {
        if case .step(let step) = event { monitor.locked { noted.append(step) } }
    }
}
