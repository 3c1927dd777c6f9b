import BakCore
import BakEngine
import BakRepository
import BakStorage
import Testing

@testable import bakstore

@Suite struct FormattingTests {
    @Test func numbers() {
        #expect(Formatting.size(1023) == "1023 B" && Formatting.size(1024) == "1.0 KiB")
        #expect(Formatting.size(1_048_575) == "1.0 MiB" && Formatting.size(3_113_851_290) == "2.9 GiB")
        #expect(Formatting.size(.max) == "16.0 EiB")
        #expect(Formatting.count(0) == "0" && Formatting.count(1_234_567) == "1,234,567")
        #expect(Formatting.count(1, "file", "files") == "1 file")
        #expect(Formatting.rate(1 << 20, seconds: 2) == "512.0 KiB/s" && Formatting.rate(1, seconds: 0) == "")
        #expect(
            Formatting.duration(seconds: 14.24) == "14.2 s"
                && Formatting.duration(seconds: 59.97) == "1:00 min")
        #expect(Formatting.duration(seconds: 185) == "3:05 min")
        #expect(Formatting.duration(seconds: 7385) == "2:03:05 h")
        #expect(Formatting.percent(1, of: 3) == "33.3 %" && Formatting.percent(9999, of: 10000) == "99.9 %")
        #expect(Formatting.percent(5, of: 5) == "100.0 %" && Formatting.percent(0, of: 0) == "0.0 %")
        #expect(
            Formatting.decimal(-0.04, digits: 1) == "0.0" && Formatting.decimal(-1.25, digits: 1) == "-1.3")
    }

    @Test func sizesAreReadBack() {
        let cases: [(String, UInt64?)] = [
            ("100", 100), ("100K", 102_400), ("1.5M", 3 << 19), ("2GiB", 2 << 30), ("10 MB", 10 << 20),
            ("1t", 1 << 40), ("0", 0), ("7b", 7), ("", nil), ("K", nil), ("1.5", nil), ("-1", nil),
            ("1..5K", nil), (".5M", nil), ("1X", nil), ("16E", nil), ("99999999999999999999", nil),
            ("1.K", nil), ("1 KiBs", nil), ("18446744073709551615", .max),
        ]
        for (text, size) in cases { #expect(ByteSize.parse(text) == size, "\(text)") }
    }

    @Test func namesAreSafeToPrint() {
        #expect(Formatting.name(Array("Fotos/Ärger 😀.jpg".utf8)) == "Fotos/Ärger 😀.jpg")
        #expect(Formatting.name(Array("a\u{1b}[31m\nb\t\\".utf8)) == "a\\x1b[31m\\nb\\t\\\\")
        #expect(Formatting.name([0x61, 0xff, 0xc3, 0x62, 0xe2, 0x82]) == "a\\xff\\xc3b\\xe2\\x82")
        #expect(Formatting.name(Array("a\u{202e}gpj\u{85}".utf8)) == "a\\u{202e}gpj\\u{85}")
        #expect(Formatting.line("C:\\ \u{1b}") == "C:\\ \\x1b")
    }

    @Test func permissionsReadLikeLs() {
        #expect(Formatting.permissions(.directory, mode: 0o1777) == "drwxrwxrwt")
        #expect(Formatting.permissions(.regular, mode: 0o4754) == "-rwsr-xr--")
        #expect(Formatting.permissions(.fifo, mode: 0o7000) == "p--S--S--T")
    }

    @Test func tablesLineUp() {
        var table = TextTable([.left, .right], header: ["name", "size"])
        table.append(["写真", "1"])
        table.append(["a", "1,204"])
        #expect(table.lines() == ["name   size", "-----------", "写真      1", "a     1,204"])
        #expect(TextWidth.cut("写真写真", to: 5) == "写真…" && TextWidth.cut("abc", to: 3) == "abc")
    }
}

@Suite struct CivilTimeTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2000-02-29 12:30:15Z", 951_827_415), ("1969-12-31T23:59:59Z", -1),
            ("2106-02-07T06:28:16Z", 4_294_967_296), ("2025-06-01T02:00:00+02:00", 1_748_736_000),
            ("2025-06-01", 1_748_736_000 - 3600), ("0001-01-01T00:00:00Z", -62_135_596_800),
        ] as [(String, Int64)])
    func bothWays(text: String, seconds: Int64) throws {
        let civil = try #require(CivilTime(text))
        let time = civil.timestamp { _ in 3600 }
        #expect(time.seconds == seconds)
        #expect(CivilTime(time, offsetSeconds: 0).timestamp { _ in 0 } == time)
    }

    @Test(arguments: [
        "", "2025-02-29", "2025-13-01", "2025-1-1", "2025-01-01T24:00", "2025-01-01x", "+025-01-01",
    ])
    func refuses(text: String) { #expect(CivilTime(text) == nil) }

    @Test func rfc3339() {
        let time = Timestamp(seconds: 1_748_736_000, nanoseconds: 5)
        #expect(CivilTime.rfc3339(time, offsetSeconds: 0) == "2025-06-01T00:00:00.000000005Z")
        #expect(CivilTime.rfc3339(time, offsetSeconds: -12600) == "2025-05-31T20:30:00.000000005-03:30")
    }
}

@Suite struct JSONWriterTests {
    func text(_ build: (inout JSONWriter) -> Void) -> String {
        String(decoding: JSONWriter.line(build), as: UTF8.self)
    }

    @Test func writesEveryKind() {
        let line = text { json in
            json.member("a\"", "q\"\\\n\u{1}\u{7f}ä/")
            json.member("n", -5)
            json.member("u", UInt64.max)
            json.member("d", 0.5)
            json.member("inf", Double.infinity)
            json.member("t", true)
            json.array("list") { list in
                list.element("x")
                list.element(1)
                list.elementObject { $0.member("k", false) }
            }
            json.object("empty") { _ in }
            json.member("end", "")
        }
        #expect(
            line == #"{"a\"":"q\"\\\n\u0001\u007fä/","n":-5,"u":18446744073709551615,"d":0.5,"inf":null,"#
                + #""t":true,"list":["x",1,{"k":false}],"empty":{},"end":""}"# + "\n")
    }

    @Test func bytesThatAreNotUTF8ComeTwice() {
        #expect(
            text { $0.member("p", bytes: [0x61, 0xff]) } == "{\"p\":\"a\u{fffd}\",\"p_base64\":\"Yf8=\"}\n")
        #expect(text { $0.member("p", bytes: [0x61]) } == "{\"p\":\"a\"}\n")
        #expect(
            text { $0.member("l", bytes: [[0x61], [0xff]]) }
                == "{\"l\":[\"a\",\"\u{fffd}\"],\"l_base64\":[\"YQ==\",\"/w==\"]}\n")
        #expect(
            ["", "f", "fo", "foo", "foob"].map { Base64.encode(Array($0.utf8)) } == [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==",
            ])
    }
}

@Suite struct ErrorReportTests {
    @Test func codesAndAdvice() {
        let store = { StoreError(kind: $0, operation: "write", object: "packs/ab", message: "no") }
        #expect(
            ErrorReport(UsageError("x", command: .backup))
                == ErrorReport(CommandFailure(code: .usage, message: "x (see: bakstore backup --help)")))
        #expect(ErrorReport(RepositoryError.noRepository(location: .folder("/x"))).code == .noRepository)
        #expect(ErrorReport(RepositoryError.alreadyExists(location: .folder("/x"))).code == .failed)
        #expect(ErrorReport(CorruptionError(object: "o", offset: 1, reason: "r")).code == .damage)
        #expect(ErrorReport(CorruptionError.unsupported(object: "o", "r")).code == .failed)
        #expect(ErrorReport(MissingBlobError(id: .zero)).code == .damage)
        #expect(ErrorReport(store(.readOnly)).code == .storeUnable)
        #expect(ErrorReport(store(.full)).code == .failed)
        #expect(ErrorReport(store(.full)).message.contains("Make room"))
        #expect(
            ErrorReport(CommandFailure(code: .interrupted, message: "a\nb\u{1b}")).message == "a\\nb\\x1b")
    }

    @Test func lines() {
        let report = ErrorReport(CommandFailure(code: .noRepository, message: "m"))
        #expect(report.line(asJSON: false) == Array("bakstore: m\n".utf8))
        #expect(
            report.line(asJSON: true) == Array(#"{"message_type":"exit_error","code":10,"message":"m"}"#.utf8)
                + [10])
    }
}
