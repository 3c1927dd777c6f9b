// Lists the pictures in the latest snapshot of a repository, with the first bytes of each:
//
//     find-pictures REPOSITORY

import BakstoreKit
import Glibc

guard CommandLine.arguments.count == 2 else {
    print("usage: find-pictures REPOSITORY")
    exit(2)
}

/// Goes through a folder and those beneath it, and stops when `visit` has seen all files.
func walk(
    _ entries: [Entry], _ repository: Repository, _ snapshot: Snapshot, _ visit: (Entry) throws -> Void
) throws {
    for entry in entries {
        if entry.kind == .folder {
            try walk(try repository.entries(in: entry, of: snapshot), repository, snapshot, visit)
        } else if entry.kind == .file {
            try visit(entry)
        }
    }
}

do {
    let repository = try Repository.open(at: CommandLine.arguments[1])
    let snapshot = try repository.snapshot("latest")
    try walk(try repository.entries(of: snapshot), repository, snapshot) { file in
        var first: [UInt8] = []
        // Enough to tell what it is; the rest need not be read.
        struct Enough: Error {}
        do {
            try repository.read(file, of: snapshot) { bytes in
                first = Array(bytes.prefix(3))
                throw Enough()
            }
        } catch is Enough {}
        if first == [0xff, 0xd8, 0xff] { print("\(file.path)  \(file.size) bytes") }
    }
} catch {
    print("error: \(error)")
    exit(1)
}
