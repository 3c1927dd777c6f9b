// FixedFolder: a folder that paths are resolved beneath without ever following a symbolic link.
//
// Paths are components joined by '/', none of them empty, "." or ".."; the caller has made sure. The
// kernel resolves with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS); where it
// lacks that call, each component is opened by itself with O_NOFOLLOW. Since no component goes up and
// none is a link, a path may be resolved in pieces: so it may be longer than the kernel's limit.

import CLinux
import Glibc

struct FixedFolder {
    /// The folder.
    let descriptor: Descriptor
    /// Whether the kernel's own resolution is used.
    let usesOpenat2: Bool

    /// Below PATH_MAX, with room for the NUL.
    private static let longestPiece = 4000

    /// Whether the kernel has openat2.
    static let isOpenat2Available: Bool = {
        // Old kernels answer ENOSYS and some sandboxes EPERM; either way it cannot be used.
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

    /// Opens `path`, or the folder itself when it is empty.
    func open(_ path: some BidirectionalCollection<UInt8>, _ flags: Int32) throws(Errno) -> Descriptor {
        var rest = path[...]
        var folder = descriptor
        if rest.isEmpty { return try Descriptor.open(at: folder.number, ".", flags) }
        while let cut = cut(rest) {
            folder = try openPiece(folder, rest[..<cut], linux_O_PATH.flag | O_DIRECTORY)
            rest = rest[rest.index(after: cut)...]
        }
        return try openPiece(folder, rest, flags)
    }

    /// Where the next piece of a path ends; nil when the rest is one piece.
    private func cut<Path: BidirectionalCollection<UInt8>>(_ path: Path) -> Path.Index?
    where Path.SubSequence == Path {
        guard usesOpenat2 else { return path.firstIndex(of: UInt8(ascii: "/")) }
        guard path.count > Self.longestPiece else { return nil }
        return path.prefix(Self.longestPiece).lastIndex(of: UInt8(ascii: "/"))
    }

    private func openPiece(
        _ folder: Descriptor, _ piece: some Collection<UInt8>, _ flags: Int32
    ) throws(Errno) -> Descriptor {
        try withCPath(piece) { path throws(Errno) in
            guard usesOpenat2 else {
                return try openComponent(folder, path, flags)
            }
            var how = open_how()
            // A link at the end is what O_PATH | O_NOFOLLOW asks for; where a folder is wanted it is ELOOP.
            how.flags = UInt64(flags | O_CLOEXEC | (flags & O_DIRECTORY == 0 ? O_NOFOLLOW : 0))
            how.resolve = UInt64(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
            return Descriptor(try OpenFileBudget.open { linux_openat2(folder.number, path, &how) })
        }
    }

    /// Opens one component; answers ELOOP for a symbolic link, as openat2 does.
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

extension FixedWidthInteger {
    /// A constant of CLinux as the system's flag type.
    var flag: Int32 { Int32(truncatingIfNeeded: self) }
}
