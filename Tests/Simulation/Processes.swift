// The processes that are simulated, over the same code as the program's commands.

import BakCodec
import BakCore
import BakFormat
import BakStorage
import TestSupport

@testable import BakRepository

extension Surroundings {
    func open() throws -> Repository {
        try Repository.open(store, cache: cache, time: time, random: random)
    }
}

extension Process {
    /// Makes a repository.
    static let initialize = Process(name: "init") { surroundings in
        var options = Repository.Options(classes: Contents.classes)
        options.packBytes = 1 << 20
        _ = try Repository.create(
            in: surroundings.store, options: options, cache: surroundings.cache, time: surroundings.time,
            random: ForwardedRandom(base: surroundings.random))
    }

    /// Backs up the files with the given numbers.
    static func backup(
        _ numbers: [Int], onCommit: @escaping @Sendable (CommitRecord) -> Void = { _ in }
    ) -> Process {
        Process(name: "backup") { surroundings in
            let repository = try surroundings.open()
            let session = try BackupSession(repository, host: "host", program: "test")
            let chunks = session.makeWriter(.chunkPack, compression: .off)
            let manifest = ManifestWriter(session.makeWriter(.manifestPack, compression: .auto))
            for number in numbers {
                let chunk = try Contents.bytes(number).withUnsafeBytes {
                    try chunks.store($0, isCompressed: false)
                }
                try manifest.append(Contents.entry(number, chunk))
            }
            let root = try manifest.storeRoot()
            onCommit(
                try session.commit(continuing: false) {
                    Contents.record($0, numbers, hasIndex: $1, root: root, at: repository.time.now())
                })
        }
    }
}

/// A source of randomness as a type.
struct ForwardedRandom: RandomSource {
    let base: any RandomSource
    func fill(_ buffer: UnsafeMutableRawBufferPointer) { base.fill(buffer) }
}
