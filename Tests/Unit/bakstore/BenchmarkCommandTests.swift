import BakPosix
import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct BenchmarkCommandTests {
    let home: Home

    init() throws { home = try Home() }

    private func names() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: home.path).sorted()
    }

    @Test func saysWhatARepositoryWouldTakeAndMakesNone() throws {
        try home.write("photos/again.jpg", String(repeating: "two", count: 1000))
        let before = try names()
        let run = home.run("benchmark", "~/photos")
        #expect(run.code == .done && run.error.isEmpty)
        #expect(run.output.hasPrefix("3 files in 2 folders, 5.9 KiB\n"))
        #expect(run.output.contains("1 file is a duplicate, 2.9 KiB\n  2 times 2.9 KiB\n"))
        #expect(run.output.contains("\(home.path)/photos/again.jpg\n"))
        #expect(run.output.contains("as bakstore splits") && run.output.contains("FastCDC, 1 MiB"))
        #expect(try names() == before)
    }

    @Test func jsonHasEveryNumber() throws {
        let run = home.run("benchmark", "~/photos", "--json")
        let line = try #require(run.output.split(separator: "\n").last)
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["message_type"] as? String == "benchmark")
        #expect(object["total_file_count"] as? Int == 2 && object["total_bytes"] as? Int == 3003)
        let types = try #require(object["types"] as? [[String: Any]])
        #expect(types.map { $0["type"] as? String } == ["text"] && types[0]["bytes"] as? Int == 3003)
        let chunkings = try #require(object["chunkings"] as? [[String: Any]])
        #expect(chunkings.count == 10)
        for row in chunkings {
            #expect(row["chunk_count"] as? Int == 1 && row["different_bytes"] as? Int == 3000)
        }
        let repository = try #require(object["repository"] as? [String: Int])
        let parts = ["content_size", "index_and_header_size", "manifest_size"].compactMap { repository[$0] }
        #expect(parts.count == 3 && parts.reduce(0, +) == repository["total_size"])
        #expect((object["stages"] as? [[String: Any]])?.count == 4 && object["since"] == nil)
    }

    @Test func thePageIsWholeAndHostileNamesAreText() throws {
        let name = "<script>alert(1)</script>&\"'\u{202e}.jpg"
        let content = String(repeating: "same", count: 1000)
        // A file name cannot contain a slash, so it cannot have a closing tag.
        let hostile = name.replacingOccurrences(of: "/", with: "")
        try home.write("photos/" + hostile, content)
        try home.write("photos/b" + hostile, content)
        try home.write("page.html", "mine")
        let refused = home.run("benchmark", "~/photos", "--html", "~/page.html")
        #expect(refused.code == .failed && refused.error.contains("not a benchmark report"))
        #expect(try String(contentsOfFile: home.path + "/page.html", encoding: .utf8) == "mine")
        try home.write("page.html", "")
        #expect(home.run("benchmark", "~/photos", "--html", "~/page.html").code == .done)
        let run = home.run("benchmark", "~/photos", "--html", "~/page.html")
        #expect(run.code == .done)
        let page = try String(contentsOfFile: home.path + "/page.html", encoding: .utf8)
        #expect(page.hasPrefix("<!DOCTYPE html>") && page.hasSuffix("</html>\n"))
        #expect(page.contains("&lt;script&gt;alert(1)&lt;script&gt;&amp;&quot;&#39;\\u{202e}.jpg"))
        #expect(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"))
        #expect(page.contains("default-src 'none'"))
        for tag in ["section", "table", "tr", "td", "ul", "ol", "li", "svg", "p", "div", "code", "b"] {
            let opened =
                page.components(separatedBy: "<\(tag)>").count
                + page.components(separatedBy: "<\(tag) ").count
            #expect(opened - 1 == page.components(separatedBy: "</\(tag)>").count, "\(tag)")
        }
        #expect(try names().filter { $0.hasPrefix(".bakstore-") }.isEmpty)
    }

    @Test func aReportThatCannotBeWrittenIsSaidAtOnce() throws {
        for place in ["~/none/page.html", "~/photos", "~/photos/a.jpg/page.html"] {
            let run = home.run("benchmark", "~/photos", "--html", place)
            #expect(run.code == .failed && run.output.isEmpty && run.error.contains("cannot write"))
        }
    }

    @Test func changesSinceASnapshot() throws {
        home.run("backup", "~/photos")
        let before = try names()
        try home.write("photos/sub/b.jpg", String(repeating: "three", count: 1000))
        try home.write("photos/new.jpg", "new")
        let run = home.run("benchmark", "~/photos", "--since", "latest")
        #expect(
            run.code == .done
                && run.output.contains("1 file has changed, 4.9 KiB; new files: 1, 3 B"))
        #expect(run.output.contains("without container hints"))
        #expect(try names() == (before + ["photos/new.jpg"]).sorted())
        #expect(home.run("benchmark", "~/photos", "--since", "none").code == .failed)
    }

    @Test func whatIsMissingOrWrong() throws {
        let some = home.run("benchmark", "~/photos", "~/none")
        #expect(some.code == .incomplete && some.error.contains("skipped \(home.path)/none: "))
        #expect(some.output.contains("1 item could not be read; not counted"))
        #expect(home.run("benchmark", "~/none").code == .failed)
        #expect(home.run("benchmark").code == .usage)
        #expect(home.run("benchmark", "~/photos", "--repo", "~/none").code == .noRepository)
        #expect(home.run("benchmark", "~/photos", "--since", "latest").code == .noRepository)
        let left = home.run("benchmark", "~/photos", "--exclude", "sub", "-v")
        #expect(
            left.code == .done && left.output.contains("1 item left out")
                && left.error.contains("sub: left out"))
    }

    @Test func anInterruptionSaysWhatWasFound() {
        home.isInterrupted = true
        let run = home.run("benchmark", "~/photos")
        #expect(run.code == .interrupted && run.output.hasPrefix("interrupted. "))
    }
}
