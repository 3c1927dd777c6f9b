// Backs up folders into a repository, which it makes if there is none, and restores the snapshot to another folder:
//
//     back-up-and-restore REPOSITORY TARGET FOLDER...
//
// The variable PASSWORD may hold a password.

import BakstoreKit
import Glibc

let arguments = CommandLine.arguments.dropFirst()
guard arguments.count >= 3 else {
    print("usage: back-up-and-restore REPOSITORY TARGET FOLDER...")
    exit(2)
}
let (place, target) = (arguments[1], arguments[2])
let password = getenv("PASSWORD").map { String(cString: $0) }

func openOrCreate() throws(BakstoreError) -> Repository {
    do {
        return try Repository.open(at: place, password: password)
    } catch  where error.kind == .noRepository {
        return try Repository.create(at: place, password: password)
    }
}

do {
    let repository = try openOrCreate()
    let result = try repository.backUp(
        Array(arguments.dropFirst(2)),
        onProgress: { print("\($0.files) files, \($0.bytes) bytes") },
        onFailure: { print("left out \($0.path): \($0.reason)") })
    print("\(result.newFiles) new files, \(result.storedBytes) bytes stored")

    guard let snapshot = result.snapshot else { exit(1) }
    let restored = try repository.restore(snapshot, to: target)
    print("\(restored.files) files are back in \(target)")

    // Keeps one snapshot a day for a month and one a month for a year. The prune frees the space of the others.
    var rules = RetentionRules()
    (rules.daily, rules.monthly) = (31, 12)
    let removed = try repository.removeSnapshots(outside: rules)
    let pruned = try repository.prune()
    print("\(removed.count) snapshots removed, \(pruned.freedBytes) bytes freed")
} catch {
    print("error: \(error)")
    exit(1)
}
