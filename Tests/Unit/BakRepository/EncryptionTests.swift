// Encrypted repositories. A password opens them. If any object in the store is changed or moved, it is refused by its
// name.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import Synchronization
import TestSupport
import Testing

@testable import BakRepository

/// A low cost, so that tests are fast.
let cheap = PasswordCost(memoryKiB: 64, passes: 1, lanes: 1)

private func password(_ text: String) -> SecretBytes { SecretBytes(copying: Array(text.utf8)) }

private func note(_ name: String) -> KeySlotNote {
    KeySlotNote(name: name, host: "host", program: "test", created: Timestamp(seconds: 1))
}

extension Fixture {
    func createEncrypted(_ method: SealMethod = .aes256GCM, _ word: String = "word") throws -> Repository {
        try create {
            $0.encryption = Repository.Encryption(
                method: method, password: password(word), cost: cheap, note: note("first"))
        }
    }

    func open(_ word: String) throws -> Repository {
        try Repository.open(store, cache: MemoryCache(), time: time, random: random) { password(word) }
    }
}

@Suite struct EncryptionTests {
    private static let methods: [SealMethod] = [.aes256GCM, .chaCha20Poly1305]

    @Test(arguments: methods)
    func whatIsStoredComesBack(_ method: SealMethod) throws {
        let fixture = Fixture()
        let created = try fixture.createEncrypted(method)
        #expect(created.config.encryption == method && created.config.idAlgorithm == .sha256)
        let commits = try smallBackup(created)
        #expect(try Repository.identity(of: fixture.store).method == method)
        let opened = try fixture.open("word")
        #expect(opened.config == created.config)
        #expect(try contents(commits[1], opened) == smallContents)
        #expect(try opened.snapshots().readable.map(\.id).sorted() == commits.map(\.id).sorted())
        for (key, bytes) in fixture.store.durableImage {
            #expect(bytes[9] == method.rawValue, "\(key)")
            // The plain form of the objects would contain these texts.
            for marker in ["file0", "blob", "host", "test", "first"] {
                #expect(!bytes.contains(Array(marker.utf8)), "\(key) contains \(marker)")
            }
            let content = [UInt8](repeating: 1, count: 32)
            #expect(!bytes.contains(content), "\(key)")
        }
    }

    /// Memory fails between naming and sealing: a pack's first reading computes ids, and later ones rely on the seals.
    @Test func onlyTheFirstReadingComputesTheIdsOfSealedBlobs() throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted()
        let session = try fixture.session(repository)
        let chunks = session.makeWriter(.chunkPack, compression: .off)
        let content = [UInt8](repeating: 7, count: 5000)
        let wrong = BlobReference(id: ID128(high: 1, low: 2), length: 5000)
        try content.withUnsafeBytes { bytes in
            _ = try chunks.store(wrong) { Compressed(codec: .raw, stored: bytes) }
        }
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
        try manifest.append(file(Array("f".utf8), wrong))
        let root = try manifest.storeRoot()
        _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }

        func isClean() throws -> Bool {
            try RepositoryCheck(repository, depth: .readData, workerCount: 1, onEvent: { _ in }).run().isClean
        }
        #expect(try !isClean())
        #expect(try !isClean(), "a pack that was found damaged is not trusted")
        let packs = try BlobIndex(repository).packs.map(\.id)
        var log = ReadLog()
        for pack in packs { log.note(pack, at: fixture.time.now()) }
        log.write(for: repository)
        #expect(try isClean(), "the seal proves what was sealed")
        let keys = packs.map { ObjectNames.pack($0).description }
        let key = try #require(keys.first { fixture.store[$0]!.count > 5000 })
        fixture.store[key]![2000] ^= 1
        #expect(try !isClean())
    }

    @Test func passwords() throws {
        let fixture = Fixture()
        _ = try smallBackup(fixture.createEncrypted())
        let location = fixture.store.location
        #expect(throws: RepositoryError.wrongPassword(location: location, unreadableSlots: 0)) {
            try fixture.open("other")
        }
        #expect(throws: RepositoryError.passwordNeeded(location: location)) { try fixture.open() }
        #expect(throws: RepositoryError.alreadyExists(location: location)) { try fixture.createEncrypted() }
        #expect(fixture.store.keys.filter { $0.hasPrefix("keys/") }.count == 1)
        // A repository without encryption asks for no password.
        let plain = Fixture(seed: 8)
        _ = try plain.create()
        _ = try Repository.open(plain.store, cache: plain.cache, time: plain.time, random: plain.random) {
            Issue.record("asked for a password")
            return password("")
        }
    }

    @Test func slotsComeAndGo() throws {
        let fixture = Fixture()
        let first = try fixture.createEncrypted()
        try smallBackup(first)
        let firstSlot = try #require(first.keySlots().first?.id)
        #expect(throws: RepositoryError.lastKeySlot) { try first.removeKeySlot(firstSlot) }
        let added = try first.addKeySlot(password: password("second"), cost: cheap, note: note("second"))
        let second = try fixture.open("second")
        #expect(try second.keySlots().map(\.note?.name).sorted { $0! < $1! } == ["first", "second"])
        #expect(try second.keySlots().filter(\.isCurrent).map(\.id) == [added])
        #expect(try second.removeKeySlot(firstSlot))
        // The slot is gone, as if another program had removed it just before.
        #expect(try !second.removeKeySlot(firstSlot))
        #expect(throws: RepositoryError.wrongPassword(location: fixture.store.location, unreadableSlots: 0)) {
            try fixture.open("word")
        }
        #expect(throws: RepositoryError.lastKeySlot) { try second.removeKeySlot(added) }
        #expect(try fixture.open("second").snapshots().readable.count == 2)
        // Slots of another repository, and files that are not slots, do not count.
        let strange = Fixture(seed: 9)
        _ = try strange.createEncrypted(.aes256GCM, "second")
        for (key, bytes) in strange.store.durableImage where key.hasPrefix("keys/") {
            _ = try bytes.withUnsafeBytes { try fixture.store.put(ObjectKey(key), $0) }
        }
        #expect(try fixture.open("second").keySlots().count == 1)
        #expect(throws: RepositoryError.lastKeySlot) { try second.removeKeySlot(added) }
    }

    /// A removal stops at any of its steps. Then either both passwords open the repository, or only the other one. A
    /// later removal of the same slot completes it.
    @Test func stoppedRemovalsLoseNothing() throws {
        var steps = 0
        for step in 1... {
            let fixture = Fixture()
            func add(_ word: String, by repository: Repository) throws -> ID128 {
                try repository.addKeySlot(password: password(word), cost: cheap, note: note(word))
            }
            let first = try fixture.createEncrypted()
            let own = try #require(first.keySlots().first?.id)
            let other = try add("second", by: first)
            fixture.store.setFault(.crash(afterMutation: step))
            let isDone = (try? first.removeKeySlot(own)) != nil && !fixture.store.hasFaultStruck
            fixture.store.setFault(nil)
            let second = try fixture.open("second")
            let isThere = try second.keySlots().contains { $0.id == own }
            #expect(isThere == ((try? fixture.open("word")) != nil))
            if isThere {
                #expect(try second.keySlots().filter(\.isBeingRemoved).map(\.id) == [own])
                // A slot that is being removed does not count as one that is left.
                let refusal = RepositoryError.keySlotsBeingRemoved([own])
                #expect(throws: refusal) { try second.removeKeySlot(other) }
                #expect(try second.keySlots().count == 2)
            }
            let third = try add("third", by: second)
            #expect(try second.removeKeySlot(other))
            #expect(try fixture.open("third").removeKeySlot(own) == isThere)
            #expect(fixture.store.keys.filter { $0.hasPrefix("keys/") } == ["keys/\(third)"])
            steps = step
            if isDone { break }
        }
        // Three steps: put the mark, delete the slot, delete the mark. The last run has no stop.
        #expect(steps == 4)
    }

    @Test func marksOfRemovalsAreNamedBySlot() {
        let (slot, removal) = (ID128(high: 1, low: 2), ID128(high: 3, low: 4))
        let key = ObjectNames.keyRemoval(slot, removal)
        #expect(ObjectKey.isValid(key.description) && ObjectNames.keyRemoval(in: key) == slot)
        #expect(ObjectNames.id(in: key) == nil)
        let others = ["", ".remove-", ".remove-1", ".\(removal)", "-remove-\(removal)"].map { "\(slot)\($0)" }
        for name in others + ["remove-\(removal)"] {
            #expect(ObjectNames.keyRemoval(in: ObjectKey("keys/\(name)")) == nil)
        }
    }

    /// Makes a slot as a server can forge it after seeing real slots. Its form is valid, and no password opens it.
    private func forgeSlot(_ cost: PasswordCost, in fixture: Fixture, like model: ID128) throws -> ID128 {
        let id = ID128(from: fixture.random)
        var bytes = try #require(fixture.store.durableImage[ObjectNames.keySlot(model).description])
        var writer = ByteWriter(reservingCapacity: 16)
        writer.id(id)
        bytes.replaceSubrange(16..<32, with: writer.bytes)
        for (place, value) in [(84, cost.memoryKiB), (88, cost.passes), (92, cost.lanes)] {
            withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(place..<place + 4, with: $0) }
        }
        bytes.removeLast(16)
        writer = ByteWriter(reservingCapacity: 16)
        writer.id(bytes.withUnsafeBytes(Checksum.xxh3_128))
        _ = try (bytes + writer.bytes).withUnsafeBytes { try fixture.store.put(ObjectNames.keySlot(id), $0) }
        return id
    }

    @Test func forgedSlotsCountForNothing() throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted()
        let own = try #require(repository.keySlots().first?.id)
        let forged = try forgeSlot(cheap, in: fixture, like: own)
        let opened = try fixture.open("word")
        #expect(try opened.keySlots().map(\.id) == [own, forged])
        #expect(throws: RepositoryError.lastKeySlot) { try opened.removeKeySlot(own) }
        #expect(try fixture.open("word").keySlots().contains { $0.id == own })
        // Forged slots can be removed. They do not prevent the removal of real slots.
        let second = try opened.addKeySlot(password: password("second"), cost: cheap, note: note("second"))
        try opened.removeKeySlot(own)
        try fixture.open("second").removeKeySlot(forged)
        #expect(try fixture.open("second").keySlots().map(\.id) == [second])
    }

    @Test func cheapSlotsAreTriedFirstAndAKnownOneBeforeThem() throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted()
        let own = try #require(repository.keySlots().first?.id)
        var ids = [own]
        for passes in [2, 3, 16] as [UInt32] {
            let cost = PasswordCost(memoryKiB: PasswordCost.mostMemoryKiB, passes: passes, lanes: 4)
            ids.append(try forgeSlot(cost, in: fixture, like: own))
        }
        let slots = try KeySlots(fixture.store, repository: repository.config.id)
        #expect(slots.order(known: nil).map(\.id) == ids)
        #expect(slots.order(known: ids[2]).map(\.id) == [ids[2], ids[0], ids[1], ids[3]])
        #expect(slots.order(known: .zero).map(\.id) == ids)
    }

    @Test func moreSlotsThanMayBeMadeOpenAllTheSame() throws {
        let fixture = Fixture()
        let own = try #require(fixture.createEncrypted().keySlots().first?.id)
        for _ in 0..<40 { _ = try forgeSlot(cheap, in: fixture, like: own) }
        let opened = try fixture.open("word")
        #expect(throws: RepositoryError.self) {
            try opened.addKeySlot(password: password("second"), cost: cheap, note: note("second"))
        }
        #expect(try opened.keySlots().count == 41)
        let wrong = #expect(throws: RepositoryError.self) { try fixture.open("wrong") }
        #expect(wrong == .wrongPassword(location: SimulatedStore().location, unreadableSlots: 0))
        // If there are more slots than the program reads, it cannot say that the password is wrong.
        let cache = MemoryCache()
        OpenedSlot.remember(own, opened.config.id, in: cache)
        for _ in 0..<1100 { _ = try forgeSlot(cheap, in: fixture, like: own) }
        let many = #expect(throws: RepositoryError.self) { try fixture.open("wrong") }
        #expect(many == .tooManyKeySlots(location: SimulatedStore().location))
        _ = try Repository.open(fixture.store, cache: cache, time: fixture.time, random: fixture.random) {
            password("word")
        }
    }

    @Test func slotsAreTriedAsFarAsTheWorkAllows() throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted()
        let own = try #require(repository.keySlots().first?.id)
        let dear = PasswordCost(
            memoryKiB: PasswordCost.mostMemoryKiB, passes: PasswordCost.mostPasses, lanes: 4)
        for _ in 0..<31 { _ = try forgeSlot(dear, in: fixture, like: own) }
        func tried() throws -> (slots: [KeySlot], areAll: Bool) {
            try KeySlots(fixture.store, repository: repository.config.id).tried(known: nil)
        }
        #expect(try tried().slots.count == 32 && tried().areAll)
        for _ in 0..<9 { _ = try forgeSlot(dear, in: fixture, like: own) }
        #expect(try tried().slots.count == 32 && !tried().areAll)
        #expect(try tried().slots.first?.id == own)
    }

    @Test func slotsThatAreAddedAtOnceKeepTheLimit() throws {
        let fixture = Fixture()
        let own = try #require(fixture.createEncrypted().keySlots().first?.id)
        for _ in 0..<30 { _ = try forgeSlot(cheap, in: fixture, like: own) }
        let other = try fixture.open("word")
        let store = InterruptedStore(fixture.store, beforeMutation: 1) {
            _ = try other.addKeySlot(password: password("other"), cost: cheap, note: note("other"))
        }
        let repository = try Repository.open(
            store, cache: MemoryCache(), time: fixture.time, random: SeededRandom(seed: 8)
        ) { password("word") }
        #expect(throws: RepositoryError.self) {
            try repository.addKeySlot(password: password("second"), cost: cheap, note: note("second"))
        }
        #expect(store.hasStruck)
        #expect(try fixture.open("other").keySlots().count == 32)
        #expect(throws: RepositoryError.self) { try fixture.open("second") }
    }

    @Test func theSlotThatOpenedIsRemembered() throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted()
        let own = try #require(repository.keySlots().first?.id)
        let other = try repository.addKeySlot(password: password("second"), cost: cheap, note: note("second"))
        let cache = MemoryCache()
        func opened(_ word: String) throws -> ID128? {
            _ = try Repository.open(fixture.store, cache: cache, time: fixture.time, random: fixture.random) {
                password(word)
            }
            return OpenedSlot.last(repository.config.id, in: cache)
        }
        #expect(OpenedSlot.last(repository.config.id, in: cache) == nil)
        #expect(try opened("word") == own)
        #expect(try opened("second") == other)
        #expect(OpenedSlot.last(.zero, in: cache) == nil)
    }

    /// Uses all objects in every way, as a check with the key and a list of the keys do. Returns the first fault.
    private func findFault(_ store: SimulatedStore, _ random: SeededRandom) -> String? {
        do {
            let fixture = Fixture()
            let repository = try Repository.open(
                store, cache: MemoryCache(), time: fixture.time, random: random
            ) { password("word") }
            let slots = try repository.keySlots()
            if let fault = slots.compactMap(\.fault).first { return "\(fault)" }
            let found = Mutex<[String]>([])
            let report = try RepositoryCheck(
                repository, depth: .readData, workerCount: 1,
                onEvent: { event in found.withLock { $0.append("\(event)") } }
            ).run()
            if !report.isClean { return found.withLock { $0.joined(separator: "\n") } }
            for key in store.keys where key.hasPrefix("sessions/") {
                _ = try repository.sessionRecord(ID128(key.dropFirst(9))!)
            }
            return nil
        } catch { return "\(error)" }
    }

    @Test(arguments: methods)
    func everyChangedByteIsRefused(_ method: SealMethod) throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted(method)
        try tinyBackup(repository)
        let image = fixture.store.durableImage
        #expect(findFault(SimulatedStore(image), fixture.random) == nil)
        let random = TestSeed.random("changed bytes \(method)")
        var tried = 0
        for (key, bytes) in image {
            for place in bytes.indices {
                var changed = image
                changed[key]![place] ^= 1 << UInt8(random.number(0...7))
                let fault = findFault(SimulatedStore(changed), random)
                #expect(fault?.contains(key) == true, "\(key) byte \(place): \(fault ?? "nothing")")
                tried += 1
            }
        }
        #expect(tried == image.values.reduce(0) { $0 + $1.count } && tried > 2200)
    }

    /// An object is replaced by another object of this repository, or of another repository with the same password.
    @Test func everyMovedObjectIsRefused() throws {
        let fixture = Fixture()
        try smallBackup(fixture.createEncrypted())
        let image = fixture.store.durableImage
        let other = Fixture(seed: 10)
        try smallBackup(other.createEncrypted())
        var tried = 0
        for (key, _) in image {
            for (strangeKey, strange) in image.merging(
                other.store.durableImage, uniquingKeysWith: { a, _ in a })
            {
                // If the configuration is another repository's, this is another repository and not a changed one.
                guard key != strangeKey, key != "config" || !strangeKey.hasPrefix("config") else { continue }
                var changed = image
                changed[key] = strange
                let fault = findFault(SimulatedStore(changed), fixture.random)
                #expect(fault?.contains(key) == true, "\(strangeKey) as \(key): \(fault ?? "nothing")")
                tried += 1
            }
        }
        #expect(tried > 150)
    }

    /// The salt in a pack's header is damaged. The program uses the salt at the pack's end.
    @Test func aDamagedHeaderLosesNoBlob() throws {
        let fixture = Fixture()
        let commits = try smallBackup(fixture.createEncrypted())
        var image = fixture.store.durableImage
        for key in image.keys where key.hasPrefix("packs/") { image[key]![40] ^= 1 }
        let repository = try Repository.open(
            SimulatedStore(image), cache: MemoryCache(), time: fixture.time, random: fixture.random
        ) { password("word") }
        #expect(try contents(commits[1], repository) == smallContents)
    }

    /// A check without the key finds every changed byte, and every object at another object's place.
    @Test func everyChangedByteIsFoundWithoutTheKey() throws {
        let fixture = Fixture()
        try tinyBackup(fixture.createEncrypted())
        let image = fixture.store.durableImage
        func check(_ image: [String: [UInt8]]) -> (report: KeylessReport?, found: [String]) {
            var found: [String] = []
            let check = KeylessCheck(
                SimulatedStore(image), readsData: true,
                onEvent: { if case .damage(let object, _) = $0 { found.append(object) } })
            do {
                return (try check.run(), found)
            } catch { return (nil, found + ["\(error)"]) }
        }
        let whole = check(image)
        #expect(whole.found.isEmpty && whole.report?.packs == 2 && whole.report?.objects == image.count - 2)
        for (key, bytes) in image {
            for place in bytes.indices {
                var changed = image
                changed[key]![place] ^= 1 << UInt8(place % 8)
                #expect(check(changed).found.contains { $0.contains(key) }, "\(key) byte \(place)")
            }
        }
        for (key, strange) in [("sessions/", "snapshots/"), ("index/", "keys/"), ("packs/", "index/")] {
            var changed = image
            let name = try #require(image.keys.first { $0.hasPrefix(key) })
            changed[name] = image.first { $0.key.hasPrefix(strange) }?.value
            #expect(check(changed).found.contains { $0.contains(name) })
        }
    }

    /// Padding does not count as waste. So a prune that allows no waste ends: it leaves packs alone in which everything
    /// is needed, even packs that it has written itself.
    @Test func pruningEndsDespitePadding() throws {
        let fixture = Fixture()
        let commits = try smallBackup(fixture.createEncrypted())
        func prune() throws -> PruneReport {
            var options = PruneOptions()
            options.maxUnused = .bytes(0)
            return try Prune(fixture.open("word"), options, host: "host", program: "test").run()
        }
        let first = try prune()
        #expect(first.rewrittenPacks == 0 && first.unusedBytes == 0)
        try fixture.open("word").forget([commits[1].id], host: "host", program: "test")
        let second = try prune()
        #expect(second.deletedPacks > 0)
        let third = try prune()
        #expect(third.rewrittenPacks == 0 && third.deletedPacks == 0)
        #expect(try contents(commits[0], fixture.open("word")) == Array(smallContents.prefix(2)))
    }

    /// If neither the footer nor the index lists the blobs of a pack, a search finds them.
    @Test func salvageFindsBlobsWithoutFooterAndIndex() throws {
        let fixture = Fixture()
        let repository = try fixture.createEncrypted()
        try smallBackup(repository)
        let index = try BlobIndex(repository)
        let pack = try #require(index.packs.first { $0.kind == .chunkPack })
        let (kind, blobs) = try repository.packFooter(pack.id)
        let found = try #require(try PackSalvage(repository).search(pack.id, size: Int(pack.size)))
        #expect(found.kind == kind && found.blobs == blobs && !blobs.isEmpty)
    }
}

/// Stores one small file, so that the repository has few bytes.
private func tinyBackup(_ repository: Repository) throws {
    let session = try BackupSession(repository, host: "host", program: "test")
    let chunks = session.makeWriter(.chunkPack, compression: .off)
    let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
    try manifest.append(file(Array("file".utf8), try chunks.store([UInt8](repeating: 7, count: 100))))
    let root = try manifest.storeRoot()
    _ = try session.commit(continuing: false) { record($0, hasIndex: $1, root: root) }
}

extension [UInt8] {
    fileprivate func contains(_ part: [UInt8]) -> Bool {
        guard count >= part.count else { return false }
        return (0...(count - part.count)).contains { start in
            self[start] == part[0] && self[start..<start + part.count].elementsEqual(part)
        }
    }
}
