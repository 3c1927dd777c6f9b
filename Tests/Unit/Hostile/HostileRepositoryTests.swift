import BakCore
import Glibc
import HostileRepositories
import TestSupport
import Testing

/// Repositories with correct checksums and hostile content. Every operation of the engine on such a repository ends,
/// with or without an error. `tools/fuzz` is the long form.
@Suite struct HostileRepositoryTests {
    /// An empty input gives a sound repository. Only the input makes a repository hostile.
    @Test func nothingHostileIsSound() {
        #expect(HostileRun(HostileRepository([])).isSound)
    }

    @Test func everythingEnds() {
        let random = TestSeed.random("hostile repositories")
        for number in 0..<(isLong ? 20_000 : 150) {
            HostileRun(HostileRepository(random.bytes(64 << (number % 6)))).everything()
        }
    }

    /// Writes repositories as folders, so that `tools/fuzz` can run the program on them.
    @Test(.enabled(if: getenv("BAKSTORE_HOSTILE_FOLDER") != nil, "BAKSTORE_HOSTILE_FOLDER names no folder"))
    func writeFolders() throws {
        let folder = String(cString: getenv("BAKSTORE_HOSTILE_FOLDER"))
        let count = getenv("BAKSTORE_HOSTILE_COUNT").flatMap { Int(String(cString: $0)) } ?? 100
        let random = TestSeed.random("hostile folders")
        for number in 0..<count {
            let seed = random.next()
            let repository = HostileRepository(SeededRandom(seed: seed).bytes(64 << (number % 6)))
            for (name, bytes) in repository.objects {
                let path = "\(folder)/\(seed)/\(name)"
                for (place, byte) in path.utf8.enumerated() where byte == UInt8(ascii: "/") && place > 0 {
                    mkdir(String(path.utf8.prefix(place))!, 0o755)
                }
                let file = try #require(fopen(path, "w"))
                fwrite(bytes, 1, bytes.count, file)
                fclose(file)
            }
        }
    }
}
