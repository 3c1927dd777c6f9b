// FixedFolder: resolves paths beneath a folder without ever following a symbolic link.
//
// A path is components joined by '/'. The caller makes sure that no component is empty, "." or "..". The kernel
// resolves a path with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS). If the kernel lacks that
// call, this type opens each component by itself with O_NOFOLLOW.
//
// This type resolves a path in pieces if the path is longer than the kernel's limit. The result is the same, because no
// component leads up and none is a link. The folders at the ends of the pieces of the last long path stay open, so that
// the next deep path need not be resolved from the top again.

import BakCore
import CLinux
import Glibc

struct FixedFolder {
    /// The folder.
    let descriptor: Descriptor
    /// True if the kernel resolves paths with openat2.
    let usesOpenat2: Bool
    private let way = LongWay()

    /// The longest path for one call: below PATH_MAX, with room for the NUL.
    private static let longestPath = 4000
    /// The length of the pieces of a longer path.
    private static let longestPiece = 1000

    /// True if openat2 can be used here.
    static let isOpenat2Available: Bool = {
        // An old kernel answers ENOSYS, and some sandboxes answer EPERM.
        var how = open_how()
        how.flags = UInt64(linux_O_PATH) | UInt64(O_CLOEXEC)
        let descriptor = linux_openat2(AT_FDCWD, "/", &how)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }()

    /// Resolves beneath an open folder.
    init(_ descriptor: Descriptor, usesOpenat2: Bool = isOpenat2Available) {
        self.descriptor = descriptor
        self.usesOpenat2 = usesOpenat2
    }

    /// Opens `path`, or the folder itself if the path is empty.
    func open(_ path: some BidirectionalCollection<UInt8>, _ flags: Int32) throws(Errno) -> Descriptor {
        if path.isEmpty { return try Descriptor.open(at: descriptor.number, ".", flags) }
        if usesOpenat2, path.count <= Self.longestPath { return try openPiece(descriptor, path, flags) }
        let path = Array(path)
        let known = path.count > Self.longestPath ? way.nearest(to: path) : nil
        guard let (start, folder) = known else { return try open(path, from: 0, descriptor, flags) }
        do throws(Errno) {
            return try open(path, from: start, folder, flags)
        } catch {
            // If the kept folder still exists, ENOENT is the right answer. If that folder was removed, a new folder may
            // have its name. Then resolve the path from the top again.
            switch error.code {
            case ENOENT: if let status = try? folder.status(), status.st_nlink > 0 { throw error }
            case ESTALE, ENOTDIR, ELOOP, EMFILE, ENFILE: break
            default: throw error
            }
            way.forget()
            return try open(path, from: 0, descriptor, flags)
        }
    }

    /// Opens a path piece by piece. Its first `start` bytes lead to `folder`.
    private func open(
        _ path: [UInt8], from start: Int, _ folder: Descriptor, _ flags: Int32
    ) throws(Errno) -> Descriptor {
        var (start, folder, noted) = (start, folder, start)
        let isLong = path.count > Self.longestPath
        while let end = end(ofPieceAt: start, in: path) {
            folder = try openPiece(folder, path[start..<end], linux_O_PATH.flag | O_DIRECTORY)
            start = end + 1
            if isLong, start - noted >= Self.longestPiece / 2 {
                way.note(Array(path[..<start]), folder)
                noted = start
            }
        }
        return try openPiece(folder, path[start...], flags)
    }

    /// The end of the next piece of a path; nil if the rest is one piece.
    private func end(ofPieceAt start: Int, in path: [UInt8]) -> Int? {
        let slash = UInt8(ascii: "/")
        guard usesOpenat2 else { return path[start...].firstIndex(of: slash) }
        guard path.count - start > Self.longestPiece + 1024 else { return nil }
        // If a name is longer than a piece should be, the piece ends after that name.
        return path[start...].prefix(Self.longestPiece).lastIndex(of: slash)
            ?? path[(start + Self.longestPiece)...].firstIndex(of: slash)
    }

    private func openPiece(
        _ folder: Descriptor, _ piece: some Collection<UInt8>, _ flags: Int32
    ) throws(Errno) -> Descriptor {
        try withCPath(piece) { path throws(Errno) in
            guard usesOpenat2 else {
                return try openComponent(folder, path, flags)
            }
            var how = open_how()
            // If the last component is a link, O_PATH | O_NOFOLLOW opens the link itself. O_DIRECTORY without
            // O_NOFOLLOW fails with ELOOP.
            how.flags = UInt64(flags | O_CLOEXEC | (flags & O_DIRECTORY == 0 ? O_NOFOLLOW : 0))
            how.resolve = UInt64(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
            return Descriptor(try OpenFileBudget.open { linux_openat2(folder.number, path, &how) })
        }
    }

    /// Opens one component. Throws ELOOP for a symbolic link, as openat2 does.
    private func openComponent(
        _ folder: Descriptor, _ name: UnsafePointer<CChar>, _ flags: Int32
    ) throws(Errno) -> Descriptor {
        do throws(Errno) {
            return try Descriptor.open(at: folder.number, name, flags | O_NOFOLLOW)
        } catch {
            guard error.code == ENOTDIR, let status = try? linkStatus(at: folder.number, name),
                status.format == S_IFLNK
            else { throw error }
            throw Errno(code: ELOOP)
        }
    }
}

/// Keeps open the deepest folders on the way to the last long path. Any thread may use it.
private final class LongWay: @unchecked Sendable {
    private let monitor = Monitor()
    private var path: [UInt8] = []
    /// Each open folder, and how many bytes of `path` lead to it, with the slash after its name.
    private var stops: [(end: Int, folder: Descriptor)] = []
    private static let mostStops = 16

    /// The deepest open folder on the way to `path`, and how many bytes of the path lead there.
    func nearest(to path: [UInt8]) -> (start: Int, folder: Descriptor)? {
        monitor.locked {
            let shared = PathOrder.sharedBytes(self.path, path)
            let stop = stops.last { $0.end <= shared }
            return stop.map { ($0.end, $0.folder) }
        }
    }

    /// Notes the folder that a path leads to.
    func note(_ start: [UInt8], _ folder: Descriptor) {
        let dropped = monitor.locked {
            let shared = PathOrder.sharedBytes(path, start)
            let kept = stops.filter { $0.end < start.count && $0.end <= shared }
            let old = stops.map(\.folder)
            stops = kept.suffix(Self.mostStops - 1) + [(start.count, folder)]
            path = start
            return old
        }
        // Dropped folders are closed after the monitor is released.
        _ = dropped
    }

    /// Closes all kept folders.
    func forget() {
        let dropped = monitor.locked {
            defer { (stops, path) = ([], []) }
            return stops
        }
        _ = dropped
    }
}

extension FixedWidthInteger {
    /// A constant of CLinux in the type of the system's flags.
    var flag: Int32 { Int32(truncatingIfNeeded: self) }
}
