// Scratch: a temporary folder for one test, and helpers that look at files without BakPosix.

import BakCore
import CLinux
import Glibc
import Testing

/// A temporary folder. It is removed with its content when the test no longer uses it.
final class Scratch {
    let path: String

    /// Makes the folder. With `inMemory`, uses memory if possible, because some tests sync very often.
    init(inMemory: Bool = false) {
        let base = inMemory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(base)/bakposix-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit { removeTree(path) }

    /// The absolute path of an item in the folder.
    subscript(_ name: String) -> String { path + "/" + name }

    /// The bytes of such a path.
    func bytes(_ name: String) -> [UInt8] { Array(self[name].utf8) }

    /// Writes a file.
    func write(_ name: String, _ text: String = "") {
        let file = open(self[name], O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        precondition(file >= 0, "cannot write \(name): errno \(errno)")
        _ = Glibc.write(file, text, text.utf8.count)
        close(file)
    }

    /// Makes a folder.
    func folder(_ name: String, mode: mode_t = 0o755) {
        precondition(mkdir(self[name], mode) == 0, "cannot make \(name): errno \(errno)")
    }

    /// Returns a file's content; nil if there is no file.
    func read(_ name: String) -> String? {
        let file = open(self[name], O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = Glibc.read(file, &bytes, bytes.count)
        return String(decoding: bytes[..<max(count, 0)], as: UTF8.self)
    }

    /// The sorted names in a folder.
    func names(_ name: String = ".") -> [String] {
        guard let stream = opendir(self[name]) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let text = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if text != "." && text != ".." { names.append(text) }
        }
        return names.sorted()
    }

    /// Returns the number of this process's descriptors for items in the folder. Other descriptors do not count,
    /// because other tests run at the same time.
    func openDescriptors() -> Int {
        guard let stream = opendir("/proc/self/fd") else { return -1 }
        defer { closedir(stream) }
        var count = 0
        var target = [CChar](repeating: 0, count: 4096)
        while let entry = readdir(stream) {
            let length = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    readlinkat(dirfd(stream), $0, &target, target.count)
                }
            }
            guard length > 0 else { continue }
            if target[..<length].map({ UInt8(bitPattern: $0) }).starts(with: path.utf8) { count += 1 }
        }
        return count
    }

    /// `lstat`.
    func status(_ name: String) -> stat? {
        var status = stat()
        return lstat(self[name], &status) == 0 ? status : nil
    }
}

/// Removes a folder of any depth.
func removeTree(_ path: String) {
    var pid: pid_t = 0
    let arguments: [UnsafeMutablePointer<CChar>?] = ["rm", "-rf", "--", path].map { strdup($0 as String) }
    defer { arguments.forEach { free($0) } }
    guard posix_spawnp(&pid, "rm", nil, nil, arguments + [nil], environ) == 0 else { return }
    waitpid(pid, nil, 0)
}

/// Calls `body` with the bytes of a text.
func withBytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try Array(text.utf8).withUnsafeBytes(body)
}

/// Runs `body` on this thread with the file permissions of an ordinary user. Ends the test as skipped if that is not
/// possible.
func asOrdinaryUser(_ body: () throws -> Void) throws {
    guard geteuid() == 0 else { return try body() }
    typealias SetID = @convention(c) (UInt32) -> Int32
    guard let symbol = dlsym(nil, "setfsuid") else {
        try Test.cancel("no setfsuid to leave root's permissions with")
    }
    let setfsuid = unsafeBitCast(symbol, to: SetID.self)
    _ = setfsuid(65534)
    defer { _ = setfsuid(0) }
    try body()
}
