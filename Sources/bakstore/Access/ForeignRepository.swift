// ForeignRepository: recognises repositories of other backup programs by their files.

import BakPosix

/// Another program's repository.
enum ForeignRepository {
    /// The kind of repository in `folder`, with its article; nil if it belongs to no known program.
    static func program(in folder: String) -> String? {
        guard let names = Machine.names(inFolder: folder) else { return nil }
        let has = { (name: String) in names.contains { $0.elementsEqual(name.utf8) } }
        let hasAny = { (start: String) in names.contains { $0.starts(with: start.utf8) } }
        if hasAny("kopia.repository") || hasAny("kopia.blobcfg") { return "a kopia repository" }
        if begins("\(folder)/config", with: "[repository]")
            || begins("\(folder)/README", with: "This is a Borg Backup repository")
        {
            return "a borg repository"
        }
        if has("config"), ["data", "keys", "snapshots"].allSatisfy(has),
            Machine.isFolder("\(folder)/data") == true
        {
            return "a restic (or rustic) repository"
        }
        if has("config"), has("chunks"), has("snapshots") { return "a duplicacy storage" }
        if hasAny("duplicati-") { return "a Duplicati backup" }
        if hasAny("duplicity-full") || hasAny("duplicity-inc") { return "a duplicity backup" }
        if has("rdiff-backup-data") { return "an rdiff-backup repository" }
        return nil
    }

    private static func begins(_ path: String, with text: String) -> Bool {
        // A file by which a repository is recognised is smaller than this. `readStart` does not wait for a pipe.
        let most = 64 << 10
        guard let bytes = try? SmallFile.readStart(path: path, count: most + 1), bytes.count <= most else {
            return false
        }
        let start = bytes.drop { [0x20, 0x09, 0x0a, 0x0d].contains($0) }
        return start.starts(with: text.utf8)
    }

    /// The refusal to use another program's repository; nil if the folder is not one.
    static func refusal(_ folder: String) -> CommandFailure? {
        program(in: folder).map { program in
            CommandFailure(
                code: .noRepository,
                message:
                    "\(folder) is \(program), which bakstore cannot read. Use that program, or name "
                    + "another folder with --repo. To move its files here, restore them with that program and back them up"
            )
        }
    }
}
