// Bench: a temporary folder, and the programs that the build put beside the tests.

import Glibc

@testable import bakstore_benchmark

/// A temporary folder for one test. It removes itself.
final class Bench: Sendable {
    let folder: String

    init() throws {
        var template = Array("/tmp/bakstore-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FileFailure("make a folder in", "/tmp") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = try? Command("rm", "-rf", folder).run(log: "/dev/null") }

    /// Returns the path of a program of this package.
    static func program(_ name: String) throws -> String {
        let tests = try Files.realPath("/proc/self/exe")
        return tests[..<tests.lastIndex(of: "/")!] + "/" + name
    }

    /// Makes a library in the folder. Returns its path and the hash of its content.
    func library(_ name: String, _ library: LibraryDescription) throws -> (path: String, hash: String) {
        let path = folder + "/" + name
        let plan = library.plan
        var writer = LibraryWriter(folder: path, seed: plan.seed)
        for file in plan.files { try writer.apply(.write(file)) }
        return (path, writer.hash)
    }

    /// Returns the paths, sizes and times of the files beneath a folder, sorted, with a line for each file, and a
    /// checksum of all contents.
    func listing(_ path: String) throws -> String {
        let words =
            "cd \(path) && find . -type f -printf '%p %s %T@\\n' | LC_ALL=C sort && cat $(find . -type f | LC_ALL=C sort) | cksum"
        let log = folder + "/listing"
        _ = try Command("sh", "-c", words).run(log: log, keepsOutput: true)
        return String(decoding: Files.contents(log) ?? [], as: UTF8.self)
    }
}
