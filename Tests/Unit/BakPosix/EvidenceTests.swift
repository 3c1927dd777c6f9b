// The reliability and the cost of inode numbers, times, attributes and open files on this machine.

import BakCore
import BakStorage
import CLinux
import Glibc
import Synchronization
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct EvidenceTests {
        let scratch = Scratch()

        /// FAT, exFAT, FUSE, NFS, SMB 1 and 2, 9P, Ceph, AFS, overlayfs, NTFS, HFS+, ISO 9660, SquashFS, EROFS,
        /// eCryptfs.
        @Test(arguments: [
            UInt32(0x4d44), 0x2011_bab0, 0x6573_5546, 0x6969, 0xff53_4d42, 0xfe53_4d42, 0x517b, 0x0102_1997,
            0x00c3_6400,
            0x5346_414f, 0x794c_7630, 0x7366_746e, 0x482b, 0x9660, 0x7371_7368, 0xe0f5_e1e2, 0xf15f, 1,
        ])
        func aKindThatIsNotKnownToNumberFilesHasNoIdentity(type: UInt32) {
            let evidence = MediumEvidence(fileSystemType: type)
            #expect(evidence == .none && evidence.granularityNanoseconds == 2_000_000_000)
        }

        @Test(arguments: [UInt32(0xef53), 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010])
        func disksOfThisMachineHaveIdentity(type: UInt32) {
            #expect(
                MediumEvidence(fileSystemType: type)
                    == MediumEvidence(hasIdentity: true, granularityNanoseconds: 10_000_000))
        }

        @Test func sizesInProcSayNothing() throws {
            let tree = try FileTree(roots: [Array("/proc/self/status".utf8)])
            let path = tree.roots[0]
            let file = try tree.open(path)
            defer { file.close() }
            let stat = try file.stat()
            #expect(stat.size == 0 && tree.evidence(path, stat).hasNominalSizes)
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            #expect(try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) } > 0)
        }

        @Test func aDeviceIsAskedOnceUnlessItCannotBe() {
            let table = DeviceTable()
            var asked = 0
            func ask(_ type: UInt32?) -> MediumEvidence {
                table.evidence(of: 7) {
                    asked += 1
                    return type
                }
            }
            #expect(ask(nil) == .none)
            #expect(ask(0xef53).hasIdentity && ask(0x4d44).hasIdentity)
            #expect(asked == 2)
        }

        // MARK: Open files

        @Test(arguments: [(1024, 64, 64), (64, 64, 10), (64, 3, 3), (32, 64, 2), (20, 64, 1), (0, 64, 1)])
        func shares(limit: Int, most: Int, share: Int) {
            #expect(OpenFileBudget.share(most, limit: limit) == share)
        }

        @Test func whatRunsOutOfNumbersWaitsForOne() throws {
            var refusals = [EMFILE, ENFILE, EINTR]
            let number = try OpenFileBudget.open {
                guard let code = refusals.popLast() else { return 5 }
                errno = code
                return -1
            }
            #expect(number == 5 && refusals.isEmpty)
            #expect(throws: Errno(code: EACCES)) {
                try OpenFileBudget.open {
                    errno = EACCES
                    return -1
                }
            }
        }

        @Test func nothingWaitsForANumberOnceItIsToStop() throws {
            let calls = Atomic(0)
            #expect(throws: Errno(code: EMFILE)) {
                try OpenFileBudget.open(stop: StopSignal { calls.load(ordering: .relaxed) == 3 }) {
                    calls.add(1, ordering: .relaxed)
                    errno = EMFILE
                    return -1
                }
            }
            #expect(calls.load(ordering: .relaxed) == 3 && Errno(code: EMFILE).message.contains("ulimit -n"))
            #expect(
                OpenFileBudget.suffices(repositories: 1) && !OpenFileBudget.suffices(repositories: .max / 64))
        }

        @Test func aLackOfNumbersIsNoFaultOfTheEntry() {
            #expect(SourceError(Errno(code: EMFILE), "open").endsRun)
            #expect(SourceError(Errno(code: ENFILE), "list").endsRun)
            #expect(!SourceError(Errno(code: EACCES), "open").endsRun)
        }

        // MARK: Attributes

        @Test func attributesThatCanBeReadAreKeptBesideThoseThatCannot() throws {
            scratch.write("f", "x")
            let file = try Descriptor.open(scratch["f"], O_RDONLY)
            let holder = AttributeHolder(file.number, isPathOnly: false)
            do throws(Errno) {
                try holder.set(Array("user.b".utf8), [2])
                try holder.set(Array("user.a".utf8), [1])
            } catch {
                print("skipped: \(scratch[""]) takes no attributes: \(error.message)")
                return
            }
            let (found, failure) = holder.all()
            #expect(found.map(\.name) == [Array("user.a".utf8), Array("user.b".utf8)] && failure == nil)
            try file.close()
            // Every call on a closed file fails.
            let (none, closed) = holder.all()
            #expect(none.isEmpty && closed == .system(Errno(code: EBADF), attribute: nil))
        }
    }
}
