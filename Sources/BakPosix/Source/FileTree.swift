// FileTree: files and folders of this machine as the source of a backup.
//
// Always holds: no symbolic link is followed in or beneath a root, by the walk or by an open (one that was named is
// two roots: the link, and what it leads to); what is not a regular file is never opened for reading; a path is
// visited once, in PathOrder. The root of everything ("/") is no entry itself, even where it is the root asked for.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A source of one or more files or folders given by path.
public final class FileTree: SourceTree {
    /// What is backed up: absolute paths without the leading slash, in PathOrder, none beneath another.
    public let roots: [[UInt8]]
    /// What was asked for and cannot be found, with the reason: absolute paths like `roots`, but as they were
    /// written, or where a link among them leads. A walk reports them first.
    public let missing: [(path: [UInt8], reason: SourceError)]
    /// The roots but for links that were named, or are on the way from one that was.
    public let places: [[UInt8]]
    /// Whether nothing that was asked for can be found: at most links to it are there.
    public let isAllMissing: Bool
    /// The slowest medium that a root lies on.
    public let medium: SourceMedium
    /// What the process may have open, less what others need.
    public let mostOpenFiles = OpenFileBudget.share(.max)

    /// The device of the root folder.
    public var topDevice: UInt64? { (try? top.descriptor.status()).map { UInt64($0.st_dev) } }

    let top: FixedFolder
    private let accounts = AccountNames()
    private let devices = DeviceTable()

    /// Resolves `roots`, each a path relative to the working folder or absolute, through symbolic links. A root that is
    /// a link itself stands for the link and for what it leads to. Leaves out what lies beneath another. Throws
    /// `SourceError` if `/` cannot be opened.
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
        // What a slow medium needs does a fast one little harm.
        medium =
            media.contains(.rotational)
            ? .rotational : media.first(where: { $0 != .solidState }) ?? .solidState
        do throws(Errno) {
            top = FixedFolder(try Descriptor.open("/", linux_O_PATH.flag | O_DIRECTORY))
        } catch {
            throw SourceError(error, "open /")
        }
    }

    /// Visits every entry once, in PathOrder. Throws what `visit` throws, and a `SourceError` that ends the run.
    public func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        try walk(isAhead: false, visit)
    }

    /// Walks, and lists folders ahead of the visit. Throws as `walk` does.
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

    /// Opens a regular file beneath the root without following a link. Throws `SourceError` if the file cannot be
    /// opened or is no regular file any more.
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
            throw SourceError(operation: "open", message: "it is no regular file any more")
        }
        return OpenFile(file, path, stat, of: self)
    }

    /// What the file system of the entry's device is known to do.
    public func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence {
        devices.evidence(of: stat.device) { fileSystemType(at: path, device: stat.device) }
    }

    /// True if it is a temporary of a restore that no process owns.
    public func isLeaving(_ path: [UInt8]) -> Bool {
        let name = path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
        guard let owner = RestoreTemporary.owner(of: name) else { return false }
        guard let entry = try? top.open(path, linux_O_PATH.flag | O_NOFOLLOW),
            let type = MediumProbe.fileSystemType(entry)
        else { return false }
        // Of what may be another machine's nothing is certain.
        return owner.mayRun(isShared: MediumProbe.networkTypes.contains(type)) == false
    }

    /// The kind of file system of the entry at `path`; nil when it cannot be asked, or the entry is on another
    /// device by now.
    private func fileSystemType(at path: [UInt8], device: UInt64) -> UInt32? {
        guard let entry = try? top.open(path, linux_O_PATH.flag), let status = try? entry.status(),
            UInt64(status.st_dev) == device
        else { return nil }
        return MediumProbe.fileSystemType(entry)
    }

    /// Names, link target and extended attributes, read without following a link. Throws `SourceError` if the entry has
    /// changed its type or a part cannot be read.
    public func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        let entry: Descriptor
        do throws(Errno) {
            entry = try top.open(path, linux_O_PATH.flag)
            guard try entry.status().format == stat.type.format else { throw Errno(code: ESTALE) }
        } catch {
            throw SourceError(error, "open")
        }
        // What a link is without its target is nothing; without its attributes it is still a link.
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

    /// The names of the user and the group, asked of the system once each.
    public func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) {
        (accounts.user(uid), accounts.group(gid))
    }

    /// Names and extended attributes of the entry at `path`.
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

    /// True if the medium has no attributes at all and says so by EIO, as a FUSE file system may (rclone does): then
    /// the entry's folder answers the same.
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

/// Opens with O_NOATIME, which only a file's owner may ask for, and else without.
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
