// Output on a terminal is never wider than the terminal. It is ASCII if the locale requires that. The program accepts
// names as it prints them.

import BakCore
import Foundation
import Testing

@testable import bakstore

@Suite struct WidthTests {
    static let widths = [20, 40, 41, 60, 79, 80, 100, 132, 200]

    @Test(arguments: widths) func helpFitsAndLosesNoWord(width: Int) {
        var texts = [(HelpText(width).overview(), HelpText(nil).overview())]
        for command in CommandTable.commands {
            texts.append((HelpText(width).command(command), HelpText(nil).command(command)))
        }
        for (text, wide) in texts {
            for line in text.split(separator: "\n") {
                #expect(TextWidth.of(String(line)) <= width, "\(line)")
            }
            // The words in a table's rows keep their order.
            let words = { (text: String) in
                text.filter { !$0.isWhitespace }
            }
            #expect(words(text) == words(wide))
        }
    }

    @Test(arguments: widths) func tablesFitAndPathsGiveWay(width: Int) {
        var table = TextTable([.fixed, .right, .path], header: ["ID", "Size", "Paths"])
        let path = "/home/me/Pictures/2026/Summer/写真/😀/the last of all.jpg"
        table.append(["9190aeca", "2.9 GiB", path])
        table.append(["x", "1 B", "/a"])
        for isASCII in [false, true] {
            let lines = table.lines(width: width, isASCII: isASCII)
            #expect(lines.count >= 4)
            for line in lines {
                #expect(TextWidth.of(line) <= width, "\(line)")
                if isASCII { #expect(line.utf8.allSatisfy { $0 < 0x80 }) }
            }
            if width >= 40 {
                let isWhole = lines[2].hasSuffix(isASCII ? Formatting.ascii(path) : path)
                let mark = TextWidth.mark(isASCII)
                let isName = lines[2] == "9190aeca  2.9 GiB  the last of all.jpg"
                #expect(
                    isWhole || isName || lines[2].hasPrefix("9190aeca  2.9 GiB  \(mark)"), "\(lines[2])")
                #expect(lines[2].hasSuffix("all.jpg"))
            }
        }
        #expect(table.lines() == table.lines(width: 1000))
    }

    /// Every table of the commands and the long listing, at every width. No line is too wide, and no id, mark or file
    /// name is cut.
    @Test func noTableCutsWhatIsNeeded() throws {
        let home = try Home()
        home.run("init")
        home.run("backup", "~/photos", "-q", "--archive", "--time", "2026-01-01", "--tag", "a,b")
        try FileManager.default.removeItem(atPath: home.path + "/photos/sub")
        try home.write("photos/new.jpg", "new")
        home.run("backup", "~/photos", "-q", "--archive", "--time", "2026-01-02")
        try FileManager.default.removeItem(atPath: home.path + "/photos/a.jpg")
        try FileManager.default.removeItem(atPath: home.path + "/photos/new.jpg")
        home.run("backup", "~/photos", "-q", "--device", "x", "--time", "2026-01-03")
        home.run("backup", "~/photos", "-q", "--time", "2026-01-03")
        let ids = home.run("snapshots", "--json").output.components(separatedBy: #""short_id":""#).dropFirst()
            .map { String($0.prefix(8)) }
        #expect(ids.count == 4)
        let commands: [(words: [String], needed: [String])] = [
            (["snapshots"], ids + ["(archive, 1 gone)", "(in doubt: most files were missing)", "[a, b]"]),
            (["stats"], ids),
            (
                ["forget", "--keep-last", "1", "-n"],
                ids + ["keep", "in doubt, as most files were missing", "last snapshot", "[a, b]"]
            ),
            (["forget", ids[0], "-n"], [ids[0], "named by you"]),
            (
                ["ls", "-lR", "latest"],
                ["b.jpg", "a.jpg", "new.jpg", "(gone since 2026-01-02", "(gone since 2026-01-03"]
            ),
            (["benchmark", "~/photos"], []),
        ]
        for (words, needed) in commands {
            for width in Array(20...100) + [120, 160, 200] where words[0] != "benchmark" || width % 20 == 0 {
                let terminal = RecordingTerminal()
                (terminal.outputIsTerminal, terminal.outputWidth) = (true, width)
                let output = home.run(words: words, terminal: terminal).output
                let lines = output.split(separator: "\n").map(String.init)
                // Sentences near a table do not belong to it.
                let isTable = words[0] != "benchmark" && words[0] != "stats"
                for line in lines where isTable && !line.hasSuffix(".") && !line.hasPrefix("device ") {
                    #expect(TextWidth.of(line) <= width, "\(width) \(line)")
                }
                let text = output.split { " \n".contains($0) }.joined(separator: " ")
                for word in needed {
                    #expect(text.contains(word), "\(words) at \(width): \(word)\n\(output)")
                }
            }
        }
    }

    /// Random tables with columns of every kind, from no width to a large one.
    @Test func randomTablesLoseNothingThatIsFixed() {
        var numbers = Numbers(state: 5)
        let kinds: [TextTable.Alignment] = [.fixed, .left, .right, .path]
        for _ in 0..<300 {
            let columns = (0..<Int.random(in: 1...6, using: &numbers)).map { _ in
                kinds.randomElement(using: &numbers)!
            }
            let dropping = Bool.random(using: &numbers) ? [columns.count - 1] : []
            var table = TextTable(columns, dropping: columns.count > 1 ? dropping : [])
            var whole: [String] = []
            for row in 0..<3 {
                let cells = columns.enumerated().map { column, kind in
                    let long = String(repeating: "/w", count: Int.random(in: 1...20, using: &numbers))
                    switch kind {
                    case .fixed, .right:
                        let cell = "\(row)\(column)abcdef"
                        if column < columns.count - 1 { whole.append(cell) }
                        return cell
                    case .left, .path: return long
                    }
                }
                table.append(cells, ending: "(in doubt \(row))")
                whole.append("(in doubt \(row))")
            }
            for width in [20, 21, 33, 50, 64, 80, 200] {
                let lines = table.lines(width: width, isASCII: width % 2 == 1)
                for line in lines { #expect(TextWidth.of(line) <= width) }
                let text = lines.joined(separator: " ").split(separator: " ").joined(separator: " ")
                for cell in whole {
                    #expect(text.contains(cell), "\(width) \(cell)\n\(lines.joined(separator: "\n"))")
                }
            }
        }
    }

    @Test func whatIsTooLongGivesWay() {
        #expect(TextWidth.cutWithin("/home/me/a.jpg", to: 14) == "/home/me/a.jpg")
        #expect(TextWidth.cutWithin("/home/me/a.jpg", to: 10) == "/ho…/a.jpg")
        #expect(TextWidth.cutWithin("/home/me/a.jpg", to: 10, mark: "...") == "/h...a.jpg")
        #expect(TextWidth.cutWithin("写真写真写真", to: 7) == "写…写真")
        #expect(TextWidth.cutPath("/media/me/phone/DCIM/100", to: 24) == "/media/me/phone/DCIM/100")
        #expect(TextWidth.cutPath("/media/me/phone/DCIM/100", to: 23) == "…/me/phone/DCIM/100")
        #expect(TextWidth.cutPath("/media/me/phone/DCIM/100", to: 10) == "…/DCIM/100")
        #expect(TextWidth.cutPath("/media/me/phone/DCIM/100", to: 9, mark: "...") == ".../100")
        #expect(TextWidth.cutPath("/media/IMG_20260102_030405.jpg", to: 12) == "IMG…0405.jpg")
        #expect(TextWidth.cutPath("IMG_20260102_030405.jpg", to: 12) == "IMG…0405.jpg")
        for width in 0..<30 {
            for cut in [TextWidth.cut, TextWidth.cutWithin, TextWidth.cutPath] {
                #expect(TextWidth.of(cut("/写真/abc/def/ghi.jpg", width, "…")) <= width)
            }
            for line in TextWidth.wrapped("写真 abc def", ending: "(in doubt)", width: max(6, width)) {
                #expect(TextWidth.of(line) <= max(6, width))
            }
        }
        #expect(TextWidth.wrapped("a", ending: "(b)", width: 6) == ["a  (b)"])
        #expect(TextWidth.wrapped("abc", ending: "(b) (c)", width: 7) == ["abc", "  (b)", "  (c)"])
        #expect(TextWidth.wrapped("abc", width: nil) == ["abc"])
    }

    /// Every combination of the parts of a progress line, at every width. The line fits. If anything fits, the line has
    /// the time left.
    @Test func theLiveLineNeverLosesTheTimeLeft() {
        for mask in 0..<64 {
            var progress = Progress(bytes: 1 << 30)
            if mask & 1 != 0 { progress.files = 1_234_567 }
            (progress.totalBytes, progress.totalsAreFinal) = (4 << 30, true)
            if mask & 2 != 0 { progress.newBytes = 123 << 20 }
            if mask & 4 != 0 { progress.errors = 12 }
            if mask & 8 != 0 { progress.currentFiles = [Array("home/me/Pictures/写真/x.jpg".utf8)] }
            let isASCII = mask & 16 != 0
            let seconds = mask & 32 != 0 ? 4000.0 : 10
            for width in 0...200 {
                let line = ProgressLine.text(progress, seconds: seconds, width: width, isASCII: isASCII)
                #expect(TextWidth.of(line) <= width)
                if width >= 14 { #expect(line.contains(" left"), "\(width) \(line)") }
                if width >= 40 { #expect(line.contains("25.0 %"), "\(width) \(line)") }
                if isASCII { #expect(line.utf8.allSatisfy { $0 < 0x80 }) }
            }
        }
    }

    @Test func localesWithoutUTF8AreASCII() {
        func isASCII(_ variables: [String: String]) -> Bool {
            Environment.isASCII { variables[$0].map { Array($0.utf8) } }
        }
        for name in ["C", "POSIX", "de_DE", "de_DE.ISO-8859-1", "de_DE@euro"] {
            #expect(isASCII(["LANG": name]) && isASCII(["LC_ALL": name, "LANG": "de_DE.UTF-8"]))
            #expect(isASCII(["LC_CTYPE": name, "LC_ALL": ""]))
        }
        for name in ["C.UTF-8", "de_DE.utf8", "en_US.UTF-8", "ca_ES.UTF-8@valencia"] {
            #expect(!isASCII(["LANG": name]) && !isASCII(["LC_ALL": name, "LANG": "C"]))
        }
        #expect(!isASCII([:]) && !isASCII(["LANG": ""]))
    }

    @Test func asciiTextAndJSON() {
        #expect(Formatting.ascii("a … b é 😀") == #"a \u{2026} b \u{e9} \u{1f600}"#)
        #expect(
            String(decoding: Formatting.asciiJSON(Array("{\"a\":\"é😀\"}\n".utf8)), as: UTF8.self)
                == #"{"a":"\u00e9\ud83d\ude00"}"# + "\n")
    }

    /// Names of random bytes and characters. The program prints them in both ways and reads them back unchanged.
    @Test func namesAreReadBackAsPrinted() {
        var numbers = Numbers(state: 11)
        let pieces: [[UInt8]] = [
            [0x5c], [0x5c, 0x6e], [0x0a], [0x1b], [0xff], [0xc3], Array("é".utf8), Array("😀".utf8),
            Array("\u{202e}".utf8),
            Array("\u{e000}".utf8), Array("a".utf8), Array("/".utf8), Array("{".utf8), Array("x41".utf8),
            Array("e\u{301}".utf8), Array("…".utf8), Array("...".utf8),
            Array("\u{202f}".utf8), Array("’".utf8),
        ]
        for _ in 0..<5000 {
            let name = (0..<Int.random(in: 1...8, using: &numbers)).flatMap { _ in
                pieces.randomElement(using: &numbers)!
            }
            for printed in [Formatting.name(name), Formatting.ascii(Formatting.name(name))] {
                let typed = Array(printed.utf8)
                #expect((Formatting.unescaped(typed) ?? typed) == name, "\(printed)")
            }
        }
        for bad in [
            #"\"#, #"\q"#, #"\x"#, #"\x4"#, #"\xzz"#, #"\u{}"#, #"\u{110000}"#, #"\u41"#, #"\u{-1}"#,
            #"\u{41"#,
        ] {
            #expect(Formatting.unescaped(Array(bad.utf8)) == nil, "\(bad)")
        }
    }

    private struct Numbers: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 33
        }
    }
}
