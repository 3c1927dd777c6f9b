import BakEngine
import BakPosix
import BakRepository
import Testing

@Suite struct AssetGroupTests {
    private func key(_ name: String) -> String? {
        AssetName(name.utf8).map { String(decoding: $0.key, as: UTF8.self) }
    }

    @Test(arguments: [
        [
            "IMG_1234.HEIC", "IMG_1234.MOV", "IMG_1234.AAE", "IMG_E1234.HEIC", "IMG_O1234.AAE",
            "img_1234.heic.xmp",
        ],
        ["DSC0001.NEF", "DSC0001.JPG", "DSC0001.xmp", "DSC0001.NEF.xmp", "dsc0001.jpg.pp3"],
        [
            "PXL_2021.MP.jpg", "PXL_2021.MP", "PXL_2021.jpg", "PXL_2021.MP~2.jpg", "PXL_2021~2.jpg",
            "PXL_2021_COVER.jpg",
        ],
        [
            "a.jpg", "a.jpg.json", "a-edited.jpg", "a.jpg.supplemental-metadata.json",
            "a.jpg.supplemental-me.json",
        ],
        ["a(2).jpg", "a.jpg(2).json", "a.jpg.supplemental-metadata(2).json", "a(2).jpg.json"],
    ])
    func belongTogether(names: [String]) {
        #expect(Set(names.map(key)).count == 1, "\(names.map(key))")
        #expect(key(names[0]) != nil)
    }

    @Test func whatDoesNotBelongTogether() {
        #expect(key("IMG_1234.HEIC") != key("IMG_1235.HEIC"))
        #expect(key("a.jpg") != key("a(2).jpg"))
        #expect(key("IMG_Easter.jpg") == "img_easter")
        #expect(key("trip.one.jpg") != key("trip.two.jpg"))
        for name in [
            "notes.txt", "package.json", "archive.tar.json", ".jpg", "jpg", "", "photo.", "a.longending",
        ] {
            #expect(key(name) == nil, "\(name)")
        }
        #expect(AssetName([0xff, 0x2e, 0x6a, 0x70, 0x67])?.key == [0xff])
    }

    @Test func groupsAreFoundByFolder() {
        let paths = [
            "a/IMG_1.HEIC", "a/IMG_1.MOV", "a/IMG_2.HEIC", "a/sub/IMG_1.JPG", "a/sub/IMG_1.DNG", "a/x.xmp",
            "a/x.aae", "b/IMG_2.MOV", "b/only.jpg", "top.jpg", "top.xmp",
        ]
        var grouper = AssetGrouper()
        var groups = paths.flatMap { grouper.add(Array($0.utf8)) }
        groups += grouper.finish()
        let found = groups.map {
            "\($0.kind): " + $0.paths.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        }
        #expect(
            Set(found) == [
                "live photo: a/IMG_1.HEIC a/IMG_1.MOV", "raw and picture: a/sub/IMG_1.JPG a/sub/IMG_1.DNG",
                "with sidecar: top.jpg top.xmp",
            ])
    }

    @Test func groupsComeBackTogether() throws {
        let bench = try Workbench()
        try bench.shell(
            """
            mkdir -p a/sub && cd a && for f in IMG_1.HEIC IMG_1.MOV IMG_2.HEIC IMG_2.MOV note.txt sub/IMG_1.MOV; do
            echo $f > $f; done
            """)
        try bench.backup()
        let source = Array((bench.folder + "/source/a").utf8.dropFirst())
        func restored(_ sub: String, _ includes: [String], _ excludes: [String] = [], to name: String) throws
            -> Set<String>
        {
            var request = RestoreRequest(
                snapshot: try bench.repository.findSnapshot("latest"), subpath: source + Array(sub.utf8))
            request.takesGroups = true
            let patterns = { (texts: [String]) in
                try texts.map { try PathPattern(Array($0.utf8), origin: "test") }
            }
            let folder = bench.folder + "/" + name
            _ = try Restore(
                bench.repository, index: try BlobIndex(bench.repository), to: try FolderTarget(path: folder),
                filter: RestoreFilter(includes: try patterns(includes), excludes: try patterns(excludes))
            ).run(request)
            return Set(try Listing(folder, false).items.keys.filter { !$0.hasSuffix("/") })
        }
        #expect(try restored("/IMG_1.HEIC", [], to: "one") == ["IMG_1.HEIC", "IMG_1.MOV"])
        #expect(try restored("/note.txt", [], to: "note") == ["note.txt"])
        #expect(try restored("", ["IMG_2.HEIC"], to: "two") == ["IMG_2.HEIC", "IMG_2.MOV"])
        #expect(
            try restored("", ["*.HEIC"], ["IMG_1.MOV"], to: "three") == [
                "IMG_1.HEIC", "IMG_2.HEIC", "IMG_2.MOV",
            ])
    }
}
