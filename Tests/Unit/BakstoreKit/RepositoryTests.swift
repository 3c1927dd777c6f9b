// The library as another program uses it: on real folders, and with no import but the library.

import BakstoreKit
import Foundation
import Testing

/// A temporary folder with a source and a repository. It is removed at the end.
private final class Place: Sendable {
    let path: String
    var source: String { path + "/source" }
    var repository: String { path + "/repository" }
    var target: String { path + "/target" }
    var cache: String { path + "/cache" }

    init() throws {
        path = NSTemporaryDirectory() + "bakstore-kit-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: source, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = "\(source)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
    }

    func create(password: String? = nil) throws -> Repository {
        try Repository.create(at: repository, password: password, cacheFolder: cache)
    }

    func open(password: String? = nil, acceptsOlder: Bool = false) throws -> Repository {
        try Repository.open(
            at: repository, password: password, cacheFolder: cache, acceptsOlder: acceptsOlder)
    }

    /// Returns the files of the restored source, by their paths in it.
    func restored(beneath folder: String) throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            if let data = FileManager.default.contents(atPath: "\(folder)/\(name)") {
                found[name] = [UInt8](data)
            }
        }
        return found
    }
}

/// Returns the kind of the error that a call throws; nil if it throws none.
private func kind(_ body: () throws -> Void) -> BakstoreError.Kind? {
    do {
        try body()
        return nil
    } catch {
        return (error as? BakstoreError)?.kind
    }
}

/// Returns bytes that do not compress. The seed determines them.
private func noise(_ seed: UInt64, _ count: Int) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
    }
}

@Suite struct RepositoryTests {
    @Test func whatIsBackedUpIsListedReadAndRestored() throws {
        let place = try Place()
        let files = [
            "a.jpg": noise(1, 300_000), "sub/b.txt": Array("hello".utf8), "sub/deep/c": noise(2, 10),
        ]
        for (name, bytes) in files { try place.write(name, bytes) }
        let repository = try place.create()
        let result = try repository.backUp([place.source])
        #expect((result.newFiles, result.failedItems, result.wasCancelled) == (3, 0, false))
        let snapshot = try #require(result.snapshot)
        #expect(snapshot.isComplete && snapshot.files == 3 && snapshot.paths == [place.source])

        let again = try place.open()
        #expect(try again.snapshots().map(\.id) == [snapshot.id])
        #expect(try again.snapshot(String(snapshot.id.prefix(8))).id == snapshot.id)
        let top = try again.entries(in: place.source, of: snapshot)
        #expect(top.map(\.name) == ["a.jpg", "sub"] && top.map(\.kind) == [.file, .folder])
        #expect(try again.entries(in: top[1], of: snapshot).map(\.name) == ["b.txt", "deep"])
        for (name, bytes) in files {
            let entry = try #require(try again.entry(at: "\(place.source)/\(name)", of: snapshot))
            #expect(try again.contents(of: entry, of: snapshot) == bytes)
            #expect(entry.size == bytes.count && entry.permissions & 0o400 != 0)
            #expect(abs(entry.modificationTime - snapshot.time) < 3600)
        }
        #expect(try again.entry(at: "\(place.source)/none", of: snapshot) == nil)

        var options = RestoreOptions()
        options.path = place.source
        let restored = try again.restore(snapshot, to: place.target, options: options)
        #expect((restored.files, restored.failedEntries) == (3, 0))
        #expect(try place.restored(beneath: place.target) == files)
    }

    @Test func aSecondBackupStoresOnlyWhatIsNew() throws {
        let place = try Place()
        try place.write("a", noise(3, 500_000))
        let repository = try place.create()
        #expect(try repository.backUp([place.source]).storedBytes >= 500_000)
        try place.write("b", noise(4, 1000))
        let second = try repository.backUp([place.source])
        #expect((second.newFiles, second.unmodifiedFiles) == (1, 1))
        #expect(second.storedBytes < 10_000)
    }

    @Test func onlyThePasswordOpensAnEncryptedRepository() throws {
        let place = try Place()
        try place.write("a", [1, 2, 3])
        let made = try place.create(password: "correct horse")
        #expect(made.isEncrypted)
        _ = try made.backUp([place.source])
        #expect(kind { _ = try place.open() } == .passwordNeeded)
        #expect(kind { _ = try place.open(password: "wrong") } == .wrongPassword)
        #expect(kind { _ = try place.open(password: "") } == .refused)
        #expect(try place.open(password: "correct horse").snapshots().count == 1)
    }

    @Test func mistakesAreNamed() throws {
        let place = try Place()
        #expect(kind { _ = try place.open() } == .noRepository)
        let repository = try place.create()
        #expect(kind { _ = try place.create() } == .alreadyExists)
        #expect(kind { _ = try Repository.create(at: place.repository + "/packs/x") } == .refused)
        #expect(kind { _ = try repository.snapshot() } == .notFound)
        #expect(kind { _ = try repository.backUp([]) } == .refused)
        #expect(kind { _ = try repository.backUp([place.path + "/none"]) } == .source)
        var options = BackupOptions()
        options.exclusions = [""]
        #expect(kind { _ = try repository.backUp([place.source], options: options) } == .refused)
        try place.write("a", [1])
        let snapshot = try #require(try repository.backUp([place.source]).snapshot)
        #expect(kind { _ = try repository.entries(in: "/none", of: snapshot) } == .notFound)
        #expect(kind { _ = try repository.restore(snapshot, to: place.repository + "/x") } == .refused)
        #expect(kind { _ = try repository.restore(snapshot, to: "/proc/none") } == .target)
        var restore = RestoreOptions()
        restore.path = "/none"
        #expect(
            kind { _ = try repository.restore(snapshot, to: place.target, options: restore) } == .notFound)
        #expect(!FileManager.default.fileExists(atPath: place.target))
    }

    @Test func damageIsNamedAndNothingWrongIsRead() throws {
        let place = try Place()
        try place.write("a", noise(5, 100_000))
        let repository = try place.create()
        let snapshot = try #require(try repository.backUp([place.source]).snapshot)
        let packs = place.repository + "/packs"
        for name in try FileManager.default.subpathsOfDirectory(atPath: packs) {
            guard var data = FileManager.default.contents(atPath: "\(packs)/\(name)"), data.count > 50_000
            else { continue }
            data[40_000] ^= 1
            try data.write(to: URL(fileURLWithPath: "\(packs)/\(name)"))
        }
        let entry = try #require(try repository.entry(at: place.source + "/a", of: snapshot))
        #expect(kind { _ = try repository.contents(of: entry, of: snapshot) } == .damaged)
        let issues = Recorder<ItemFailure>()
        let result = try repository.restore(snapshot, to: place.target, onFailure: { issues.add($0) })
        #expect((result.failedEntries, result.damagedEntries) == (1, 1))
        #expect(issues.all.map(\.path) == [place.source + "/a"])
    }

    @Test func aLinkInThePlaceOfAFolderIsRefusedBeforeAnythingChanges() throws {
        let place = try Place()
        try place.write("a", [1])
        let repository = try place.create()
        _ = try repository.backUp([place.source])
        let elsewhere = place.path + "/elsewhere"
        try FileManager.default.moveItem(atPath: place.repository + "/index", toPath: elsewhere)
        try FileManager.default.createSymbolicLink(
            atPath: place.repository + "/index", withDestinationPath: elsewhere)
        #expect(kind { _ = try repository.backUp([place.source]) } == .storage)
        #expect(kind { _ = try repository.prune() } == .storage)
        let snapshots = try repository.snapshots()
        #expect(snapshots.count == 1 && kind { try repository.remove(snapshots) } == .storage)
    }

    @Test func progressIsToldAndEndsWithAll() throws {
        let place = try Place()
        for number in 0..<20 { try place.write("\(number)", noise(UInt64(number), 20_000)) }
        let told = Recorder<RunProgress>()
        let result = try place.create().backUp([place.source], onProgress: { told.add($0) })
        #expect(told.all.last?.files == 20 && told.all.last?.bytes == result.bytes)
        #expect(zip(told.all, told.all.dropFirst()).allSatisfy { $0.bytes <= $1.bytes })
    }

    @Test func aCancelledBackupIsPartialAndTheNextOneEndsIt() throws {
        let place = try Place()
        for number in 0..<50 { try place.write("\(number)", noise(UInt64(number), 5_000)) }
        let repository = try place.create()
        let cancellation = Cancellation()
        cancellation.cancel()
        let first = try repository.backUp([place.source], cancellation: cancellation)
        #expect(first.wasCancelled && first.snapshot?.isComplete != true)
        let second = try repository.backUp([place.source])
        #expect(second.snapshot?.isComplete == true && second.snapshot?.files == 50)
    }

    @Test func rulesKeepWhatTheyNameAndSpaceComesBack() throws {
        let place = try Place()
        let repository = try place.create()
        for number in 0..<4 {
            try place.write("only", noise(UInt64(number), 400_000))
            _ = try repository.backUp([place.source])
        }
        var rules = RetentionRules()
        rules.last = 1
        #expect(try repository.removeSnapshots(outside: rules, isDryRun: true).count == 3)
        #expect(try repository.snapshots().count == 4)
        let removed = try repository.removeSnapshots(outside: rules)
        #expect(removed.count == 3)
        let pruned = try repository.prune()
        #expect(pruned.freedBytes > 1_000_000 && !pruned.isPartial)
        let left = try repository.snapshot()
        #expect(try repository.restore(left, to: place.target).failedEntries == 0)
        try repository.remove([left])
        #expect(try repository.snapshots().isEmpty)
    }

    @Test func anOldCopyInThePlaceOfTheRepositoryIsNoticed() throws {
        let place = try Place()
        try place.write("a", [1])
        let repository = try place.create()
        _ = try repository.backUp([place.source])
        let copy = place.path + "/copy"
        try FileManager.default.copyItem(atPath: place.repository, toPath: copy)
        try place.write("b", [2])
        _ = try repository.backUp([place.source])
        try FileManager.default.removeItem(atPath: place.repository)
        try FileManager.default.moveItem(atPath: copy, toPath: place.repository)
        #expect(kind { _ = try place.open() } == .olderThanSeen)
        #expect(try place.open(acceptsOlder: true).snapshots().count == 1)
        #expect(try place.open().snapshots().count == 1)
    }

    @Test func filesThatAreGoneStayInAnArchive() throws {
        let place = try Place()
        for number in 0..<4 { try place.write("\(number)", noise(UInt64(number), 100)) }
        let repository = try place.create()
        var options = BackupOptions()
        options.keepsDeletedFiles = true
        _ = try repository.backUp([place.source], options: options)
        try FileManager.default.removeItem(atPath: place.source + "/0")
        let snapshot = try #require(try repository.backUp([place.source]).snapshot)
        #expect(snapshot.isArchive)
        let entries = try repository.entries(in: place.source, of: snapshot)
        #expect(entries.map(\.isGone) == [true, false, false, false])
    }
}

/// Collects the arguments of a callback, from any thread.
private final class Recorder<Element: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var elements: [Element] = []

    var all: [Element] { lock.withLock { elements } }
    func add(_ element: Element) { lock.withLock { elements.append(element) } }
}
