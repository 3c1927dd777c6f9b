// Workbench: a temporary folder with a source, a repository and targets, for tests with real files. It deletes the
// folder at its end.

import BakCodec
import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import BakStorage
import Glibc
import Synchronization
import TestBench
import TestSupport

/// A temporary folder for one test.
final class Workbench: Sendable {
    let folder: String
    let repository: Repository
    let store: LocalStore
    private let random: SeededRandom

    /// By default, the clock is the system's, because the system gives the files their times.
    init(
        packBytes: Int = 1 << 20, idAlgorithm: IDAlgorithm = .xxh3, minimum: Int = 4 << 10,
        maximum: Int = 12 << 10, time: any TimeSource = SystemTime(),
        file: String = #fileID, line: Int = #line
    ) throws {
        random = TestSeed.unique(file, line)
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
            in: store, options: options, cache: FolderCache(path: folder + "/cache"), time: time,
            random: random)
    }

    deinit {
        run("chmod -R u+rwx \(folder) 2>/dev/null; rm -rf \(folder)")
    }

    struct Failure: Error { var message: String }

    /// Runs a shell command in the source folder and expects it to succeed. In the command, `noise COUNT` prints COUNT
    /// bytes that do not compress. Each call prints other bytes, from the run's seed.
    func shell(_ command: String) throws {
        let noise = """
            drawn=\(random.next() >> 34)
            noise() {
                drawn=$((drawn + 1))
                perl -e 'binmode STDOUT; srand shift; my $left = shift;
                    for (; $left > 0; $left -= 8192) {
                        print substr pack("n*", map { rand 65536 } 1..4096), 0, $left }' $drawn "$1"
            }

            """
        let status = run("\(noise)cd \(folder)/source && \(command)")
        guard status == 0 else { throw Failure(message: "\(command): \(status)") }
    }

    /// Writes a file in the source folder.
    func write(_ path: String, _ content: [UInt8]) throws {
        try shell("mkdir -p $(dirname \(path))")
        guard let file = fopen("\(folder)/source/\(path)", "w") else {
            throw Failure(message: "\(path): \(errno)")
        }
        defer { fclose(file) }
        guard fwrite(content, 1, content.count, file) == content.count else { throw Failure(message: path) }
    }

    /// Gives recently changed files an older time, and waits for the clock's next tick. Otherwise the next backup would
    /// read these files again, because their times are too new to be trusted.
    func settle() throws {
        try shell("find . -newermt '-1 minute' -exec touch -h -d '-2 minutes' {} +")
        usleep(50_000)
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

    /// Restores the source folder from a snapshot into a new folder. Returns that folder's path.
    func restore(
        _ snapshot: String = "latest", to name: String = "restored", _ events: RestoreLog = RestoreLog(),
        _ change: (inout RestoreRequest) -> Void = { _ in }
    ) throws -> String {
        let target = folder + "/" + name
        var request = RestoreRequest(
            snapshot: try repository.findSnapshot(snapshot),
            subpath: Array((folder + "/source").utf8.dropFirst()))
        request.isPrivileged = true
        change(&request)
        let index = try BlobIndex(repository)
        let restore = Restore(
            repository, index: index, to: try FolderTarget(path: target), onEvent: events.note)
        _ = try restore.run(request)
        return target
    }

    /// Returns every file that differs between two folders in content or attributes.
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

    /// Returns a snapshot's entries at and beneath the source folder.
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

    /// The total size of the objects in the repository.
    var storedBytes: Int {
        get throws {
            var total = 0
            for folder in ["snapshots", "index", "sessions"] + ObjectNames.packFolders {
                total += try store.list(folder).reduce(0) { $0 + $1.size }
            }
            return total
        }
    }

    @discardableResult
    private func run(_ command: String) -> Int32 { system(command) }
}
