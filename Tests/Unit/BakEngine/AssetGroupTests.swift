import BakPosix
import BakRepository
import Testing

@testable import BakEngine

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
        ["IMG_9881.HEIC", "IMG_9881_HEVC.MOV", "IMG_9881.JPG", "IMG_9881-edited.heic", "IMG_9881_O.AAE"],
        ["IMG_9881(1).HEIC", "IMG_9881_HEVC(1).MOV", "IMG_9881-edited(1).HEIC", "IMG_E9881(1).HEIC"],
        [
            "Peanut Butter Balls.jpg", "Peanut Butter Balls.supplemental-metadata.json",
            "Peanut Butter Balls-bearbeitet.jpg", "Peanut Butter Balls.jpg.suppl.json",
            "Peanut Butter Balls.supplemental-metad.json", "Peanut Butter Balls.jpg..json",
        ],
        [
            "PXL_20230102_030405678.RAW-01.COVER.jpg", "PXL_20230102_030405678.RAW-02.ORIGINAL.dng",
            "PXL_20230102_030405678.RAW-01.MP.COVER.jpg", "PXL_20230102_030405678.MP4",
            "PXL_20230102_030405678.MP",
            "PXL_20230102_030405678.PORTRAIT.jpg", "PXL_20230102_030405678~3.jpg",
            "PXL_20230102_030405678.RAW-01.COVER.jpg.supplemental-metadata.json",
            "PXL_20230102_030405678.jpg.xmp",
        ],
        ["00000IMG_00000_BURST20181229213517346.jpg", "00001IMG_00001_BURST20181229213517346_COVER.jpg"],
        ["IMG_20190102_030405_BURST001_COVER.jpg", "IMG_20190102_030405_BURST012.jpg"],
        ["DSC_0001_BURST20150101120000123.JPG", "DSC_0002_BURST20150101120000123.JPG"],
        [
            String(repeating: "a", count: 44) + ".jpg", String(repeating: "a", count: 44) + ".j.json",
            String(repeating: "a", count: 44) + "-edited.jpg",
        ],
        [String(repeating: "a", count: 46) + ".jpg", String(repeating: "a", count: 46) + ".json"],
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
        #expect(key("PXL_20230102_030405678.jpg") != key("PXL_20230102_030405679.jpg"))
        #expect(key("IMG_1234_HEVC.jpg") != key("IMG_1234.jpg"))
        #expect(key("a-edited(1).jpg") != key("a.jpg"))
        #expect(key("outburst20190102030405678.jpg") == "outburst20190102030405678")
        #expect(
            key("00000IMG_00000_BURST20181229213517346.jpg")
                != key("00000IMG_00000_BURST20181229213517347.jpg"))
        #expect(key("trip.one.jpg") != key("trip.two.jpg"))
        for name in [
            "photo.json", "photo.s.json", "photo.supp.json", "settings.metadata.json",
            String(repeating: "b", count: 45) + ".json",
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

    /// Google Takeout cuts the name of a photo to 47 characters, and the name of the photo's notes to 46.
    @Test func notesOfLongNames() {
        let start = String(repeating: "x", count: 46)
        func groups(_ names: [String]) -> [String] {
            var grouper = AssetGrouper()
            let groups = names.flatMap { grouper.add(Array($0.utf8)) } + grouper.finish()
            return groups.map { group in
                group.paths.map { String(decoding: $0.dropFirst(46), as: UTF8.self) }.joined(separator: " ")
            }
        }
        #expect(groups(["\(start)y.jpg", "\(start).json"]) == ["y.jpg .json"])
        #expect(groups(["\(start)y(1).jpg", "\(start)(1).json"]) == ["y(1).jpg (1).json"])
        #expect(groups(["\(start)y.jpg", "\(start)z.jpg", "\(start).json"]).isEmpty)
        #expect(groups(["\(start)yy.jpg", "\(start).json"]).isEmpty)
        var chosen = ChosenGroups()
        chosen.insert(Array("\(start)y.jpg".utf8))
        #expect(chosen.contains(Array("\(start).json".utf8)))
        #expect(!chosen.contains(Array("\(start)z.jpg".utf8)))
        chosen = ChosenGroups()
        chosen.insert(Array("\(start).json".utf8))
        #expect(chosen.contains(Array("\(start)y.jpg".utf8)))
        #expect(!chosen.contains(Array("other/\(start)y.jpg".utf8)))
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
