// Lists the JPEG pictures in the latest snapshot of a repository, recognised by their first bytes:
//
//     find-pictures REPOSITORY

import BakstoreKit
import Glibc

guard CommandLine.arguments.count == 2 else {
    print("usage: find-pictures REPOSITORY")
    exit(2)
}

/// Visits all files in a folder and in the folders beneath it.
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
        // The first bytes identify a JPEG, so the rest is not read.
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
