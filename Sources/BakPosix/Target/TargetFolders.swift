// TargetFolders: opens the folders beneath a restore target. Calls on an entry are relative to the descriptor of its
// folder.
//
// Always holds: folders are opened beneath the target without following a symbolic link. Only the few folders that were
// used last stay open.
//
// A folder of this user may deny its owner access that the restore needs. Then the restore lends the folder rights: it
// adds all of the owner's rights to the mode. `putBack` sets the former mode again, unless the restore has set the
// folder's own mode meanwhile.

import BakCore
import CLinux
import Glibc
import Synchronization

/// An open folder, and whether it hands down an ACL.
private final class OpenFolder: Sendable {
    let descriptor: Descriptor
    /// Whether new entries in the folder may inherit an ACL: 0 unknown, 1 no, 2 yes.
    private let handing = Atomic<UInt8>(0)

    init(_ descriptor: Descriptor) { self.descriptor = descriptor }

    var mayHandDownList: Bool {
        let known = handing.load(ordering: .relaxed)
        if known != 0 { return known == 2 }
        let answer = AttributeHolder(descriptor.number, isPathOnly: true).mayHandDownList
        handing.store(answer ? 2 : 1, ordering: .relaxed)
        return answer
    }
}

/// A path as the key of a small table. The hash covers only the length and the last 64 bytes: few paths of one length
/// end alike, and hashing the whole of a long path would cost far more.
private struct PathKey: Hashable {
    let bytes: [UInt8]

    static func == (left: PathKey, right: PathKey) -> Bool {
        left.bytes.count == right.bytes.count
            && PathOrder.sharedBytes(left.bytes, right.bytes) == left.bytes.count
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(bytes.count)
        bytes.withUnsafeBytes { hasher.combine(bytes: .init(rebasing: $0.suffix(64))) }
    }
}

/// The open folders of a target. Any thread may use it.
final class TargetFolders: @unchecked Sendable {
    let top: FixedFolder
    private let monitor = Monitor()
    private var recent: RecentlyUsed<PathKey, OpenFolder>
    private let topFolder: OpenFolder
    private let capacity: Int
    /// The original modes of the folders that were lent rights.
    private var lent: [[UInt8]: mode_t] = [:]

    private static let allRights: mode_t = 0o700

    /// Keeps at most `capacity` folders open beside the top.
    init(_ top: FixedFolder, capacity: Int) {
        self.top = top
        topFolder = OpenFolder(top.descriptor)
        self.capacity = capacity
        recent = RecentlyUsed(capacity: capacity)
    }

    /// Opens the folder at `path` as the target's top. If the mode denies its owner reading, lends the folder rights
    /// and also returns the former mode.
    static func openTop(_ path: String) throws(Errno) -> (folder: Descriptor, lent: mode_t?) {
        do throws(Errno) {
            return (try Descriptor.open(path, O_RDONLY | O_DIRECTORY), nil)
        } catch {
            guard error.code == EACCES else { throw error }
            let reached = try Descriptor.open(path, linux_O_PATH.flag | O_DIRECTORY)
            guard let mode = lendRights(reached) else { throw error }
            return (try Descriptor.open(path, O_RDONLY | O_DIRECTORY), mode)
        }
    }

    /// Records the former mode of the top if `openTop` lent it rights; nil means that it did not.
    func noteTop(lent mode: mode_t?) { if let mode { monitor.locked { lent[[]] = mode } } }

    /// Runs `body` with the open parent of `path` and its last component. Tries to mend three kinds of failure, and
    /// then runs `body` a second time. If the kept descriptor is that of a removed folder, drops it. If too many files
    /// are open, closes all kept folders. If a folder on the way denies its owner access, lends it rights.
    ///
    /// - Parameter expectsMissing: true if ENOENT is an ordinary answer, so that `body` is not run again.
    func withParent<Result>(
        of path: [UInt8], expectsMissing: Bool = false,
        _ body: (Descriptor, UnsafePointer<CChar>) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        do throws(Errno) {
            return try once(path, body)
        } catch {
            switch error.code {
            case ENOENT, ESTALE, ENOTDIR:
                if expectsMissing { throw error }
                guard forgetIfGone(Self.folder(of: path)) else { throw error }
            case EMFILE, ENFILE: forgetAll()
            case EACCES: guard lendRights(to: Self.folder(of: path)) else { throw error }
            default: throw error
            }
            return try once(path, body)
        }
    }

    /// Opens the folder at `path` for reading, or the top if the path is empty.
    func open(_ path: [UInt8], givingRights: Bool) throws(Errno) -> Descriptor {
        do throws(Errno) {
            return try top.open(path, O_RDONLY | O_DIRECTORY)
        } catch {
            guard error.code == EACCES, givingRights, lendRights(to: path[...]) else { throw error }
            return try top.open(path, O_RDONLY | O_DIRECTORY)
        }
    }

    /// Records that the folder now has its own metadata: `putBack` no longer changes its mode. Drops its descriptor, so
    /// that the next use finds out again whether the folder hands down an ACL.
    func keepMode(_ path: [UInt8]) {
        monitor.locked {
            if !lent.isEmpty { lent[path] = nil }
            recent.remove(PathKey(bytes: path))
        }
    }

    /// The mode that a folder had before it was lent rights; nil if it was not.
    func lentMode(_ path: [UInt8]) -> mode_t? { monitor.locked { lent[path] } }

    /// Takes back the rights that were lent.
    func putBack() {
        forgetAll()
        let modes = monitor.locked {
            defer { lent = [:] }
            return lent
        }
        // The deepest come first, because a folder is reached through its parents.
        for (path, mode) in modes.sorted(by: { $0.key.count > $1.key.count }) {
            guard let folder = try? top.open(path, linux_O_PATH.flag | O_DIRECTORY),
                let status = try? folder.status(), status.st_mode & 0o7777 == mode | Self.allRights
            else { continue }
            chmod("/proc/self/fd/\(folder.number)", mode)
        }
    }

    private static func folder(of path: [UInt8]) -> ArraySlice<UInt8> {
        path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)]
    }

    private func once<Result>(
        _ path: [UInt8], _ body: (Descriptor, UnsafePointer<CChar>) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        let folder = try openFolder(of: path)
        let name = path[(path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0)...]
        return try withCPath(name) { name throws(Errno) in try body(folder.descriptor, name) }
    }

    private func openFolder(of path: [UInt8]) throws(Errno) -> OpenFolder {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return topFolder }
        let key = PathKey(bytes: Array(path[..<slash]))
        if let known = monitor.locked({ recent[key] }) { return known }
        let folder = OpenFolder(try top.open(key.bytes, linux_O_PATH.flag | O_DIRECTORY))
        // An evicted folder is closed after the monitor is released, or later by a thread that still uses it.
        let evicted = monitor.locked { recent.insert(key, folder) }
        _ = evicted
        return folder
    }

    /// True if a new entry at `path` may inherit an ACL from its folder. The system is asked once for each open folder.
    func mayInheritList(_ path: [UInt8]) -> Bool { (try? openFolder(of: path))?.mayHandDownList ?? true }

    /// Drops the kept descriptor of a folder if that folder was removed. Returns true if it was.
    private func forgetIfGone(_ folder: ArraySlice<UInt8>) -> Bool {
        let key = PathKey(bytes: Array(folder))
        guard let known = monitor.locked({ recent[key] }) else { return false }
        if let status = try? known.descriptor.status(), status.st_nlink > 0 { return false }
        monitor.locked { recent.remove(key) }
        return true
    }

    /// Closes all folders but the top.
    func forgetAll() {
        let dropped = monitor.locked {
            defer { recent = RecentlyUsed(capacity: capacity) }
            return recent
        }
        _ = dropped
    }

    /// Gives the owner all rights to the folder at `path` and to its parents, if this user owns them. Returns true if a
    /// mode changed.
    private func lendRights(to path: ArraySlice<UInt8>) -> Bool {
        var hasChanged = false
        func lend(_ folder: Descriptor, _ key: [UInt8]) {
            guard let mode = Self.lendRights(folder) else { return }
            hasChanged = true
            monitor.locked { if lent[key] == nil { lent[key] = mode } }
        }
        lend(top.descriptor, [])
        var end = path.startIndex
        while end < path.endIndex {
            end = path[end...].dropFirst().firstIndex(of: UInt8(ascii: "/")) ?? path.endIndex
            let key = Array(path[..<end])
            guard let folder = try? top.open(key, linux_O_PATH.flag | O_DIRECTORY) else { return hasChanged }
            lend(folder, key)
        }
        return hasChanged
    }

    /// Gives the owner all rights to an open folder. Returns the former mode; nil if the mode did not change, for
    /// example because the folder is another user's.
    private static func lendRights(_ folder: Descriptor) -> mode_t? {
        guard let status = try? folder.status(), status.st_uid == linux_file_user(),
            status.st_mode & allRights != allRights
        else { return nil }
        let mode = status.st_mode & 0o7777
        return chmod("/proc/self/fd/\(folder.number)", mode | allRights) == 0 ? mode : nil
    }
}
