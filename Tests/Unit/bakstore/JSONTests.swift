// Every object that --json writes has the members in docs/json.md with their types, and no other members.

import BakCore
import BakFormat
import Foundation
import Testing

@testable import bakstore

@Suite(.serialized) struct JSONTests {
    let home: Home
    let schema: JSONSchema

    init() throws { (home, schema) = (try Home(), try JSONSchema()) }

    /// Runs a command with --json and checks each line. Returns the types of the objects.
    @discardableResult
    private func run(_ words: String..., terminal: RecordingTerminal = RecordingTerminal()) -> [String] {
        let result = home.run(words: words + ["--json"], terminal: terminal)
        let lines = (result.output + result.error).split(separator: "\n").map(String.init)
        for line in lines {
            let complaint = schema.complaint(about: line)
            #expect(complaint == nil, "\(words.joined(separator: " ")): \(complaint ?? "")")
        }
        return lines.compactMap { line in
            (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["message_type"]
                as? String
        }
    }

    @Test func everyTypeHasATable() {
        let types = Set(Message.Kind.allCases.map(\.rawValue))
        // Parts of objects have tables, too.
        #expect(schema.kinds.subtracting(["record", "chunking"]) == types)
    }

    @Test func whatIsNotDescribedIsFound() {
        #expect(schema.complaint(about: #"{"message_type":"version","version":"1"}"#) == nil)
        for line in [
            "[]", "{}", #"{"message_type":"version"}"#, #"{"message_type":"version","version":1}"#,
            #"{"message_type":"version","version":"1","more":true}"#,
            #"{"message_type":"versions","version":"1"}"#,
            #"{"message_type":"exit_error","code":true,"message":""}"#,
            #"{"message_type":"key_added","id":"0a"}"#,
            #"{"message_type":"group","kind":"x","items":[{"paths":""}]}"#,
            #"{"message_type":"error","error":{}}"#,
        ] {
            #expect(schema.complaint(about: line) != nil, "\(line)")
        }
    }

    @Test func backupsAndWhatBecomesOfThem() throws {
        let odd = Array("\(home.path)/photos/".utf8) + [0xff]
        let path = String(decoding: odd, as: UTF8.self)
        #expect(path.utf8.count > odd.count)
        let file = fopen((odd + [0]).map { CChar(bitPattern: $0) }, "w")
        try #require(file != nil)
        fclose(file)
        try home.write("photos/IMG_1.HEIC", "x")
        try home.write("photos/IMG_1.MOV", "y")
        try home.write("photos/x.tmp", "z")
        #expect(run("init") == ["initialized"] || home.has(Home.defaultRepository))
        let first = run("backup", "~/photos", "~/none", "-vv", "--exclude", "*.tmp", "--exclude", "nothing")
        #expect(Set(first).isSuperset(of: ["verbose_status", "excluded", "error", "summary"]))
        #expect(run("snapshots").contains("snapshot"))
        #expect(run("ls", "-R", "latest").contains("node"))
        #expect(run("ls", "--groups", "-R", "latest").contains("group"))
        #expect(run("stats").contains("stats") && run("stats", "latest").contains("stats"))
        #expect(run("restore", "latest", "-t", "~/out", "-v").contains("verbose_status"))
        run("restore", "latest", "-t", "~/out", "-n", "--overwrite", "never")
        #expect(run("tag", "latest", "--add", "a").contains("changed"))
        #expect(run("safe-to-delete", "~/photos").contains("file"))
        #expect(run("benchmark", "~/photos").contains("benchmark"))
        run("benchmark", "~/photos", "--since", "latest")
        #expect(run("check", "--read-data").contains("summary"))
        #expect(run("backup", "~/photos", "--archive", "-f").contains("summary"))
        try FileManager.default.removeItem(atPath: home.path + "/photos/a.jpg")
        run("backup", "~/photos", "-v")
        run("ls", "-R", "latest")
        #expect(run("archive", "remove", "latest:\(home.path)/photos/a.jpg", "-y").contains("summary"))
        #expect(run("forget", "--keep-last", "1", "-n").contains("forget_group"))
        let removed = run("forget", "--keep-last", "1", "--group-by", "host,tags", "-y")
        #expect(removed.contains("forget_group") && removed.contains("summary"))
        #expect(run("forget", "--undo").contains("taken_back"))
        #expect(run("forget", "latest", "-y").contains("vouched_file") || !removed.isEmpty)
        #expect(run("prune", "-y", "--keep-last", "1").contains("summary"))
        #expect(run("nonsense") == ["exit_error"])
        #expect(run("version") == ["version"] && run("help", "backup") == ["help"])
        for name in ["a.jpg", "sub", "IMG_1.HEIC", "IMG_1.MOV"] {
            try? FileManager.default.removeItem(atPath: home.path + "/photos/" + name)
        }
        run("backup", "~/photos", "--no-archive")
    }

    @Test func copiesAndKeys() throws {
        try home.write("password", "secret")
        #expect(
            run("init", "-r", "~/a", "--encryption", "auto", "--password-file", "~/password").contains(
                "initialized"))
        let key = ["-r", "~/a", "--password-file", "~/password"]
        #expect(run("key", "list", key[0], key[1], key[2], key[3]).contains("key"))
        try home.write("second", "other")
        let added = run("key", "add", key[0], key[1], key[2], key[3], "--new-password-file", "~/second")
        #expect(added.contains("key_added"))
        let changed = run("key", "passwd", key[0], key[1], key[2], key[3], "--new-password-file", "~/second")
        #expect(changed.contains("key_changed"))
        let second = ["-r", "~/a", "--password-file", "~/second"]
        #expect(run("key", "cache", second[0], second[1], second[2], second[3]) == ["key_cached"])
        #expect(run("key", "uncache", "-r", "~/a") == ["key_uncached"])
        #expect(run("check", "-r", "~/a", "--without-key") == ["summary"])
        run("init", "-r", "~/b")
        run("init", "-r", "~/c", "--from-repo", "~/b", "--copy-chunker-params")
        run("backup", "~/photos", "-r", "~/b", "--tag", "x")
        #expect(run("copy", "--from-repo", "~/b", "-r", "~/c").contains("copied"))
        run("tag", "latest", "--add", "y", "-r", "~/b")
        let again = run("copy", "--from-repo", "~/b", "-r", "~/c", "-v")
        #expect(again.contains("skipped") || again.contains("renewed"))
    }

    /// Each object gets one changed byte. The output of a check and of the repairs must match the tables.
    @Test func damageAndRepairs() throws {
        for number in 0..<8 {
            try home.write("photos/\(number)", String(repeating: "\(number)", count: 50_000 + number))
        }
        run("init", "-r", "~/r", "--pack-size", "1M")
        run("backup", "~/photos", "-r", "~/r", "--compression", "off")
        let folder = URL(fileURLWithPath: home.path + "/r/packs")
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var seen: Set<String> = []
        for case let file as URL in files {
            guard var bytes = try? Data(contentsOf: file) else { continue }
            // Packs and other objects may be read-only.
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file.path)
            bytes[bytes.count / 3] ^= 1
            try bytes.write(to: file)
        }
        seen.formUnion(run("check", "--read-data", "-r", "~/r"))
        for kind in ["index", "packs", "snapshots"] { seen.formUnion(run("repair", kind, "-r", "~/r")) }
        seen.formUnion(run("restore", "latest", "-t", "~/out", "-r", "~/r"))
        #expect(seen.isSuperset(of: ["damage", "summary"]), "\(seen)")
    }

    @Test func findingsAndProgress() {
        let kinds: [Message.Kind] = [.damage, .unreadable, .unsupported, .harmless, .unused]
        for kind in kinds {
            let line = Message.finding(kind, object: "packs/0a", "", reason: "x").json
            #expect(schema.complaint(about: String(decoding: line, as: UTF8.self)) == nil)
        }
        var progress = Progress()
        for countsObjects in [false, true] {
            (progress.countsObjects, progress.bytes, progress.totalBytes) = (countsObjects, 5, 10)
            (progress.files, progress.totalFiles, progress.step) = (1, 2, countsObjects ? "x" : nil)
            (progress.totalsAreFinal, progress.currentFiles) = (true, [[0x2f, 0xff]])
            let line = String(decoding: ProgressLine.json(progress, seconds: 3), as: UTF8.self)
            #expect(schema.complaint(about: line) == nil, "\(schema.complaint(about: line) ?? "")")
        }
    }
}
