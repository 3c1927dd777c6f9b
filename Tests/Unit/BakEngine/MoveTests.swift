import BakEngine
import BakPosix
import Glibc
import TestSupport
import Testing

/// A backup does not read moved files again, unless there is a sign that they may have changed.
@Suite struct MoveTests {
    /// Returns a bench whose source has folders with files of all kinds of size, settled and backed up.
    private static func benchWithAlbums() throws -> Workbench {
        let bench = try Workbench(minimum: 64, maximum: 192)
        try bench.shell(
            """
            mkdir -p albums/2024/may albums/2025 other
            for i in $(seq 40); do noise $((i * 300)) > albums/2024/photo$i; done
            for i in $(seq 30); do echo small $i > albums/2024/may/note$i; done
            noise 600000 > albums/2024/may/many-chunks
            ln -s photo1 albums/2024/link && ln albums/2024/photo2 albums/2024/may/second-name
            for i in $(seq 20); do noise 900 > albums/2025/photo$i; done
            """)
        try bench.settle()
        try bench.backup()
        return bench
    }

    private static func expectEverythingComesBack(_ bench: Workbench) throws {
        let restored = try bench.restore()
        #expect(try bench.differences(bench.folder + "/source", restored).isEmpty)
    }

    @Test(arguments: [
        "mv albums/2024 other/renamed", "mv albums pictures", "mv albums/2024 albums/2023",
        "mv albums/2024/may other && mv albums/2024 albums/a && mv albums/2025 albums/2024",
        "mv albums/2024 t && mv albums/2025 albums/2024 && mv t albums/2025",
    ])
    func movedFoldersAreNotRead(command: String) throws {
        let bench = try Self.benchWithAlbums()
        try bench.shell(command)
        let report = try bench.backup()
        #expect(report.counters.readBytes == 0)
        let moved = command.contains("2025") || command.contains("pictures") ? 92 : 72
        #expect(report.movedFiles == moved)
        #expect(report.counters.unmodifiedFiles == 92 && report.counters.files == 92)
        #expect(report.counters.newFiles == 0 && report.counters.changedFiles == 0)
        try Self.expectEverythingComesBack(bench)
        // The next backup finds the files at their new paths.
        try bench.settle()
        let next = try bench.backup()
        #expect(next.movedFiles == 0 && next.counters.readBytes == 0 && next.counters.unmodifiedFiles == 92)
    }

    @Test func changesInAMovedFolderAreRead() throws {
        let bench = try Self.benchWithAlbums()
        // One file was changed in place and kept its time, as some tools do; one is new; one has another mode.
        try bench.shell(
            """
            mv albums/2024 albums/new && cd albums/new && cp -p photo3 ../../reference
            printf X | dd of=photo3 bs=1 conv=notrunc 2>/dev/null && touch -r ../../reference photo3
            echo fresh > fresh && chmod 600 photo4 && rm ../../reference
            """)
        let report = try bench.backup()
        #expect(report.counters.readBytes == 900 + 1200 + 6)
        #expect(report.counters.newFiles == 3 && report.movedFiles == 70)
        try Self.expectEverythingComesBack(bench)
    }

    /// A moved file has a new ctime, and its inode number may have been given to another file. So no flag makes the
    /// backup trust it.
    @Test(arguments: [(false, false), (true, false), (true, true)])
    func aFileMovedByItselfIsRead(ignoresCtime: Bool, ignoresInode: Bool) throws {
        let bench = try Self.benchWithAlbums()
        try bench.shell("for i in $(seq 5 15); do mv albums/2024/photo$i other/picture$i; done")
        let report = try bench.backup {
            ($0.ignoresCtime, $0.ignoresInode) = (ignoresCtime, ignoresInode)
        }
        #expect(report.movedFiles == 0 && report.counters.newFiles == 11)
        #expect(report.counters.readBytes == (5...15).reduce(0) { $0 + UInt64($1) * 300 })
        #expect(report.counters.addedBlobs < 11, "parts of the manifest, and no content")
        try Self.expectEverythingComesBack(bench)
    }

    /// A backup recognises a moved folder by its inode number and its ctime. If it must ignore one of them, it reads
    /// the folder.
    @Test(arguments: [false, true])
    func aMovedFolderIsReadWithFlags(ignoresInode: Bool) throws {
        let bench = try Self.benchWithAlbums()
        try bench.shell("mv albums/2024 albums/new")
        let report = try bench.backup { ($0.ignoresCtime, $0.ignoresInode) = (true, ignoresInode) }
        #expect(report.movedFiles == 0 && report.counters.newFiles == 72)
        try Self.expectEverythingComesBack(bench)
    }

    /// The files' ctime is equal to their mtime, as programs leave them. Only their folder has a new ctime, from the
    /// move.
    @Test func aMovedFolderOfFilesAsTheyWereWrittenIsNotRead() throws {
        let bench = try Workbench(time: LaterTime(than: SystemTime()))
        try bench.shell("mkdir -p a/b && for i in $(seq 20); do echo $i > a/$i; echo $i > a/b/$i; done")
        try bench.backup()
        try bench.shell("mv a moved && echo more > moved/b/more")
        let report = try bench.backup()
        #expect(report.movedFiles == 40 && report.counters.readBytes == 5)
        try Self.expectEverythingComesBack(bench)
    }

    @Test func withoutAParentEverythingIsRead() throws {
        let bench = try Self.benchWithAlbums()
        try bench.shell("mv albums/2024 albums/new")
        let report = try bench.backup { $0.parent = .none }
        #expect(report.movedFiles == 0 && report.counters.newFiles == 92)
        try Self.expectEverythingComesBack(bench)
    }

    /// Copied files have new inode numbers, so they do not count as moved, even if everything else is equal.
    @Test func copiesAreNotTakenForMoves() throws {
        let bench = try Self.benchWithAlbums()
        try bench.shell("cp -a albums/2024 albums/copy")
        let report = try bench.backup { $0.ignoresCtime = true }
        #expect(report.movedFiles == 0 && report.counters.newFiles == 72)
        try Self.expectEverythingComesBack(bench)
    }
}
