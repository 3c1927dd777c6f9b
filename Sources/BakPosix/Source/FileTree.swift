// FileTree: files and folders of this machine as the source of a backup.
//
// Always holds: neither the walk nor an open follows a symbolic link in or beneath a root. (A link that the user named
// becomes two roots: the link, and its target.) Only regular files are opened for reading. The walk visits each path
// once, in PathOrder. The root folder "/" is never an entry, even if it is the root that the user named.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A source of one or more files or folders given by path.
public final class FileTree: SourceTree {
    /// The paths to back up: absolute, without the leading slash, in PathOrder, none beneath another.
    public let roots: [[UInt8]]
    /// The paths that cannot be found, each with the reason: a path that the user named, or the path that a named link
    /// leads to. They are absolute like `roots`, and links that exist on the way are resolved. A walk reports each
    /// before the entries that follow it in PathOrder.
    public let missing: [(path: [UInt8], reason: SourceError)]
    /// The roots that are not symbolic links.
    public let places: [[UInt8]]
    /// True if no path that the user named leads to an existing item. `roots` may still contain links that lead
    /// nowhere.
    public let isAllMissing: Bool
    /// The medium whose read strategy suits all roots: the slowest one.
    public let medium: SourceMedium
    /// How many files the backup may keep open.
    public let mostOpenFiles = OpenFileBudget.share(.max)

    /// The device of the root folder.
    public var topDevice: UInt64? { (try? top.descriptor.status()).map { UInt64($0.st_dev) } }

    let top: FixedFolder
    private let accounts = AccountNames()
    private let devices = DeviceTable()

    /// Resolves `roots` through symbolic links. Each is absolute or relative to the working folder. For a symbolic
    /// link, both the link and its target become roots. Roots beneath another root are left out. Throws `SourceError`
    /// if `/` cannot be opened.
    public init(roots: [[UInt8]]) throws(SourceError) {
        var resolved: [[UInt8]] = []
        var links: Set<[UInt8]> = []
        var missing: [(path: [UInt8], reason: SourceError)] = []
        for root in roots {
            let found = ResolvedRoot(root)
            resolved += found.paths
            links.formUnion(found.links)
            if let failure = found.failure { missing.append(failure) }
        }
        self.missing = missing
        isAllMissing = missing.count == roots.count
        resolved.sort(by: { PathOrder.precedes($0, $1) })
        var kept: [[UInt8]] = []
        for root in resolved where kept.last.map({ !PathOrder.isAtOrBeneath(root, $0) }) ?? true {
            kept.append(root)
        }
        self.roots = kept
        places = kept.filter { !links.contains($0) }
        let media = kept.map { MediumProbe.medium([UInt8(ascii: "/")] + $0) }
        // A strategy for a slow medium does little harm on a fast one.
        medium =
            media.contains(.rotational)
            ? .rotational : media.first(where: { $0 != .solidState }) ?? .solidState
        do throws(Errno) {
            top = FixedFolder(try Descriptor.open("/", linux_O_PATH.flag | O_DIRECTORY))
        } catch {
            throw SourceError(error, "open /")
        }
    }

    /// Visits every entry once, in PathOrder. Throws what `visit` throws, and `SourceError` if no more files can be
    /// opened.
    public func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        try walk(isAhead: false, visit)
    }

    /// Walks as `walk` does, but entries that are not folders may come as `.unseen`, without their status. Throws as
    /// `walk` does.
    public func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        try walk(isAhead: true, visit)
    }

    private func walk(isAhead: Bool, _ visit: (WalkEvent) throws -> WalkDecision) throws {
        if missing.isEmpty { return try walkRoots(isAhead: isAhead, visit) }
        var left = missing.sorted { PathOrder.precedes($0.path, $1.path) }[...]
        var hasStopped = false
        func tellMissing(before path: [UInt8]?) throws -> WalkDecision {
            while let next = left.first, path.map({ PathOrder.precedes(next.path, $0) }) ?? true {
                left.removeFirst()
                if try visit(.failure(path: next.path, next.reason)) == .stop { return .stop }
            }
            return .proceed
        }
        try walkRoots(isAhead: isAhead) { event in
            let told = try tellMissing(before: event.path)
            let decision = told == .stop ? told : try visit(event)
            if decision == .stop { hasStopped = true }
            return decision
        }
        if !hasStopped { _ = try tellMissing(before: nil) }
    }

    private func walkRoots(isAhead: Bool, _ visit: (WalkEvent) throws -> WalkDecision) throws {
        try withoutActuallyEscaping(visit) { visit in
            var walker = Walker(self, isAhead: isAhead, visit)
            try walker.run()
        }
    }

    /// Opens a regular file without following a link. Throws `SourceError` if the file cannot be opened or is no longer
    /// a regular file.
    public func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        let (file, status): (Descriptor, stat)
        do throws(Errno) {
            // O_NONBLOCK: a FIFO that took the file's place must not make the backup wait for a writer.
            file = try withoutAccessTime { flags throws(Errno) in
                try top.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | flags)
            }
            status = try file.status()
        } catch {
            throw SourceError(error, "open")
        }
        guard let stat = FileStat(status), stat.type == .regular else {
            throw SourceError(operation: "open", message: "it is no longer a regular file")
        }
        return OpenFile(file, path, stat, of: self)
    }

    /// How far the inode numbers and times of the entry's device can be trusted.
    public func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence {
        devices.evidence(of: stat.device) { fileSystemType(at: path, device: stat.device) }
    }

    /// True if the entry is a temporary of a restore that has certainly ended.
    public func isLeaving(_ path: [UInt8]) -> Bool {
        let name = path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
        guard let owner = RestoreTemporary.owner(of: name) else { return false }
        guard let entry = try? top.open(path, linux_O_PATH.flag | O_NOFOLLOW),
            let type = MediumProbe.fileSystemType(entry)
        else { return false }
        // If another machine may have made the temporary, this machine cannot be certain that the restore has ended.
        return owner.mayRun(isShared: MediumProbe.networkTypes.contains(type)) == false
    }

    /// The kind of file system of the entry at `path`; nil if the system does not say, or if the entry is on another
    /// device by now.
    private func fileSystemType(at path: [UInt8], device: UInt64) -> UInt32? {
        guard let entry = try? top.open(path, linux_O_PATH.flag), let status = try? entry.status(),
            UInt64(status.st_dev) == device
        else { return nil }
        return MediumProbe.fileSystemType(entry)
    }

    /// The entry's account names, link target and extended attributes, read without following a link. Throws
    /// `SourceError` if the entry has changed its type or a part cannot be read.
    public func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        let entry: Descriptor
        do throws(Errno) {
            entry = try top.open(path, linux_O_PATH.flag)
            guard try entry.status().format == stat.type.format else { throw Errno(code: ESTALE) }
        } catch {
            throw SourceError(error, "open")
        }
        // A link without its target is useless, so a failure to read the target throws at once. A link without its
        // attributes is still worth storing.
        let target = stat.type == .symlink ? try linkTarget(entry.number) : []
        do {
            var attributes = try attributes(
                AttributeHolder(entry.number, isPathOnly: true), path, stat)
            attributes.linkTarget = target
            return attributes
        } catch {
            var error = error
            error.readAttributes?.linkTarget = target
            throw error
        }
    }

    /// The names of the user and the group. The system is asked for each once.
    public func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) {
        (accounts.user(uid), accounts.group(gid))
    }

    /// The account names and extended attributes of the entry at `path`.
    func attributes(
        _ holder: AttributeHolder, _ path: [UInt8], _ stat: FileStat
    ) throws(SourceError) -> FileAttributes {
        var attributes = FileAttributes()
        (attributes.userName, attributes.groupName) = names(uid: stat.uid, gid: stat.gid)
        let (found, failure) = holder.all()
        attributes.extendedAttributes = found
        guard let failure, !hasNoAttributes(failure, path, stat) else { return attributes }
        var error: SourceError
        switch failure {
        case .system(let errno, let attribute):
            error = SourceError(errno, "read the extended attribute\(attribute.map { " \($0)" } ?? "s")")
        case .tooLarge:
            error = SourceError(
                operation: "read the extended attributes",
                message: "they take over \(AttributeHolder.sizeLimit) bytes")
        }
        error.readAttributes = attributes
        throw error
    }

    /// True if the medium supports no attributes at all and therefore answers EIO, as rclone on FUSE does. To find out,
    /// it asks for the attributes of the entry's folder: such a medium gives the same answer there.
    private func hasNoAttributes(
        _ failure: AttributeHolder.ReadFailure, _ path: [UInt8], _ stat: FileStat
    ) -> Bool {
        guard case .system(let errno, nil) = failure, errno.code == EIO,
            fileSystemType(at: path, device: stat.device) == MediumProbe.fuse,
            let slash = path.lastIndex(of: UInt8(ascii: "/")),
            let folder = try? top.open(path[..<slash], linux_O_PATH.flag | O_DIRECTORY)
        else { return false }
        return AttributeHolder(folder.number, isPathOnly: true).all().failure == failure
    }

    private func linkTarget(_ link: Int32) throws(SourceError) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        do throws(Errno) {
            let count = try target.withUnsafeMutableBytes { buffer in
                Result { () throws(Errno) in
                    try system { readlinkat(link, "", buffer.baseAddress!, buffer.count) }
                }
            }.get()
            return Array(target[..<count])
        } catch {
            throw SourceError(error, "read the link")
        }
    }
}

/// Opens with O_NOATIME, or without it if the file is another user's.
func withoutAccessTime(
    _ open: (_ flags: Int32) throws(Errno) -> Descriptor
) throws(Errno) -> Descriptor {
    do throws(Errno) {
        return try open(linux_O_NOATIME.flag)
    } catch {
        guard error.code == EPERM else { throw error }
        return try open(0)
    }
}

extension SourceError {
    /// A failed system call.
    init(_ error: Errno, _ operation: String) {
        self.init(operation: operation, message: error.message, isNotFound: error.isNotFound)
        endsRun = error.isOutOfNumbers
    }
}
