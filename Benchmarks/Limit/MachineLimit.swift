// MachineLimit: what this machine can do at best with the same files: threads that only read and write them, as many as
// bakstore uses. They take the files in turns. Nothing is named, checked or compressed.
//
// Always holds: every byte is read and written, and the file system is synced before the time stops. A run makes a
// folder of its own and removes it afterwards, unless it is to be kept.

import BakCore
import BakPosix
import CLinux
import Glibc
import Synchronization

/// A way to read and write files.
enum LimitWay: String, CaseIterable, Sendable {
    /// Writes of 256 KiB, and the write-back of each file starts as it ends.
    case early
    /// Writes of 256 KiB; only the sync at the end writes back.
    case late
    /// The same, with the file's room reserved before.
    case reserved
    /// Writes of 256 KiB past the page cache.
    case direct
    /// Writes of 5 MiB, and the write-back of each file starts as it ends.
    case large
    /// Files of 32 MiB that hold all bytes, one by each thread at a time, with early write-back.
    case packed
    /// Files that are written at once and get the same mode, owner and time.
    case files
    /// Only reads.
    case read

    /// The size of a write in bytes.
    var pieceBytes: Int { self == .large ? 5 << 20 : 256 << 10 }

    /// True if some file systems lack it.
    var mayBeMissing: Bool { self == .direct || self == .reserved }

    /// The ways that an operation on a library has; the best of them is its limit. Empty if no bytes are moved.
    static func ways(_ operation: Operation, _ kind: LibraryPlan.Kind) -> [LimitWay] {
        switch (operation, kind) {
        case (.firstBackup, .media): [.early, .late, .packed]
        case (.firstBackup, .small): [.packed]
        case (.restore, .media): [.early, .late, .reserved, .direct, .large]
        case (.restore, .small): [.files]
        case (.reread, _), (.check, _): [.read]
        case (.unchanged, _), (.list, _), (.week, _): []
        }
    }
}

/// The files of a folder, and the way to copy them.
struct MachineLimit: Sendable {
    let source: String
    let threadCount: Int
    private let files: [(path: String, status: stat)]
    private let folders: [String]

    /// How many bytes of memory to warm before a copy.
    var memoryToWarm: Int {
        MachineMemory.bytes(forLibraryOf: files.reduce(0) { $0 + Int($1.status.st_size) })
    }

    /// Lists the files beneath a folder.
    init(source: String, threadCount: Int = Machine.processorCount) throws {
        self.source = source
        self.threadCount = threadCount
        var found: (files: [(String, stat)], folders: [String]) = ([], [])
        var left = [""]
        while let folder = left.popLast() {
            guard let listing = opendir(source + folder) else { throw FileFailure("list", source + folder) }
            defer { closedir(listing) }
            while let entry = readdir(listing) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name == "." || name == ".." { continue }
                let path = folder + "/" + name
                var status = stat()
                guard lstat(source + path, &status) == 0 else { throw FileFailure("look up", source + path) }
                if status.st_mode & S_IFMT == S_IFDIR {
                    left.append(path)
                    found.folders.append(path)
                } else if status.st_mode & S_IFMT == S_IFREG {
                    found.files.append((path, status))
                }
            }
        }
        (files, folders) = (found.files.sorted { $0.0 < $1.0 }, found.folders.sorted())
    }

    /// Copies the files in one way to a new folder, and returns the seconds that it took until all was durable.
    func seconds(_ way: LimitWay, target: String, keeps: Bool = false) throws -> Double {
        try Files.makeFolder(target)
        defer { if !keeps { Files.removeForGood(target) } }
        return try Stopwatch.seconds {
            if way != .packed, way != .read {
                for folder in folders { try Files.makeFolder(target + folder) }
            }
            try eachFile { worker, file in try worker.copy(file, way, from: source, to: target) }
            let folder = open(target, O_RDONLY | O_DIRECTORY)
            guard folder >= 0, syncfs(folder) == 0 else { throw FileFailure("sync", target) }
            close(folder)
        }
    }

    /// Hands the files to the threads, in order.
    private func eachFile(
        _ body: @escaping @Sendable (LimitWorker, (path: String, status: stat)) throws -> Void
    ) throws {
        let shared = Shared()
        let threads = (0..<threadCount).map { number in
            Thread {
                do {
                    let worker = LimitWorker(number: number)
                    while true {
                        let place = shared.next.wrappingAdd(1, ordering: .relaxed).oldValue
                        guard place < files.count else { break }
                        try body(worker, files[place])
                    }
                    try worker.endPack()
                } catch {
                    shared.failure.withLock { $0 = $0 ?? error }
                }
            }
        }
        for thread in threads { thread.join() }
        if let failure = shared.failure.withLock({ $0 }) { throw failure }
    }

    private final class Shared: Sendable {
        let next = Atomic<Int>(0)
        let failure = Mutex<(any Error)?>(nil)
    }
}

/// The buffer and the open pack of one thread.
final class LimitWorker {
    private let number: Int
    // Aligned, as O_DIRECT needs it.
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 5 << 20, alignment: 4096)
    private var pack: (file: Int32, bytes: Int)?
    private var packCount = 0
    private static let packBytes = 32 << 20

    init(number: Int) { self.number = number }

    deinit { buffer.deallocate() }

    func copy(
        _ file: (path: String, status: stat), _ way: LimitWay, from source: String, to target: String
    ) throws {
        let from = open(source + file.path, O_RDONLY | O_CLOEXEC)
        guard from >= 0 else { throw FileFailure("open", source + file.path) }
        defer { close(from) }
        let length = Int(file.status.st_size)
        switch way {
        case .read: try pump(from, to: nil, length, way)
        case .packed:
            let pack = try openPack(target)
            try pump(from, to: pack, length, way)
            self.pack!.bytes += length
            if self.pack!.bytes >= Self.packBytes { try endPack() }
        default:
            let flags =
                O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
                | (way == .direct ? Int32(linux_O_DIRECT) : 0)
            let to = open(target + file.path, flags, file.status.st_mode & 0o777)
            guard to >= 0 else { throw FileFailure("create", target + file.path) }
            defer { close(to) }
            if way == .reserved, length > 0, fallocate(to, 0, 0, length) != 0 {
                throw FileFailure("reserve room for", target + file.path)
            }
            try pump(from, to: to, length, way)
            if way == .files { try setMetadata(to, file.status, target + file.path) }
            if way == .early || way == .large {
                sync_file_range(to, 0, 0, UInt32(linux_SYNC_FILE_RANGE_WRITE))
            }
        }
    }

    /// Starts the write-back of the open pack, and closes it.
    func endPack() throws {
        guard let open = pack else { return }
        pack = nil
        sync_file_range(open.file, 0, 0, UInt32(linux_SYNC_FILE_RANGE_WRITE))
        close(open.file)
    }

    private func openPack(_ target: String) throws -> Int32 {
        if let pack { return pack.file }
        packCount += 1
        let path = "\(target)/pack-\(number)-\(packCount)"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw FileFailure("create", path) }
        pack = (file, 0)
        return file
    }

    /// Reads a file from its beginning and writes what it has read.
    private func pump(_ from: Int32, to: Int32?, _ length: Int, _ way: LimitWay) throws {
        var done = 0
        while done < length {
            let count = Glibc.read(from, buffer.baseAddress!, min(way.pieceBytes, length - done))
            guard count > 0 else { throw FileFailure("read", "a file that has changed") }
            done += count
            guard let to else { continue }
            // The file's end need not fill a block, which O_DIRECT demands.
            if way == .direct, count % 4096 != 0 { _ = fcntl(to, F_SETFL, 0) }
            guard Glibc.write(to, buffer.baseAddress!, count) == count else {
                throw FileFailure("write", "a copy")
            }
        }
    }

    private func setMetadata(_ file: Int32, _ status: stat, _ path: String) throws {
        var made = stat()
        let times = [timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2), status.st_mtim]
        guard fstat(file, &made) == 0, futimens(file, times) == 0,
            made.st_mode == status.st_mode || fchmod(file, status.st_mode & 0o7777) == 0,
            made.st_uid == status.st_uid && made.st_gid == status.st_gid
                || fchown(file, status.st_uid, status.st_gid) == 0
        else { throw FileFailure("set the metadata of", path) }
    }
}
