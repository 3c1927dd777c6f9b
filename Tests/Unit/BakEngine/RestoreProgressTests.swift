// The counters of a restore while it runs. They count every byte of every file once, whether it is written, copied or
// kept.

import BakCore
import BakEngine
import BakFormat
import BakPosix
import BakRepository
import Testing

@Suite struct RestoreProgressTests {
    @Test func everyByteCountsOnceHoweverItComes() throws {
        let bench = try Workbench()
        try bench.shell(
            "noise 300000 > long && printf short > inline && : > empty"
                + " && truncate -s 5000000 hole && printf end >> hole && ln long link")
        let snapshot = try #require(try bench.backup().snapshot)
        let index = try BlobIndex(bench.repository)
        let target = try FolderTarget(path: bench.folder + "/out")
        for (overwrite, isDryRun) in [
            (RestoreRequest.Overwrite.always, true), (.always, false), (.never, false),
        ] {
            var request = RestoreRequest(snapshot: snapshot)
            (request.overwrite, request.isDryRun) = (overwrite, isDryRun)
            let report = try Restore(bench.repository, index: index, to: target).run(request)
            #expect(report.processedBytes == snapshot.counters.bytes, "\(overwrite) \(isDryRun)")
        }
        #expect(snapshot.counters.bytes == 5_600_008)
    }

    @Test func sizesBeyondCountingDoNoHarm() throws {
        let bench = try HostileManifest()
        let size = UInt64(Int64.max)
        let snapshot = try bench.commit(
            ["a", "b", "c"].map { bench.file($0, size: size, [.hole(size)]) })
        var request = RestoreRequest(snapshot: snapshot)
        request.isDryRun = true
        let index = try BlobIndex(bench.bench.repository)
        let report = try Restore(bench.bench.repository, index: index, to: nil).run(request)
        #expect(report.files == 3)
    }
}
