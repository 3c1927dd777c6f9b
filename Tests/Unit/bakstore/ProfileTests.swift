import BakStorage
import Testing

@testable import bakstore

@Suite struct TOMLTests {
    func read(_ text: String) -> Result<[TOMLTable], TOMLError> {
        Result { () throws(TOMLError) in try TOMLReader.read(text) }
    }

    @Test func readsTheWholeSubset() throws {
        let tables = try TOMLReader.read(
            """
            # a comment, with ä and \t a tab
            top = true\r
            [profile.photos]  # behind a table
            a = "q\\"\\\\ \\n\\t\\r\\b\\f \\u00e4\\U0001F600 # no comment" # a comment
            b='C:\\no\\escapes'
              c = [ "x", 'y' , # one
                    # two

                    "z", ]
            d=[]
            e = -1_000
            f = +7
            g-h_9 = 0
            i = false
            j = ""
            k = "öffentlich"
            [ profile . x-1 ]

            """)
        #expect(tables.map(\.name) == [[], ["profile", "photos"], ["profile", "x-1"]])
        #expect(tables.map(\.line) == [1, 3, 17])
        #expect(tables[0].entries == [TOMLEntry(key: "top", value: .boolean(true), line: 2)])
        #expect(
            tables[1].entries == [
                TOMLEntry(
                    key: "a", value: .string("q\"\\ \n\t\r\u{8}\u{c} ä😀 # no comment"), line: 4),
                TOMLEntry(key: "b", value: .string("C:\\no\\escapes"), line: 5),
                TOMLEntry(key: "c", value: .strings(["x", "y", "z"]), line: 6),
                TOMLEntry(key: "d", value: .strings([]), line: 10),
                TOMLEntry(key: "e", value: .integer(-1000), line: 11),
                TOMLEntry(key: "f", value: .integer(7), line: 12),
                TOMLEntry(key: "g-h_9", value: .integer(0), line: 13),
                TOMLEntry(key: "i", value: .boolean(false), line: 14),
                TOMLEntry(key: "j", value: .string(""), line: 15),
                TOMLEntry(key: "k", value: .string("öffentlich"), line: 16),
            ])
        #expect(tables[2].entries.isEmpty)
        #expect(try TOMLReader.read("").count == 1)
        #expect(try TOMLReader.read("a = 1").count == 1)
    }

    @Test(
        arguments: [
            ("a", 1, "expected '=' and a value after a"),
            ("\na = ", 2, "the value is missing"),
            ("a = # x", 1, "the value is missing"),
            ("a = 1 2", 1, "'2' is not expected here. A line holds one value or one table's name"),
            ("a = 1\na = 2", 2, "a is set already in line 1"),
            ("[a]\n[b]\n[a]", 3, "the table [a] exists already in line 1"),
            ("[a", 1, "a table's name ends with ']', as in [profile.NAME]"),
            ("[]", 1, "expected a name of letters, digits, '-' and '_'"),
            ("[a.]", 1, "expected a name of letters, digits, '-' and '_'"),
            ("[[a]]", 1, "[[...]] is not supported. Write [profile.NAME]"),
            ("[\"a b\"]", 1, "a name must be written without quotes"),
            ("'a' = 1", 1, "a name must be written without quotes"),
            ("a.b = 1", 1, "a key with dots is not supported. Write the key beneath its [table]"),
            ("ä = 1", 1, "expected a name of letters, digits, '-' and '_'"),
            ("a = {b = 1}", 1, "a table in braces is not supported. Write the keys beneath their [table]"),
            ("a = \"\"\"x\"\"\"", 1, "text over several lines is not supported"),
            ("a = '''x'''", 1, "text over several lines is not supported"),
            ("a = \"x", 1, "the text is not closed with \""),
            ("a = \"x\ny\"", 1, "the text is not closed with \""),
            ("a = \"\\", 1, "the text is not closed with \""),
            ("a = \"\\q\"", 1, "\\q is not an escape. For a backslash write \\\\"),
            ("a = \"\\u12\"", 1, "\\u needs the 4 hexadecimal digits of a character"),
            ("a = \"\\ud800\"", 1, "\\u needs the 4 hexadecimal digits of a character"),
            ("a = \"\\U00110000\"", 1, "\\U needs the 8 hexadecimal digits of a character"),
            ("a = \"\u{1}\"", 1, "'\\x01' is not allowed here"),
            ("# \u{7f}", 1, "'\\x7f' is not allowed here"),
            ("a = 1\rb = 2", 1, "a carriage return stands alone"),
            ("a = [\n1]", 2, "an array holds texts in quotes, with commas between them"),
            ("a = [[]]", 1, "an array holds texts in quotes, with commas between them"),
            ("a = [,]", 1, "an array holds texts in quotes, with commas between them"),
            ("a = ['x' 'y']", 1, "expected a comma between the texts of an array"),
            ("a = [\n'x',\n", 1, "the array that begins here is not closed with ']'"),
        ] as [(String, Int, String)])
    func refuses(text: String, line: Int, message: String) {
        #expect(read(text) == .failure(TOMLError(line: line, message: message)))
    }

    @Test(arguments: [
        "1.5", "1e3", "01", "1__0", "_1", "1_", "+-1", "0x1f", "99999999999999999999", "True", "yes", "nan",
        "2025-01-01", "-", "١",
    ])
    func refusesOtherWords(word: String) {
        let message = "'\(word)' is not a value. Write text in quotes, a whole number, true or false"
        #expect(read("a = \(word)") == .failure(TOMLError(line: 1, message: message)))
    }

    /// Every content of the file is either read or refused. The test changes each byte of a valid file.
    @Test func everyChangeIsReadOrRefused() {
        let whole = Array("[p.x]\na = [\"b\\u00e4\", 'c'] # d\ne = -12\nf = true\r\n".utf8)
        var refused = 0
        for position in whole.indices {
            for byte in UInt8(0)...127 {
                var changed = whole
                changed[position] = byte
                if case .failure(let error) = read(String(decoding: changed, as: UTF8.self)) {
                    refused += 1
                    #expect((1...5).contains(error.line))
                }
            }
            _ = read(String(decoding: whole[..<position], as: UTF8.self))
        }
        #expect(refused > 2000)
    }
}

@Suite struct ProfileTests {
    static let file = """
        [profile.default]
        repository = "~/backup"
        paths = ["~/Pictures", "/srv"]
        exclude = ["*.tmp", "cache/"]
        exclude-file = ["~/patterns"]
        exclude-larger-than = "4G"
        one-file-system = true
        exclude-caches = false
        tag = ["photos", "a,b"]
        device = "laptop"
        read-concurrency = 3
        skip-if-unchanged = true

        [profile.phone]
        repository = '/mnt/usb'
        """

    func environment(_ values: [String: String] = ["HOME": "/home/me"]) throws -> Environment {
        try Environment { values[$0].map { Array($0.utf8) } }
    }

    func complete(
        _ words: [String], _ values: [String: String] = ["HOME": "/home/me"], file: String? = Self.file
    ) throws -> Invocation {
        let environment = try environment(values)
        return try ArgumentParser.parse(words.map { Array($0.utf8) }) { invocation throws(UsageError) in
            let profile = try environment.profile(for: invocation) { path throws(SourceError) in
                guard let file, path == "/home/me/.config/bakstore/config.toml" else {
                    throw SourceError(operation: "read \(path)", message: "none", isNotFound: file == nil)
                }
                return Array(file.utf8)
            }
            return profile.map(invocation.completed) ?? invocation
        }
    }

    func text(_ bytes: [[UInt8]]) -> [String] { bytes.map { String(decoding: $0, as: UTF8.self) } }

    @Test func aBackupNeedsNoArguments() throws {
        let line = try complete(["backup"])
        #expect(line.text(.repo) == "/home/me/backup")
        #expect(text(line.operands) == ["/home/me/Pictures", "/srv"])
        #expect(line.allTexts(.exclude) == ["*.tmp", "cache/"])
        #expect(line.allTexts(.excludeFile) == ["/home/me/patterns"])
        #expect(line.size(.excludeLargerThan) == 4 << 30)
        #expect(line.has(.oneFileSystem) && !line.has(.excludeCaches))
        #expect(line.tags == ["photos", "a", "b"] && line.text(.device) == "laptop")
        #expect(line.count(.readConcurrency) == 3)
        #expect(line.profile?.name == "default" && line.profileFlags.contains(.repo))
    }

    @Test func flagsWin() throws {
        let line = try complete(["backup", "/x", "--tag", "t", "-r", "r", "-P", "default", "--exclude", "y"])
        #expect(text(line.operands) == ["/x"] && line.tags == ["t"] && line.text(.repo) == "r")
        #expect(line.allTexts(.exclude) == ["y"] && line.text(.device) == "laptop")
        #expect(!line.profileFlags.contains(.repo) && line.profileFlags.contains(.device))
        let stream = try complete(["backup", "--stdin"])
        #expect(stream.operands.isEmpty && !stream.has(.exclude) && stream.text(.device) == "laptop")
        #expect(try complete(["backup", "--files-from", "list"]).operands.isEmpty)
        #expect(try !complete(["backup", "-f"]).has(.skipIfUnchanged))
    }

    @Test func aNamedProfileComesBeforeTheEnvironment() throws {
        let set = ["HOME": "/home/me", "BAKSTORE_REPOSITORY": "/env", "BAKSTORE_DEVICE": "tablet"]
        #expect(try complete(["stats", "-P", "phone"], set).text(.repo) == "/mnt/usb")
        #expect(try complete(["stats", "-Pphone"], set).profile?.name == "phone")
        // If the user names a repository, the default profile does not apply.
        #expect(try complete(["stats"], set).profile == nil)
        #expect(try complete(["stats", "-r", "x"]).profile == nil)
        #expect(throws: UsageError.self) { try complete(["backup"], set) }
    }

    @Test func otherCommandsTakeTheRepositoryAlone() throws {
        for words in [["snapshots"], ["restore", "latest", "-t", "x"], ["ls", "latest"], ["init"]] {
            let line = try complete(words)
            #expect(line.text(.repo) == "/home/me/backup" && line.profileFlags == [.repo], "\(words)")
        }
        for words in [["version"], ["help"], ["help", "backup"], ["backup", "--help"]] {
            #expect(try complete(words, file: "broken").profile == nil)
        }
    }

    @Test func withoutAFileNothingChanges() throws {
        #expect(try complete(["stats"], file: nil).profile == nil)
        #expect(try complete(["stats"], file: "[profile.other]").profile == nil)
        #expect(try complete(["stats"], [:]).profile == nil)
        #expect(try complete(["stats", "-r", "x"], file: "broken").text(.repo) == "x")
    }

    @Test(
        arguments: [
            ("x = 1", "1: x is not in a table. Write it beneath [profile.NAME]"),
            ("\n[profil.x]", "2: unknown table [profil.x]. Only tables [profile.NAME] are known"),
            ("[profile]", "1: unknown table [profile]. Only tables [profile.NAME] are known"),
            ("[profile.a.b]", "1: unknown table [profile.a.b]. Only tables [profile.NAME] are known"),
            ("[profile.x]\nexlude = ['x']", "2: unknown key exlude. Did you mean exclude?"),
            ("[profile.x]\nrepository = ['x']", "2: repository must be a folder's path in quotes"),
            ("[profile.x]\nrepository = 'x'", "2: repository 'x': must begin with / or with ~/"),
            (
                "[profile.x]\nrepository = '~you/x'",
                "2: repository '~you/x': begins with a ~ that the shell did not replace. Write the path in full, or ./~you/x for a folder here"
            ),
            ("[profile.x]\npaths = '/x'", "2: paths must be an array of paths, such as [\"~/Pictures\"]"),
            ("[profile.x]\npaths = []", "2: paths must be an array of paths, such as [\"~/Pictures\"]"),
            ("[profile.x]\npaths = [\n'/a', 'b']", "2: paths 'b': must begin with / or with ~/"),
            ("[profile.x]\nexclude = 1", "2: exclude must be an array of quoted texts"),
            ("[profile.x]\nexclude = ['[a']", "2: exclude '[a': has a '[' without its ']'"),
            ("[profile.x]\ndevice = ['a']", "2: device must be text in quotes"),
            ("[profile.x]\ndevice = ''", "2: device '': must be a NAME in UTF-8, not empty"),
            ("[profile.x]\none-file-system = 1", "2: one-file-system must be true or false"),
            ("[profile.x]\nread-concurrency = true", "2: read-concurrency must be a whole number"),
            (
                "[profile.x]\nread-concurrency = 65",
                "2: read-concurrency '65': must be a whole number from 1 to 64"
            ),
            ("[profile.x]\nexclude-file = ['x']", "2: exclude-file 'x': must begin with / or with ~/"),
            ("[profile.x]\na = \"", "2: the text is not closed with \""),
        ] as [(String, String)])
    func complains(file: String, message: String) {
        let expected = UsageError("/home/me/.config/bakstore/config.toml:\(message)")
        #expect(throws: expected) { try complete(["stats"], file: file) }
    }

    @Test func anUnknownKeyLikeNothingListsWhatIsKnown() {
        let error = #expect(throws: UsageError.self) {
            try complete(["stats"], file: "[profile.x]\nfrobnicate = 1")
        }
        #expect(error?.message.contains("Known keys are repository, paths, device, tag, exclude, ") == true)
    }

    @Test func aProfileThatIsNotThereIsNamed() {
        let expected: [(String?, String)] = [
            (Self.file, "has no profile 'phon'. Did you mean phone?"),
            ("[profile.x]\n[profile.y]", "has no profile 'phon'. It has x, y"),
            ("", "has no profile 'phon'. It has none"),
            (
                nil,
                "there is no profile 'phon', because there is no file /home/me/.config/bakstore/config.toml"
            ),
        ]
        for (file, words) in expected {
            let error = #expect(throws: UsageError.self) {
                try complete(["stats", "-P", "phon"], file: file)
            }
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        }
        #expect(throws: UsageError.self) { try complete(["stats", "-P", "x"], [:]) }
    }

    @Test func everyKeyIsAFlag() {
        for key in ProfileKey.all.dropFirst(2) { #expect(ProfileKey.flag(key) != nil, "\(key)") }
        #expect(Set(ProfileKey.all).count == ProfileKey.all.count)
        #expect(throws: UsageError.self) { try ConfigFile([0xff], path: "f", home: nil) }
        #expect(throws: UsageError.self) {
            try ConfigFile(Array("[profile.x]\npaths = ['~/x']".utf8), path: "f", home: nil)
        }
    }
}
