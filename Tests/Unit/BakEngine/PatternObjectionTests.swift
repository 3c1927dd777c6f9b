// A warning about patterns that can match nothing.

import BakCore
import TestSupport
import Testing

@testable import BakEngine

@Suite struct PatternObjectionTests {
    private func doubt(_ pattern: String, _ roots: [String] = ["home/me/Pictures", "srv"]) throws -> String? {
        try PathPattern(bytes(pattern), origin: "test").objection(beneath: roots.map(bytes))
    }

    @Test(arguments: [
        "../x", "a/../b", "~/x", "~me/x", "!~/x", "$HOME", "$HOME/x", "${HOME}/x", "*.tmp ", "*.tmp\t",
        "*.tmp\r", " *.tmp",
        #"Pictures\Thumbs"#, "/home/me/Videos", "/home", "/home/me", "/etc/*", "/home/me/pictures/x",
        "/h*/me/Videos/x",
        "!/etc", "/homes/**/x", "/srv2/**", "'*.JPG'", #""x y""#, "*.{jpg,JPG}", "a/{b,c}/d",
    ])
    func matchNothing(pattern: String) throws {
        #expect(try doubt(pattern) != nil)
    }

    @Test(arguments: [
        "*.tmp", "x", "./x", "x/", "!x", "cache/thumbs", "**", "/**", "/**/x", "/home/me/Pictures",
        "/home/me/Pictures/",
        "/home/me/Pictures/x/y", "/home/*/Pictures/x", "/h*/**/x", "/srv/x", "!/srv/x", "~", "a~", "~x",
        "a b", #"a\ "#, #"\*.tmp"#,
        "$1.jpg/x", "#x#", "/home/**/x", "it's", "'", "''", "{x}", #"\{a,b}"#, "a,b", "}a,{b",
    ])
    func matchSomething(pattern: String) throws {
        let doubt = try doubt(pattern)
        #expect(doubt == nil, "\(doubt ?? "")")
    }

    @Test func everythingCanBeMatchedBeneathTheRootOfEverything() throws {
        #expect(try doubt("/etc/x", [""]) == nil)
        #expect(
            try PathPattern(bytes("/HOME/x"), origin: "", ignoringCase: true).objection(beneath: [
                bytes("home")
            ])
                == nil)
    }

    /// If a pattern gets the warning, it matches nothing, as shown on random patterns, roots and paths.
    @Test func whatIsSaidIsTrue() throws {
        let numbers = SeededRandom(seed: 7)
        let names = ["a", "b", "*", "**", "?", "ab"]
        for _ in 0..<20_000 {
            let part = { (count: Int) in
                (0..<count).map { _ in names[Int(numbers.next() % UInt64(names.count))] }.joined(
                    separator: "/")
            }
            let text = "/" + part(1 + Int(numbers.next() % 3))
            let plain = { (count: Int) in
                (0..<count).map { _ in ["a", "b", "ab"][Int(numbers.next() % 3)] }.joined(separator: "/")
            }
            let root = plain(1 + Int(numbers.next() % 3))
            let path = root + (numbers.next() % 2 == 0 ? "" : "/" + plain(1 + Int(numbers.next() % 2)))
            let pattern = try PathPattern(bytes(text), origin: "test")
            let matches = pattern.matches(
                bytes(path).split(separator: UInt8(ascii: "/"))[...], isFolder: true)
            if matches { #expect(try doubt(text, [root]) == nil, "\(text) \(root) \(path)") }
        }
    }

    @Test func ignoreFilesTellWhatMatchesNothing() {
        let rules = { IgnoreRules(bytes($0), path: "/x/.bakignore").remarks }
        #expect(rules("*.tmp\n# ../x\n/a/b\n!keep\n  \n\\#x\r\n").isEmpty)
        #expect(
            rules("*.tmp\n../x\n~/y\n[a\n").map { $0.prefix(16) } == [
                "/x/.bakignore:2:", "/x/.bakignore:3:", "/x/.bakignore:4:",
            ])
        #expect(IgnoreRules([0xff, 0xfe, 0x61, 0], path: "p").remarks.count == 1)
    }
}
