// KnownRepositories: remembers where this user's repositories were when they were last used. From this list of places,
// a command can tell that a repository existed and is missing, because its disk is not connected or its mount point is
// empty.
//
// Always holds: the list decides nothing. No command refuses a repository because it is not listed, and no command
// fails because the list cannot be read or written.

import BakCore
import BakPosix

/// The repositories that this machine remembers. The file has `id NUL mount point NUL path NUL` for each.
struct KnownRepositories {
    /// A repository that was used here.
    struct Entry: Equatable {
        /// The id, as text.
        var id: String
        /// The mount point of its file system.
        var mountPoint: String
        /// The absolute path of its folder.
        var path: String
    }

    private let file: String?
    private(set) var entries: [Entry] = []

    private static let sizeLimit = 1 << 20
    /// With more entries, the oldest are forgotten.
    private static let mostEntries = 500

    /// Reads the list in a folder. Without a folder the list is empty.
    init(folder: [UInt8]?) {
        file = folder.map { String(decoding: $0, as: UTF8.self) + "/repositories" }
        guard let file, let bytes = try? SmallFile.readStart(path: file, count: Self.sizeLimit) else {
            return
        }
        let fields = bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast().map {
            String(decoding: $0, as: UTF8.self)
        }
        for start in stride(from: 0, to: fields.count - 2, by: 3) {
            entries.append(Entry(id: fields[start], mountPoint: fields[start + 1], path: fields[start + 2]))
        }
    }

    /// The repository that was last used at `path`.
    func entry(at path: String) -> Entry? {
        let names = Self.names(path)
        return entries.last { names.contains($0.path) }
    }

    /// The last used repository on a disk that seems to be missing: `path` is the disk's empty mount point, or lies in
    /// it. Nil if no disk seems to be missing there.
    func entry(onDiskAwayFrom path: String) -> Entry? {
        guard let place = Machine.realPath(Machine.nearestFolder(path)), place != "/",
            Machine.names(inFolder: place)?.isEmpty == true, Machine.mountPoint(of: place) != place
        else { return nil }
        return entries.last { $0.mountPoint == place }
    }

    /// Remembers the repository that lies at `path`.
    mutating func remember(_ id: ID128, at path: String) {
        guard let file, let mountPoint = Machine.mountPoint(of: path) else { return }
        let new = Self.names(path).map { Entry(id: id.description, mountPoint: mountPoint, path: $0) }
        if new.allSatisfy(entries.contains) { return }
        entries.removeAll { entry in new.contains { $0.path == entry.path } }
        entries = Array((entries + new).suffix(Self.mostEntries))
        var bytes: [UInt8] = []
        for entry in entries {
            for field in [entry.id, entry.mountPoint, entry.path] { bytes += Array(field.utf8) + [0] }
        }
        try? SmallFile.replaceMakingFolder(path: file, bytes)
    }

    /// True if a new repository at `path` could hide the remembered repository once the disk of the remembered one is
    /// back. This is possible if the new repository would lie in or beneath an empty folder, or on another file system.
    static func mayBeHidden(_ entry: Entry, by path: String) -> Bool {
        let place = Machine.nearestFolder(path)
        return Machine.names(inFolder: place)?.isEmpty == true
            || Machine.mountPoint(of: place) != entry.mountPoint
    }

    /// A folder's path in two forms: as it is written, and with links resolved. Missing components stay as they are
    /// written.
    private static func names(_ path: String) -> Set<String> {
        let written = Machine.absolutePath(path)
        let folder = Machine.nearestFolder(path)
        guard let real = Machine.realPath(folder) else { return [written] }
        let rest = path.dropFirst(
            folder == "." && path != "." && !path.hasPrefix("./") ? 0 : folder.utf8.count)
        return [written, Machine.absolutePath(String(rest.drop { $0 == "/" }), from: real)]
    }
}

extension CommandContext {
    /// Remembers where a repository lies.
    func remember(_ id: ID128, at location: RepositoryLocation) {
        guard let folder = location.folder else { return }
        var known = KnownRepositories(folder: environment.stateFolder)
        known.remember(id, at: folder)
    }

    /// The repository that this machine last used at a location; nil if it used none.
    func knownEntry(at location: RepositoryLocation) -> KnownRepositories.Entry? {
        location.folder.flatMap(KnownRepositories(folder: environment.stateFolder).entry(at:))
    }

    /// The failure for a place where a repository is missing; nil if this machine remembers none there.
    func absence(of location: RepositoryLocation) -> CommandFailure? {
        guard let entry = knownEntry(at: location) else { return nil }
        return CommandFailure(
            code: .noRepository,
            message: "the repository \(entry.id.prefix(8)) that was at \(location) is missing. "
                + "Is its disk connected? If the repository is gone for good, make a new one with: bakstore init --yes"
        )
    }
}
