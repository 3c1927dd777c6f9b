import BakCore
import Testing

@testable import BakEngine

/// A row in the table of patterns.
struct PatternCase: CustomTestStringConvertible, Sendable {
    var pattern: String
    var path: String
    var matches: Bool
    var isFolder = false
    var testDescription: String { "\(pattern) \(matches ? "matches" : "does not match") \(path)" }

    init(_ pattern: String, _ path: String, _ matches: Bool, folder: Bool = false) {
        self.pattern = pattern
        self.path = path
        self.matches = matches
        isFolder = folder
    }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func patterns(_ texts: String...) throws -> [PathPattern] {
    try texts.map { try PathPattern(bytes($0), origin: "--exclude") }
}

@Suite struct GlobTests {
    @Test(arguments: [
        PatternCase("*.tmp", "a.tmp", true), .init("*.tmp", ".tmp", true), .init("*.tmp", "a.tmpx", false),
        .init("a*b*c", "aXbYc", true), .init("a*b*c", "abcab", false), .init("*", "", true),
        .init("", "", true), .init("?", "", false), .init("?", "ä", true), .init("??", "ä", false),
        .init("[a-c]x", "bx", true), .init("[a-c]x", "dx", false), .init("[!a-c]x", "dx", true),
        .init("[^a-c]x", "ax", false), .init("[]]", "]", true), .init("[!]]", "]", false),
        .init("[a-]", "-", true), .init("[\\]]", "]", true), .init("[ä-ü]", "ö", true),
        .init("\\*", "*", true), .init("\\*", "x", false), .init("\\[a]", "[a]", true),
        .init("**", "anything", true), .init("IMG_????.[Jj][Pp][Gg]", "IMG_0042.JPG", true),
    ])
    func matches(row: PatternCase) throws {
        let glob = try Glob(bytes(row.pattern)[...])
        #expect(glob.matches(bytes(row.path)[...]) == row.matches)
    }

    @Test(arguments: ["[", "[a", "[!", "[a-", "[\\", "x\\", "[z-a]"])
    func refusesWhatIsMalformed(pattern: String) {
        #expect(throws: Glob.Malformed.self) { try Glob(bytes(pattern)[...]) }
    }

    @Test func takesNamesThatAreNotUTF8() throws {
        let name: [UInt8] = [0x61, 0xff, 0xc3]
        #expect(try Glob(bytes("a??")[...]).matches(name[...]))
        #expect(try Glob(bytes("a[!b]*")[...]).matches(name[...]))
        #expect(try !Glob(bytes("a?")[...]).matches(name[...]))
    }

    @Test func hostilePatternsEnd() throws {
        let name = [UInt8](repeating: UInt8(ascii: "a"), count: 255)
        let stars = String(repeating: "a*", count: 2000) + "b"
        #expect(try !Glob(bytes(stars)[...]).matches(name[...]))
        let deep = Array(repeatElement("a", count: 1500).joined(separator: "/").utf8)
        let folders = repeatElement("**/a", count: 500).joined(separator: "/") + "/b"
        let components = deep.split(separator: UInt8(ascii: "/"))
        let pattern = try PathPattern(bytes(folders), origin: "")
        #expect(!pattern.matches(components[...], isFolder: false))
    }
}

@Suite struct PathPatternTests {
    func check(_ row: PatternCase, _ pattern: PathPattern) {
        let path = bytes(row.path).split(separator: UInt8(ascii: "/"))
        #expect(pattern.matches(path[...], isFolder: row.isFolder) == row.matches)
    }

    @Test(arguments: [
        PatternCase("*.tmp", "home/me/a.tmp", true), .init("*.tmp", "a.tmp/b", false),
        .init("/home", "home", true), .init("/home", "x/home", false), .init("/*/me", "home/me", true),
        .init("a/b", "a/b", true), .init("a/b", "x/y/a/b", true), .init("a/b", "xa/b", false),
        .init("a/b", "a/b/c", false), .init("a/*/c", "x/a/b/c", true), .init("a/*/c", "a/b/b/c", false),
        .init("a/**/c", "a/c", true), .init("a/**/c", "x/a/1/2/c", true), .init("a/**/c", "a/1/2/d", false),
        .init("/a/**", "a", true), .init("/a/**", "a/b/c", true), .init("**/c", "c", true),
        .init("/**/c", "a/b/c", true), .init("**", "a/b", true), .init("a/**/b/**/c", "a/b/b/x/c", true),
        .init("cache/", "x/cache", false), .init("cache/", "x/cache", true, folder: true),
        .init("./a", "x/a", true), .init("//a//b/", "a/b", true, folder: true),
    ])
    func commandLine(row: PatternCase) throws {
        check(row, try PathPattern(bytes(row.pattern), origin: "--exclude"))
    }

    @Test(arguments: [
        PatternCase("*.o", "a/b.o", true), .init("/x", "x", true), .init("/x", "a/x", false),
        .init("a/b", "a/b", true), .init("a/b", "x/a/b", false), .init("x/", "a/x", true, folder: true),
        .init("x/", "a/x", false), .init("a/**", "a", false, folder: true), .init("a/**", "a/b/c", true),
        .init("**/a/b", "x/a/b", true), .init("a/**/b", "a/b", true), .init("\\#x", "#x", true),
        .init("\\!x", "!x", true), .init("x**y", "xzy", true), .init("**/", "a", true, folder: true),
    ])
    func gitignore(row: PatternCase) throws {
        check(row, try PathPattern(gitignore: bytes(row.pattern), origin: ""))
    }

    @Test func ignoringCaseKnowsMoreThanASCII() throws {
        var trail = PatternTrail([try PathPattern(bytes("ÄRGER/*.JPG"), origin: "", ignoringCase: true)])
        #expect(trail.lastMatch(bytes("x/ärger/Img.jpg"), isFolder: false) == 0)
        #expect(trail.lastMatch(bytes("x/ärger/Img.png"), isFolder: false) == nil)
    }

    @Test(arguments: ["", "/", "!", "!/", ".", "a/[b"])
    func refusesPatternsThatNameNothing(pattern: String) {
        #expect(throws: PatternError.self) { try PathPattern(bytes(pattern), origin: "--exclude") }
    }

    @Test func readsPatternFiles() throws {
        let text = "\u{feff}*.a  \r\n# comment\n\n  \nb\\ \n\\#c\n!d"
        let list = try PathPattern.list(bytes(text), origin: "--exclude-file x") {
            try PathPattern($0, origin: $1)
        }
        #expect(list.map { String(decoding: $0.text, as: UTF8.self) } == ["*.a", "b\\ ", "\\#c", "!d"])
        #expect(list[1].origin == "--exclude-file x:5")
        #expect(list.map(\.isNegated) == [false, false, false, true])
    }
}

@Suite struct PathFilterTests {
    /// The files that the filter may read, by path.
    var files: [String: String] = [:]
    /// The owner of these files.
    var owner: UInt32 = 0
    var othersMayWrite = false

    func decide(_ filter: inout PathFilter, _ path: String, _ stat: FileStat = FileStat(type: .regular))
        -> FilterDecision
    {
        filter.decide(bytes(path), stat) { path, count in
            files[String(decoding: path, as: UTF8.self)].map {
                FileStart(
                    Array($0.utf8.prefix(count)), owner: owner, othersMayWrite: othersMayWrite)
            }
        }
    }

    func reason(_ decision: FilterDecision) -> String? {
        switch decision {
        case .include: nil
        case .includeWithoutContents(let reason), .exclude(let reason): reason.description
        }
    }

    let folder = FileStat(type: .directory)

    @Test func laterPatternWinsAndAFolderSpeaksForItsContent() throws {
        var exclusions = BackupExclusions()
        exclusions.patterns = try patterns("/home/*", "!/home/me", "*.d", "!keep.d")
        var filter = PathFilter(exclusions, roots: [bytes("home")])
        #expect(decide(&filter, "home", folder) == .include)
        #expect(reason(decide(&filter, "home/you", folder)) == "excluded by --exclude '/home/*'")
        #expect(decide(&filter, "home/me", folder) == .include)
        #expect(decide(&filter, "home/me/x") == .include)
        #expect(decide(&filter, "home/me/x.d", folder) != .include)
        #expect(decide(&filter, "home/me/keep.d", folder) == .include)
        #expect(decide(&filter, "home/me/keep.d/y") == .include)
        // These paths come out of order, and the filter has not seen their folders.
        #expect(decide(&filter, "home/you/deep/file") != .include)
        #expect(decide(&filter, "home/me/a/b/c") == .include)
    }

    @Test mutating func whatHadNoLastWordIsKnown() throws {
        files = ["r/.bakignore": "*.zip\n*.jgp\n!b.zip\n", "r/s/.bakignore": "x\n../y\n"]
        var exclusions = BackupExclusions()
        exclusions.patterns = try patterns("a", "*.jpg", "a", "!keep", "*.tmp", "never.jpg", "*.jpg")
        exclusions.tellsUnmatchedLines = true
        var filter = PathFilter(exclusions, roots: [bytes("r")])
        for path in ["r/never.jpg", "r/a", "r/a.zip"] { #expect(decide(&filter, path) != .include) }
        #expect(decide(&filter, "r/s", folder) == .include)
        #expect(decide(&filter, "r/s/z") == .include)
        #expect(filter.unmatchedPatterns.map(\.text) == ["!keep", "*.tmp", "never.jpg"].map(bytes))
        #expect(filter.takeRemarks().count == 1)
        #expect(decide(&filter, "r/t/z") == .include)
        #expect(filter.takeRemarks() == ["left nothing out: /r/s/.bakignore:1 'x'"])
        filter.finish()
        #expect(
            filter.takeRemarks() == [
                "left nothing out: /r/.bakignore:2 '*.jgp'", "took nothing back: /r/.bakignore:3 '!b.zip'",
            ])
    }

    @Test func patternsDoNotReachAboveTheRoots() throws {
        var exclusions = BackupExclusions()
        exclusions.patterns = try patterns("tmp")
        var filter = PathFilter(exclusions, roots: [bytes("tmp/photos"), bytes("var/x/tmp")])
        #expect(decide(&filter, "tmp", folder) == .include)
        #expect(decide(&filter, "tmp/photos", folder) == .include)
        #expect(decide(&filter, "tmp/photos/a") == .include)
        #expect(decide(&filter, "tmp/photos/tmp", folder) != .include)
        #expect(decide(&filter, "var/x/tmp", folder) != .include)
    }

    @Test func sizeCountsForRegularFiles() throws {
        var exclusions = BackupExclusions()
        exclusions.largestFile = 1 << 30
        var filter = PathFilter(exclusions, roots: [[]])
        var stat = FileStat(type: .regular)
        stat.size = 1 << 30
        #expect(decide(&filter, "a", stat) == .include)
        stat.size += 1
        #expect(reason(decide(&filter, "b", stat)) == "larger than 1.0 GiB (--exclude-larger-than)")
        stat.type = .directory
        #expect(decide(&filter, "c", stat) == .include)
    }

    @Test mutating func marksKeepTheirFolderAndThemselves() throws {
        let signature = "Signature: 8a477f597d28d172789f06886806bc55\n# cache"
        files = [
            "r/cache/CACHEDIR.TAG": signature, "r/fake/CACHEDIR.TAG": "Signature: no",
            "r/raw/.nobackup": "",
        ]
        var exclusions = BackupExclusions()
        exclusions.marks = [.cacheDirectory, try #require(FolderMark(bytes(".nobackup")))]
        var filter = PathFilter(exclusions, roots: [bytes("r")])
        #expect(decide(&filter, "r/cache", folder) == .include)
        #expect(decide(&filter, "r/cache/CACHEDIR.TAG") == .include)
        #expect(
            reason(decide(&filter, "r/cache/x")) == "its folder holds CACHEDIR.TAG (--exclude-caches)")
        #expect(decide(&filter, "r/fake/x") == .include)
        #expect(decide(&filter, "r/raw/x", folder) != .include)
        #expect(FolderMark(bytes("TAG:a:b"))?.header == bytes("a:b"))
        #expect(FolderMark(bytes("a/b")) == nil)
    }

    @Test func staysOnEachRootsFileSystem() throws {
        var exclusions = BackupExclusions()
        exclusions.oneFileSystem = true
        var filter = PathFilter(exclusions, roots: [bytes("a"), bytes("a/usb")])
        var here = folder
        here.device = 1
        var there = folder
        there.device = 2
        #expect(decide(&filter, "a", here) == .include)
        #expect(decide(&filter, "a/mount", there) == .includeWithoutContents(.otherFileSystem))
        #expect(decide(&filter, "a/usb", there) == .include)
        #expect(decide(&filter, "a/usb/x", there) == .include)
        #expect(decide(&filter, "a/usb/y", here) != .include)
        there.type = .regular
        #expect(decide(&filter, "a/z", there) == .exclude(.otherFileSystem))
    }

    @Test mutating func ignoreFilesAreScopedAndTheNearestWins() throws {
        files = [
            ".bakignore": "*", "r/.bakignore": "*.o\nbuild/\n/only\n!x.keep",
            "r/sub/.bakignore": "!main.o\n*.keep",
        ]
        var exclusions = BackupExclusions()
        exclusions.patterns = try patterns("!forced.o")
        var filter = PathFilter(exclusions, roots: [bytes("r")])
        #expect(reason(decide(&filter, "r/a.o")) == "excluded by /r/.bakignore:1 '*.o'")
        #expect(decide(&filter, "r/forced.o") == .include)
        #expect(decide(&filter, "r/build") == .include)
        #expect(decide(&filter, "r/build", folder) != .include)
        #expect(decide(&filter, "r/only") != .include)
        #expect(decide(&filter, "r/sub", folder) == .include)
        #expect(decide(&filter, "r/sub/only") == .include)
        #expect(decide(&filter, "r/sub/b.o") != .include)
        #expect(decide(&filter, "r/sub/main.o") == .include)
        #expect(decide(&filter, "r/sub/x.keep") != .include)
        #expect(decide(&filter, "r/main.o") != .include)
        #expect(filter.takeStrangers().isEmpty)
        exclusions.honoursIgnoreFiles = false
        filter = PathFilter(exclusions, roots: [bytes("r")])
        #expect(decide(&filter, "r/a.o") == .include)
    }

    @Test func whatAnothersIgnoreFileLeavesOutIsTold() {
        var tests = self
        tests.files = ["r/.bakignore": "*.o\n!keep.o", "r/sub/.bakignore": "never"]
        tests.owner = 1000
        var exclusions = BackupExclusions()
        for (trusted, told) in [(nil, []), (1000, []), (0, ["/r/.bakignore"])] as [(UInt32?, [String])] {
            exclusions.trustedOwner = trusted
            var filter = PathFilter(exclusions, roots: [bytes("r")])
            for path in ["r/a", "r/keep.o", "r/sub/b"] { #expect(tests.decide(&filter, path) == .include) }
            #expect(filter.takeStrangers().isEmpty)
            for path in ["r/x.o", "r/y.o"] { #expect(tests.decide(&filter, path) != .include) }
            #expect(filter.takeStrangers().map(\.path) == told)
            #expect(tests.decide(&filter, "r/z.o") != .include)
            #expect(filter.takeStrangers().isEmpty)
        }
        // A file of rules that other users may write is not trusted, even if the user owns it.
        tests.othersMayWrite = true
        exclusions.trustedOwner = 1000
        var filter = PathFilter(exclusions, roots: [bytes("r")])
        #expect(tests.decide(&filter, "r/x.o") != .include)
        let told = filter.takeStrangers()
        #expect(told.map(\.path) == ["/r/.bakignore"] && told[0].owner == nil)
    }
}

@Suite struct RestoreFilterTests {
    func decide(_ filter: inout RestoreFilter, _ path: String, folder: Bool = false) -> RestoreDecision {
        filter.decide(bytes(path), isFolder: folder).decision
    }

    @Test func withoutPatternsEverythingComesBack() {
        var filter = RestoreFilter()
        #expect(filter.isEmpty)
        #expect(decide(&filter, "a", folder: true) == .include)
        #expect(decide(&filter, "a/b") == .include)
    }

    @Test func anIncludedFolderBringsItsContentAndAncestorsMayHoldIt() throws {
        var filter = RestoreFilter(includes: try patterns("/home/*/DCIM", "!/home/me/DCIM/.thumbnails"))
        #expect(decide(&filter, "home", folder: true) == .onlyAsAncestor)
        #expect(decide(&filter, "home/me", folder: true) == .onlyAsAncestor)
        #expect(decide(&filter, "home/me/DCIM", folder: true) == .include)
        #expect(decide(&filter, "home/me/DCIM/.thumbnails", folder: true) != .include)
        #expect(decide(&filter, "home/me/DCIM/.thumbnails/x") == .exclude)
        #expect(decide(&filter, "home/me/DCIM/a/b.jpg") == .include)
        #expect(decide(&filter, "home/me/Music", folder: true) == .exclude)
        #expect(decide(&filter, "var", folder: true) == .exclude)
    }

    @Test func aNameMayLieAnywhereAndExcludeWins() throws {
        var filter = RestoreFilter(includes: try patterns("*.jpg"), excludes: try patterns("private"))
        #expect(decide(&filter, "a", folder: true) == .onlyAsAncestor)
        #expect(decide(&filter, "a/b.jpg") == .include)
        let hidden = filter.decide(bytes("a/private"), isFolder: true)
        #expect(hidden.decision == .exclude)
        #expect(hidden.reason?.description == "excluded by --exclude 'private'")
        #expect(decide(&filter, "a/private/c.jpg") == .exclude)
    }

    @Test func aNegatedPatternBringsBackWhatLiesBeneath() throws {
        var filter = RestoreFilter(excludes: try patterns("tmp", "!tmp/keep"))
        #expect(decide(&filter, "tmp", folder: true) == .onlyAsAncestor)
        #expect(decide(&filter, "tmp/x") == .exclude)
        #expect(decide(&filter, "tmp/keep", folder: true) == .include)
        #expect(decide(&filter, "tmp/keep/y") == .include)
    }

    @Test func foldersBeneathDoubleStarsMayHoldMatches() throws {
        var filter = RestoreFilter(includes: try patterns("/a/**/x/y"))
        #expect(decide(&filter, "a/b/c", folder: true) == .onlyAsAncestor)
        #expect(decide(&filter, "b", folder: true) == .exclude)
    }
}
