// ResolvedRoot: resolves a path that the user named into the paths to back up.
//
// Always holds: a symbolic link that the user named is followed to its end, through as many links as the kernel would
// follow. Each link on the way becomes a root, which is a path to back up, so a restore makes the links again as well.
// A path that is not a link becomes one root.

import BakCore
import BakStorage
import Glibc

/// The paths to back up for one path that the user named.
struct ResolvedRoot {
    /// The links on the way and, last, the path that they lead to. All are absolute, without the leading slash.
    private(set) var paths: [[UInt8]] = []
    /// The links among `paths`.
    var links: ArraySlice<[UInt8]> { failure == nil ? paths.dropLast() : paths[...] }
    /// The path that cannot be found, and why: the named path, or the one that the last link leads to.
    private(set) var failure: (path: [UInt8], reason: SourceError)?

    /// The number of links that the kernel follows.
    private static let mostLinks = 40
    private static let slash = UInt8(ascii: "/")

    /// Resolves a path that is absolute or relative to the working folder.
    init(_ root: [UInt8]) {
        guard !root.isEmpty, !root.contains(0) else {
            failure = (
                Self.absolute(root), SourceError(operation: "find it", message: "that is not a path")
            )
            return
        }
        var next = root
        do throws(Errno) {
            while true {
                let (path, isLink) = try Self.look(at: next)
                if paths.count == Self.mostLinks || isLink && paths.contains(path) {
                    throw Errno(code: ELOOP)
                }
                paths.append(path)
                guard isLink else { return }
                next = try Self.target(of: path)
            }
        } catch {
            fail(error, looking: next)
        }
    }

    private mutating func fail(_ error: Errno, looking path: [UInt8]) {
        guard let link = paths.last else {
            failure = (Self.absolute(path), SourceError(error, "find it"))
            return
        }
        let name = "/" + String(decoding: link, as: UTF8.self)
        failure = (
            Self.absolute(path),
            SourceError(
                operation: "find it",
                message: error.code == ELOOP
                    ? "the link \(name) leads in a circle" : "\(error.message), where the link \(name) leads",
                isNotFound: error.isNotFound)
        )
    }

    /// Resolves all but the last component of a path, and tells whether that component is a link.
    private static func look(at path: [UInt8]) throws(Errno) -> (path: [UInt8], isLink: Bool) {
        let name = path[((path.lastIndex(of: slash) ?? -1) + 1)...]
        // A path that ends in a slash, `.` or `..` means the folder that it leads to. A link there is followed and does
        // not become a root.
        if name.isEmpty || name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8) {
            return (try realPath(path), false)
        }
        let parent = try realPath(
            name.startIndex == 0 ? [UInt8(ascii: ".")] : Array(path[..<name.startIndex]))
        let whole = PathOrder.join(parent, Array(name))
        let status = try withCPath([slash] + whole) { path throws(Errno) in
            try linkStatus(at: AT_FDCWD, path)
        }
        return (whole, status.format == S_IFLNK)
    }

    /// The target of a link: absolute, with the leading slash.
    private static func target(of link: [UInt8]) throws(Errno) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = try target.withUnsafeMutableBytes { buffer in
            Result { () throws(Errno) in
                try withCPath([slash] + link) { path throws(Errno) in
                    try system { readlink(path, buffer.baseAddress!, buffer.count) }
                }
            }
        }.get()
        target.removeSubrange(count...)
        if target.first == slash { return target }
        let folder = link.lastIndex(of: slash).map { link[..<$0] + [slash] } ?? []
        return [slash] + folder + target
    }

    /// The absolute path of a missing file, without the leading slash. Follows the links that exist. So a path through
    /// a link to a disk resolves to one path, whether the disk is connected or not.
    private static func absolute(_ root: [UInt8]) -> [UInt8] {
        var place = root.first == slash ? [] : (try? realPath([UInt8(ascii: ".")])) ?? []
        var rest = Array(root.split(separator: slash).reversed().map { Array($0) })
        var links = 0
        while let name = rest.popLast() {
            if name.elementsEqual(".".utf8) { continue }
            if name.elementsEqual("..".utf8) {
                place.removeSubrange((place.lastIndex(of: slash) ?? 0)...)
                continue
            }
            let path = PathOrder.join(place, name)
            guard links < mostLinks, !path.contains(0), let next = try? target(of: path) else {
                place = path
                continue
            }
            links += 1
            // `next` is absolute, since `target` puts the link's folder before a relative target.
            place = []
            rest += next.split(separator: slash).reversed().map { Array($0) }
        }
        return place
    }

    /// `realpath` without the leading slash.
    private static func realPath(_ path: [UInt8]) throws(Errno) -> [UInt8] {
        try withCPath(path) { path throws(Errno) in
            guard let real = realpath(path, nil) else { throw Errno(code: errno) }
            defer { free(real) }
            return Array(UnsafeRawBufferPointer(start: real, count: strlen(real)).dropFirst())
        }
    }
}
