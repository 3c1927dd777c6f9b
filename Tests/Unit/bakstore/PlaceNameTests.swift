// The program takes a name either for a file or folder on this machine or for an address, wherever a user can write it.

import Foundation
import Testing

@testable import bakstore

@Suite struct PlaceNameTests {
    static let addresses = [
        "s3:s3.amazonaws.com/bucket", "s3://bucket", "sftp:nas:/backups", "sftp://me@nas/backups",
        "rest:http://nas:8000/",
        "b2:bucket:path", "rclone:remote:path", "azure:c:/", "gs:bucket:/", "swift:c:/", "ssh://me@nas/./r",
        "http://x/y",
        "https://x/y", "smb://nas/photos", "nfs://nas/x", "ftp://x", "mtp://phone/", "gphoto2://x",
        "me@nas:/backups",
        "me@nas:backups", "nas:/backups", "nas.local:backups", "me@[fe80::1]:/x", "local:/x", "file://nas/x",
        "S3:x", "x+y.z-1:w", ":local:/x", ":s3,env_auth:bucket", "My Drive:/Pictures", "äx:/b",
        "//nas/share", "//nas", #"\\nas\share"#, #"C:\Users\me"#, "C:/Users", "d:", "~", "~/backup",
        "~me/backup", "$HOME",
        "$HOME/backup", "foo/$HOME/b", "foo/${USER}", "${HOME}/backup", "$(pwd)/x", #"%USERPROFILE%\x"#,
        "file:~/x", "file:",
    ]
    static let folders = [
        "x", "x/y", "/x", "/", ".", "..", "./s3:x", "/s3:x", "x/s3:y", "./~/x", "./$HOME/x", "~x", "a~", "$",
        "$1.jpg", "$x.jpg",
        "backup 12:30", "ä:x", ":x", "My Drive: 2024", "///x", "/media/me/USB DISK/b:c", "%", "%x", "@", "-x",
        "./:x",
        "./-", "x/$x.jpg", "./foo/$HOME/b", "/foo/$HOME/b", "a b", "file:///x", "FILE:///x",
        "file://localhost/x", "file:/x", "file:x", "./C:",
    ]

    @Test(arguments: addresses) func anAddressIsRefused(text: String) {
        #expect(PlaceName.objection(to: Array(text.utf8)) != nil)
    }

    @Test(arguments: folders) func aFolderIsTaken(text: String) {
        #expect(PlaceName.objection(to: Array(text.utf8)) == nil)
    }

    @Test(arguments: addresses) func whateverIsRefusedHasAWayRound(text: String) {
        #expect(PlaceName.objection(to: Array("./\(text)".utf8)) == nil)
        #expect(PlaceName.path(Array("./\(text)".utf8)) == Array("./\(text)".utf8))
    }

    /// Control characters and names of only spaces are refused, even after a prefix such as `/` that marks a path.
    @Test(arguments: ["x\r", "x\n", "/x\r", "./x\n", "x\ty", "\u{1b}[m", " ", "  ", "\t", "x\u{7f}"])
    func theEndOfALineIsNoName(text: String) {
        #expect(PlaceName.objection(to: Array(text.utf8)) != nil)
        #expect(NameSlip.objection(to: Array(text.utf8)) != nil)
    }

    @Test func aDashIsNoFolder() { #expect(PlaceName.objection(to: Array("-".utf8)) != nil) }

    @Test func fileAddressesNameFolders() {
        let path = { (text: String) in String(decoding: PlaceName.path(Array(text.utf8)), as: UTF8.self) }
        #expect(path("file:///a%20b/%C3%A4") == "/a b/ä")
        #expect(path("file://localhost/x") == "/x")
        #expect(path("file:/a%20b") == "/a%20b")
        #expect(path("file:x") == "x")
        #expect(
            path("file:///100%") == "/100%" && path("file:///%4") == "/%4" && path("file:///%+1") == "/%+1")
        #expect(PlaceName.objection(to: Array("file:///a%00b".utf8)) != nil)
    }
}

/// Addresses in every place where a user can name a repository, a folder or a file.
@Suite(.serialized) struct AddressTests {
    let home: Home

    init() throws { home = try Home() }

    private static let lines = [
        ["init", "--repo", "@"], ["init", "-r@"], ["backup", "~/photos", "--repo=@"],
        ["snapshots", "-r", "@"],
        ["init", "--from-repo", "@", "--copy-chunker-params"], ["copy", "--from-repo", "@"],
        ["restore", "latest", "--target", "@"], ["backup", "~/photos", "--exclude-file", "@"],
        ["backup", "--files-from", "@"], ["backup", "--files-from-raw", "@"],
        ["snapshots", "--password-file", "@"],
        ["copy", "--from-repo", "x", "--from-password-file", "@"],
        ["key", "passwd", "--new-password-file", "@"],
        ["benchmark", "~/photos", "--html", "@"], ["snapshots", "--path", "@"], ["backup", "@"],
        ["benchmark", "@"],
        ["safe-to-delete", "@"],
    ]

    @Test(arguments: lines) func flagsAndOperandsRefuseIt(line: [String]) throws {
        for address in PlaceNameTests.addresses where address != "~/backup" && address != "file:~/x" {
            let words = line.map { $0.replacingOccurrences(of: "@", with: address) }
            let result = home.run(words: words)
            #expect(result.code == .usage, "\(words) \(result.error)")
            #expect(
                result.error.contains(address.replacingOccurrences(of: "\\", with: "\\\\")), "\(result.error)"
            )
        }
        #expect(!home.has(Home.defaultRepository))
    }

    @Test(arguments: [
        "BAKSTORE_REPOSITORY", "BAKSTORE_REPOSITORY_FILE", "BAKSTORE_PASSWORD_FILE",
        "BAKSTORE_FROM_PASSWORD_FILE",
        "BAKSTORE_CACHE_DIR",
    ])
    func variablesRefuseIt(name: String) {
        for address in PlaceNameTests.addresses {
            home.variables[name] = address
            let result = home.run("backup", "~/photos")
            #expect(result.code == .usage && result.error.contains(name), "\(address) \(result.error)")
        }
        #expect(!home.has(Home.defaultRepository))
    }

    @Test func filesThatNameARepositoryAndProfilesRefuseIt() throws {
        for address in PlaceNameTests.addresses {
            try home.write("where", "\u{feff}\r\n\(address)\r\n")
            home.variables["BAKSTORE_REPOSITORY_FILE"] = home.path + "/where"
            let named = home.run("backup", "~/photos")
            #expect(named.code == .usage && named.error.contains("/where:2 "), "\(named.error)")
            home.variables = ["HOME": home.path]
            // No shell replaces `~` in a profile, so the program does.
            if address == "~" || address == "~/backup" { continue }
            for key in ["repository", "password-file"] {
                try home.write(".config/bakstore/config.toml", "[profile.default]\n\(key) = '\(address)'\n")
                let profile = home.run("backup", "~/photos")
                #expect(
                    profile.code == .usage && profile.error.contains("config.toml:2: \(key)"),
                    "\(profile.error)")
            }
            try FileManager.default.removeItem(atPath: home.path + "/.config")
            try home.write("list", "\(address)\n")
            let listed = home.run("backup", "--files-from", "~/list")
            #expect(listed.code == .usage && listed.error.contains("/list:1 "), "\(listed.error)")
        }
        #expect(!home.has(Home.defaultRepository))
    }

    @Test func marksAndEndsOfLinesAreNoPartOfAPath() throws {
        try home.write("where", "\u{feff}\(home.path)/repo\r\n")
        home.variables["BAKSTORE_REPOSITORY_FILE"] = home.path + "/where"
        #expect(home.run("init").code == .done && home.has("repo/config"))
        try home.write("list", "\u{feff}\(home.path)/photos\r\n# no\r\n\r\n\(home.path)/where\r\n")
        let listed = home.run("backup", "--files-from", "~/list")
        #expect(listed.code == .done && listed.output.contains("3 new files"), "\(listed.error)")
        try Data([0xff, 0xfe, 0x2f, 0]).write(to: URL(fileURLWithPath: home.path + "/wide"))
        for flag in ["--files-from", "--exclude-file"] {
            let wide = home.run("backup", "~/photos", flag, "~/wide")
            #expect(wide.code == .usage && wide.error.contains("UTF-16"), "\(wide.error)")
        }
        home.variables["BAKSTORE_REPOSITORY_FILE"] = home.path + "/wide"
        #expect(home.run("snapshots").error.contains("UTF-16"))
        home.variables = ["HOME": home.path]
        try home.write(
            ".config/bakstore/config.toml",
            "\u{feff}[profile.default]\r\nrepository = '\(home.path)/repo'\r\n")
        #expect(home.run("snapshots").code == .done)
    }

    @Test func aPasswordIsTheSameWithAMark() throws {
        try home.write("plain", "secret")
        try home.write("marked", "\u{feff}secret\r\n")
        #expect(
            home.run("init", "-r", "~/r", "--encryption", "auto", "--password-file", "~/marked").code == .done
        )
        #expect(home.run("snapshots", "-r", "~/r", "--password-file", "~/plain").code == .done)
        try Data([0xfe, 0xff, 0, 0x61]).write(to: URL(fileURLWithPath: home.path + "/wide"))
        #expect(home.run("snapshots", "-r", "~/r", "--password-file", "~/wide").error.contains("UTF-16"))
        try home.write("empty", "\u{feff}\n")
        #expect(home.run("snapshots", "-r", "~/r", "--password-file", "~/empty").code == .wrongPassword)
    }
}
