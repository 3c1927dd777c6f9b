// Workbench: a temporary folder with a source, a repository and targets, for tests that go through real
// files. It removes itself.

import BakCodec
import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import Glibc
import Synchronization

/// A temporary folder for one test.
final class Workbench: Sendable {
    let folder: String
    let repository: Repository
    let store: LocalStore

    init(
        packBytes: Int = 1 << 20, idAlgorithm: IDAlgorithm = .xxh3, minimum: Int = 4 << 10,
        maximum: Int = 12 << 10
    ) throws {
        var template = Array("/tmp/bakstore-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(message: "mkdtemp: errno \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        mkdir(folder + "/source", 0o755)
        store = try LocalStore.create(path: folder + "/repository")
        var options = Repository.Options(
            classes: defaultChunkClasses.map { sizes in
                var sizes = sizes
                (sizes.minimum, sizes.average, sizes.maximum) = (minimum, (minimum + maximum) / 2, maximum)
                return sizes
            })
        options.packBytes = packBytes
        options.idAlgorithm = idAlgorithm
        repository = try Repository.create(
            in: store, options: options, cache: FolderCache(path: folder + "/cache"), time: SystemTime(),
            random: SystemRandom())
    }

    deinit {
        run("chmod -R u+rwx \(folder) 2>/dev/null; rm -rf \(folder)")
    }

    struct Failure: Error { var message: String }

    /// Runs a shell command in the source folder and expects it to succeed.
    func shell(_ command: String) throws {
        let status = run("cd \(folder)/source && \(command)")
        guard status == 0 else { throw Failure(message: "\(command): \(status)") }
    }

    /// Backs up the source folder.
    @discardableResult
    func backup(
        _ events: EventLog = EventLog(), _ change: (inout BackupRequest) -> Void = { _ in }
    ) throws -> BackupReport {
        let tree = try FileTree(roots: [Array((folder + "/source").utf8)])
        var request = BackupRequest(
            paths: tree.roots, host: "test", device: "test", user: "test", program: "test")
        change(&request)
        return try Backup(repository, of: tree, onEvent: events.note).run(request)
    }

    /// Restores the source folder's content of a snapshot into a new folder; returns that folder's path.
    func restore(
        _ snapshot: String = "latest", to name: String = "restored", _ events: RestoreLog = RestoreLog(),
        _ change: (inout RestoreRequest) -> Void = { _ in }
    ) throws -> String {
        let target = folder + "/" + name
        var request = RestoreRequest(
            snapshot: try repository.findSnapshot(snapshot),
            subpath: Array((folder + "/source").utf8.dropFirst()))
        change(&request)
        let index = try BlobIndex(repository)
        let restore = Restore(
            repository, index: index, to: try FolderTarget(path: target), onEvent: events.note)
        _ = try restore.run(request)
        return target
    }

    /// Every file of a folder tree that differs from another tree, in content or attributes.
    func differences(_ one: String, _ other: String, comparingTimes: Bool = true) throws -> [String] {
        let (left, right) = (try Listing(one, comparingTimes), try Listing(other, comparingTimes))
        var differences: [String] = []
        for path in Set(left.items.keys).union(right.items.keys).sorted() {
            if left.items[path] != right.items[path] {
                differences.append("\(path): \(left.items[path] ?? "-") / \(right.items[path] ?? "-")")
            }
        }
        return differences
    }

    /// A snapshot's entries at and beneath the source folder.
    func entries(of snapshot: CommitRecord) throws -> [ManifestEntry] {
        let source = Array((folder + "/source").utf8.dropFirst())
        let reader = try ManifestReader(snapshot, repository: repository, index: try BlobIndex(repository))
        var entries: [ManifestEntry] = []
        while let record = try reader.next() {
            if case .entry(let entry) = record, PathOrder.isAtOrBeneath(entry.path, source) {
                entries.append(entry)
            }
        }
        return entries
    }

    /// Bytes of all objects in the repository.
    var storedBytes: Int {
        get throws {
            var total = 0
            for folder in ["snapshots", "index", "sessions"] + Layout.packFolders {
                total += try store.list(folder).reduce(0) { $0 + $1.size }
            }
            return total
        }
    }

    @discardableResult
    private func run(_ command: String) -> Int32 { system(command) }
}

/// What a folder tree holds, in comparable words.
struct Listing {
    var items: [String: String] = [:]

    init(_ folder: String, _ comparingTimes: Bool) throws {
        let tree = try FileTree(roots: [Array(folder.utf8)])
        let root = tree.roots[0]
        var inodes: [UInt64: [String]] = [:]
        try tree.walk { event in
            guard case .entry(let path, let stat) = event, path.count > root.count,
                PathOrder.isAtOrBeneath(path, root)
            else { return .proceed }
            let name = String(decoding: path.dropFirst(root.count + 1), as: UTF8.self)
            var words = "\(stat.type) \(String(stat.mode, radix: 8)) \(stat.uid):\(stat.gid) \(stat.size)"
            words += " links \(stat.linkCount) device \(stat.representedDevice)"
            if comparingTimes { words += " \(stat.mtime)" }
            var attributes = FileAttributes()
            if stat.type == .regular {
                let file = try tree.open(path)
                defer { file.close() }
                attributes = try file.attributes()
                words += " content \(try Self.checksum(of: file, size: stat.size))"
            } else {
                attributes = try tree.attributes(path, stat)
            }
            words += " \(attributes.linkTarget) \(attributes.extendedAttributes)"
            items[name] = words
            if stat.linkCount > 1, stat.type == .regular { inodes[stat.inode, default: []].append(name) }
            return .proceed
        }
        for names in inodes.values { for name in names { items[name]! += " linked \(names.sorted())" } }
    }

    private static func checksum(of file: any SourceFile, size: UInt64) throws -> ID128 {
        var stream = ChecksumStream()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        var offset: UInt64 = 0
        while case let count = try file.read(into: buffer, at: offset), count > 0 {
            stream.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += UInt64(count)
        }
        return stream.finish()
    }
}

/// Collects a backup's events from its threads.
final class EventLog: Sendable {
    private let events = Mutex<[BackupEvent]>([])

    @Sendable func note(_ event: BackupEvent) { events.withLock { $0.append(event) } }

    var all: [BackupEvent] { events.withLock { $0 } }

    /// Failures as "path: reason".
    var failures: [String] {
        all.compactMap {
            if case .failed(let path, let reason) = $0 {
                return "\(String(decoding: path, as: UTF8.self)): \(reason)"
            }
            return nil
        }
    }
}

/// Collects a restore's events from its threads.
final class RestoreLog: Sendable {
    private let events = Mutex<[RestoreEvent]>([])

    @Sendable func note(_ event: RestoreEvent) { events.withLock { $0.append(event) } }

    /// Failures as "path: reason".
    var failures: [String] {
        events.withLock { $0 }.compactMap {
            if case .failed(let path, let reason) = $0 {
                return "\(String(decoding: path, as: UTF8.self)): \(reason)"
            }
            return nil
        }
    }
}
