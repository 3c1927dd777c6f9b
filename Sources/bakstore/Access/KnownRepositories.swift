// KnownRepositories: where this user's repositories were when they were last used, so that one which is not there can
// be told from one that never was: a disk that is not connected, an empty mount point.
//
// Always holds: it is a memory and no authority. Nothing is refused because a repository is not in it, and that it
// cannot be read or written hurts nothing.

import BakCore
import BakPosix

/// What this machine remembers of repositories. The file is `id NUL mount point NUL path NUL` for each.
struct KnownRepositories {
    /// One that was used here.
    struct Entry: Equatable {
        /// Its id, as text.
        var id: String
        /// The mount point that it lay beneath.
        var mountPoint: String
        /// Its folder, absolute.
        var path: String
    }

    private let file: String?
    private(set) var entries: [Entry] = []

    private static let sizeLimit = 1 << 20
    /// The oldest are forgotten.
    private static let mostEntries = 500

    /// Reads what is remembered in a folder; nothing without one.
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

    /// What was at `path` when it was last used.
    func entry(at path: String) -> Entry? {
        let names = Self.names(path)
        return entries.last { names.contains($0.path) }
    }

    /// One that lay on the disk of an empty mount point which `path` is, or lies in.
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

    /// Whether a new repository at `path` could hide that one when its disk comes back: the place is an empty folder or
    /// beneath one, or on another file system than before.
    static func mayBeHidden(_ entry: Entry, by path: String) -> Bool {
        let place = Machine.nearestFolder(path)
        return Machine.names(inFolder: place)?.isEmpty == true
            || Machine.mountPoint(of: place) != entry.mountPoint
    }

    /// A folder's path as it is written and without links; what is not there counts as it is written.
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

    /// What was at a location when it was last used.
    func knownEntry(at location: RepositoryLocation) -> KnownRepositories.Entry? {
        location.folder.flatMap(KnownRepositories(folder: environment.stateFolder).entry(at:))
    }

    /// What to say of a place where a repository was and is not: nil where none was.
    func absence(of location: RepositoryLocation) -> CommandFailure? {
        guard let entry = knownEntry(at: location) else { return nil }
        return CommandFailure(
            code: .noRepository,
            message: "the repository \(entry.id.prefix(8)) that was at \(location) is not there; "
                + "is its disk connected? If it is gone for good, make a new one with: bakstore init --yes")
    }
}
