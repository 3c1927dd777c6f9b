// Golden repositories. The program must read every released format version for ever, and today's writer must still
// write today's bytes. Tests/Golden is append-only: a version folder that this file does not list is an error.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import Glibc
import TestSupport
import Testing

@testable import BakRepository

@Suite struct GoldenTests {
    private static let testsFolder = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    private static let golden = testsFolder + "/Golden"
    private static let versions = [
        "v1", "v1-aes256-gcm", "v1-archive", "v1-chacha20-poly1305", "v1-joined", "v1-missing",
    ]

    /// The password of the encrypted golden repositories.
    private static func password() -> SecretBytes { SecretBytes(copying: Array("golden password".utf8)) }

    /// Returns the encryption of a golden repository, from the name of its folder.
    private static func encryption(_ version: String) -> Repository.Encryption? {
        guard !["v1", "v1-archive", "v1-joined", "v1-missing"].contains(version),
            let method = SealMethod(version.dropFirst(3))
        else { return nil }
        return Repository.Encryption(
            method: method, password: password(), cost: PasswordCost(memoryKiB: 1024, passes: 2, lanes: 2),
            note: KeySlotNote(name: "golden", host: "host", program: "test", created: Timestamp(seconds: 3)))
    }

    /// The names in a folder, sorted.
    private func names(_ folder: String) throws -> [String] {
        let directory = try #require(opendir(folder))
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    private func isFolder(_ path: String) -> Bool {
        guard let directory = opendir(path) else { return false }
        closedir(directory)
        return true
    }

    private func bytes(of path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    /// Returns every object beneath a folder.
    private func image(_ folder: String, _ prefix: String = "") throws -> [String: [UInt8]] {
        var image: [String: [UInt8]] = [:]
        for name in try names(folder) {
            let path = folder + "/" + name
            if isFolder(path) {
                try image.merge(self.image(path, prefix + name + "/")) { left, _ in left }
            } else {
                image[prefix + name] = try bytes(of: path)
            }
        }
        return image
    }

    /// Returns one entry of each kind and form, in order. In an archive some of them are gone.
    private func entries(_ chunk: BlobReference, _ version: String) -> [ManifestEntry] {
        func entry(_ path: String, _ type: FileType, _ change: (inout ManifestEntry) -> Void = { _ in })
            -> ManifestEntry
        {
            var entry = ManifestEntry(
                path: Array(path.utf8), stat: FileStat(type: type), attributes: FileAttributes(), content: nil
            )
            entry.stat.mode = 0o755
            (entry.stat.uid, entry.stat.gid, entry.stat.device) = (1000, 100, 2049)
            entry.stat.mtime = Timestamp(seconds: -1, nanoseconds: 999_999_999)
            entry.stat.ctime = Timestamp(seconds: 1_700_000_000)
            entry.stat.inode = 42
            entry.attributes.userName = Array("ann".utf8)
            entry.attributes.groupName = Array("users".utf8)
            change(&entry)
            return entry
        }
        var entries = [
            entry("a", .directory) {
                $0.attributes.extendedAttributes = [
                    ExtendedAttribute(name: Array("user.x".utf8), value: [0, 255])
                ]
            },
            entry("a/block", .blockDevice) { $0.stat.representedDevice = 0x0801 },
            entry("a/character", .characterDevice) { $0.stat.representedDevice = 0x0103 },
            entry("a/chunk", .regular) {
                $0.stat.size = UInt64(chunk.length) + 4096
                $0.stat.linkCount = 2
                $0.content = .extents([.chunk(chunk), .hole(4096)])
                $0.changedWhileRead = true
            },
            entry("a/inline", .regular) {
                $0.stat.size = 2
                $0.content = .inline([1, 2])
                $0.isUnsettled = true
            },
            entry("a/link", .symlink) { $0.attributes.linkTarget = Array("../b".utf8) },
            entry("a/pipe", .fifo) { $0.stat.device = 7 },
            entry("a/socket", .socket) { $0.stat.uid = 0 },
        ]
        if version == "v1-archive" || version == "v1-joined" {
            entries[0].goneSince = Timestamp(seconds: -1, nanoseconds: 1)
            entries[3].goneSince = Timestamp(seconds: 1_800_000_000)
            entries[4].goneSince = Timestamp(seconds: 1_800_000_000, nanoseconds: 999_999_999)
        }
        if version == "v1-missing" {
            entries[0].missing = .attributes
            entries[3].missing = [.content, .attributes]
            entries[4].missing = .content
        }
        return entries
    }

    /// Sets the fields of an archive's record that an ordinary snapshot does not have.
    private func addArchiveFields(_ record: inout CommitRecord, _ version: String) {
        guard version == "v1-archive" || version == "v1-joined" else { return }
        if version == "v1-joined" { record.joined = [ID128(high: 5, low: 6), ID128(high: 7, low: 8)] }
        record.paths = [Array("a".utf8)]
        record.isArchive = true
        record.counters.goneFiles = 2
        record.counters.newlyGoneFiles = 300
        record.doubtfulPaths = [0]
        record.confirmed = [ID128(high: 1, low: 2), ID128(high: 3, low: 4)]
    }

    /// Writes the golden content with today's writer. No codec compresses it, so every byte is fixed.
    private func written(_ version: String) throws -> SimulatedStore {
        let fixture = Fixture(seed: 1)
        let repository = try fixture.create { $0.encryption = Self.encryption(version) }
        let session = try fixture.session(repository)
        let chunk = try session.makeWriter(.chunkPack, compression: .off).store(Array("golden".utf8))
        let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .off))
        for entry in entries(chunk, version) { try manifest.append(entry) }
        let root = try manifest.storeRoot()
        _ = try session.commit(continuing: false) {
            var record = record($0, hasIndex: $1, root: root)
            addArchiveFields(&record, version)
            return record
        }
        return fixture.store
    }

    @Test func everyVersionIsListed() throws { #expect(try names(Self.golden) == Self.versions) }

    @Test(arguments: versions)
    func todaysWriterWritesTheSameBytes(_ version: String) throws {
        let store = try written(version)
        let image = store.durableImage
        if getenv("BAKSTORE_PRINT_GOLDEN") != nil {
            for (key, bytes) in image { print("golden \(version)/\(key) \(Hex.encode(bytes))") }
        }
        #expect(try self.image(Self.golden + "/" + version) == image)
    }

    @Test(arguments: versions)
    func everyVersionIsRead(_ version: String) throws {
        var fixture = Fixture()
        fixture.store = SimulatedStore(try image(Self.golden + "/" + version))
        fixture.store.setMode(.readOnly)
        let repository = try Repository.open(
            fixture.store, cache: fixture.cache, time: fixture.time, random: fixture.random,
            password: Self.password)
        #expect(repository.config.encryption == Self.encryption(version)?.method ?? .none)
        let snapshot = try repository.findSnapshot("latest")
        let index = try BlobIndex(repository)
        let reader = try ManifestReader(snapshot, repository: repository, index: index)
        var decoded: [ManifestEntry] = []
        while case .entry(let entry)? = try reader.next() { decoded.append(entry) }
        guard case .extents(let extents) = decoded[3].content, case .chunk(let chunk) = extents[0] else {
            Issue.record("no chunk")
            return
        }
        #expect(decoded == entries(chunk, version))
        var expected = snapshot
        addArchiveFields(&expected, version)
        #expect(snapshot == expected)
        let content = try BlobReader(repository).copy(of: chunk, kind: .chunkPack, index: index)
        #expect(content == Array("golden".utf8))
    }

    @Test func theManualShowsTheGoldenSession() throws {
        let image = try image(Self.golden + "/v1")
        let session = try #require(image.first { $0.key.hasPrefix("sessions/") }?.value)
        let text = String(decoding: try bytes(of: Self.testsFolder + "/../docs/format.md"), as: UTF8.self)
        for start in stride(from: 0, to: session.count, by: 16) {
            let row = session[start..<min(start + 16, session.count)].map { Hex.encode([$0]) }
            #expect(text.contains(row.joined(separator: " ")), "bytes \(start) on")
        }
    }
}
