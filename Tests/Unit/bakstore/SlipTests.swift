// Typing errors: the program either reports them, or they do no harm.

import BakCore
import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct SlipTests {
    let home: Home

    init() throws { home = try Home() }

    @Test func blanksAroundTagsDoNotCount() throws {
        #expect(Labels.split(" a ,b,, \t,\u{a0}c d ") == ["a", "b", "c d"])
        #expect(home.run("backup", "~/photos", "-d", "x", "--tag", "holiday, keep").code == .done)
        try home.write("photos/c.jpg", "three")
        #expect(home.run("backup", "~/photos", "-d", "x").code == .done)
        #expect(home.run("snapshots", "--tag", "keep ,holiday").output.contains("[holiday, keep]"))
        let run = home.run("forget", "--keep-last", "1", "--keep-tag", " keep ")
        #expect(run.code == .done && run.output.contains("has tags [keep]"))
        #expect(home.run("snapshots", "-q").output.contains("[holiday, keep]"))
        #expect(home.run("tag", "--tag", "keep", "--remove", "holiday, keep").output.contains("no tags"))
    }

    @Test func aKeptTagThatNothingHasIsNamed() throws {
        #expect(home.run("backup", "~/photos", "--tag", "keep").code == .done)
        let slip = home.run("forget", "--keep-last", "1", "--keep-tag", "kepe", "-n")
        #expect(slip.error.contains("no matching snapshots for --keep-tag kepe. Did you mean keep?"))
        let both = home.run("forget", "--keep-last", "1", "--keep-tag", "keep,other", "-n")
        #expect(both.error.contains("no matching snapshots for --keep-tag keep,other, so it keeps nothing"))
        #expect(home.run("forget", "--keep-last", "1", "--keep-tag", "keep", "-n").error.isEmpty)
    }

    @Test(arguments: [
        ["snapshots", "--repo", " "], ["snapshots", "--repo", "r\n"], ["snapshots", "--repo", "-"],
        ["init", "--repo", "foo/$HOME/b"], ["init", "--repo", "/x\r"], ["backup", "x", "--device", " "],
        ["backup", "x", "--device", "a\r"], ["backup", "x", "--host", "\t"], ["backup", "x", "--tag", " , "],
        ["backup", "x", "--tag", "a\r"], ["snapshots", "--tag", ","], ["tag", "latest", "--add", " "],
        ["forget", "--keep-tag", " , "], ["key", "add", "--name", " "], ["key", "add", "--name", "a\n"],
        ["restore", "latest", "--target", "-"], ["restore", "latest", "--target", "x\n"],
        ["snapshots", "--password-file", "-"], ["snapshots", "--password-command", " "],
        ["benchmark", "x", "--html", "-"], ["backup", "--stdin", "--stdin-filename", " "],
        ["snapshots", "--profile", " "],
    ])
    func whatIsSurelyASlipIsRefused(words: [String]) {
        let run = home.run(words: words)
        #expect(run.code == .usage, "\(words): \(run.error)")
        #expect(!home.has(Home.defaultRepository))
    }

    @Test func aCopyAdvisesAboutItsSource() {
        #expect(
            home.run("init", "-r", "~/one").code == .done && home.run("init", "-r", "~/two").code == .done)
        #expect(home.run("backup", "~/photos", "-r", "~/one").code == .done)
        let run = home.run("copy", "--from-repo", "~/one", "-r", "~/two", "-d", "nosuch")
        #expect(run.code == .incomplete && run.error.contains("bakstore snapshots --repo \(home.path)/one\n"))
    }

    @Test func aRestoreOfADoubtfulSnapshotSaysWhichHasTheFiles() throws {
        #expect(home.run("backup", "~/photos").code == .done)
        let earlier = home.run("snapshots", "-q").output.split(separator: "\n")[2].prefix(8)
        for name in ["a.jpg", "sub"] {
            try FileManager.default.removeItem(atPath: home.path + "/photos/" + name)
        }
        #expect(home.run("backup", "~/photos").code == .incomplete)
        for flags in [[], ["-q"], ["-n"]] {
            let run = home.run(words: ["restore", "latest", "-t", "~/out"] + flags)
            #expect(run.code == .incomplete && run.error.contains("is in doubt"))
            #expect(run.error.contains("Snapshot \(earlier) of "))
        }
        #expect(home.run("restore", String(earlier), "-t", "~/out").code == .done)
        #expect(home.run("backup", "~/photos", "--allow-empty").code == .done)
        #expect(home.run("restore", "latest", "-t", "~/out").code == .done)
    }

    @Test func anArchiveTakesNamesAsTheyArePrinted() throws {
        for name in [#"back\slash"#, "caf\u{e9}", "bell\u{7}"] { try home.write("photos/" + name, name) }
        try home.write("photos/d", "d")
        try home.write("photos/e", "e")
        #expect(home.run("backup", "~/photos", "--archive").code == .done)
        for printed in [#"back\\slash"#, #"caf\u{e9}"#, #"bell\x07"#] {
            let run = home.run("archive", "remove", "latest:\(home.path)/photos/\(printed)", "-f", "-y")
            #expect(run.code == .done && run.output.contains("removed 1 file"), "\(printed): \(run.error)")
        }
    }

    /// Names that would look the same in ASCII are printed differently. The program accepts each name as it was
    /// printed.
    @Test func namesStayApartInASCII() throws {
        let names = ["a...", "a\u{2026}", "10.00 AM", "10.00\u{202f}AM", "it's", "it\u{2019}s"]
        for name in names { try home.write("photos/" + name, name) }
        home.variables["LC_ALL"] = "C"
        #expect(home.run("backup", "~/photos").code == .done)
        let lines = home.run("ls", "latest:\(home.path)/photos").output.split(separator: "\n").map(
            String.init)
        #expect(Set(lines).count == lines.count && lines.count > names.count)
        let contents = lines.map { home.run("cat", "latest:\($0)").output }
        #expect(Set(names).isSubset(of: contents))
    }

    @Test func aPatternThatWasMeantIsWrittenAsOne() throws {
        try home.write("photos/[x]", "x")
        #expect(home.run("backup", "~/photos").code == .done)
        let run = home.run("restore", "latest", "-t", "~/out", "--include", "~/photos/[x]")
        let meant = #"\#(home.path)/photos/\[x\]"#
        #expect(run.code == .incomplete && run.error.contains("Did you mean \(meant)?"))
        #expect(home.run("restore", "latest", "-t", "~/out", "--include", meant).code == .done)
    }

    @Test func patternsThatMatchNothingGetAHint() {
        let run = home.run("backup", "~/photos", "--exclude", "'*.jpg'", "--exclude", "*.{jpg,JPG}")
        #expect(run.error.contains("with a quote") && run.error.contains("contains braces"))
        #expect(home.run("backup", "~/photos", "--exclude", "SUB/").output.contains("--iexclude does not"))
        #expect(!home.run("backup", "~/photos", "--iexclude", "none").output.contains("--iexclude does not"))
    }
}
