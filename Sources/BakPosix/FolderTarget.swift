// FolderTarget: a folder that a restore writes into.
//
// Always holds: a path is refused unless each of its components is a plain name; parents are opened
// beneath the target without following a symbolic link, and only then the last component is touched,
// relative to its parent's descriptor and without following it either. So whatever a repository says, and
// whatever another process swaps meanwhile, nothing is made or changed outside. Something new is private
// (0600, 0700) until it gets its own mode, and a folder that is in the way is never removed.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A restore target in a folder of this machine.
///
/// Owners are given by name where this system knows the name, else by number. What an ordinary user may
/// not set (owners, some attributes) is reported in words and is no failure.
public final class FolderTarget: RestoreTarget {
    /// The folder's path.
    public let path: String

    let top: FixedFolder
    let accounts = AccountNames()
    let openFiles = OpenFiles(capacity: 200)

    /// Opens the folder, made private to its owner when it is missing.
    public convenience init(path: String) throws(TargetError) {
        try self.init(path: path, usesOpenat2: FixedFolder.isOpenat2Available)
    }

    /// The same with the way to resolve paths chosen.
    init(path: String, usesOpenat2: Bool) throws(TargetError) {
        self.path = path
        do throws(Errno) {
            try Folders.create(path, mode: 0o700, durably: false)
            let folder = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
            top = FixedFolder(folder, usesOpenat2: usesOpenat2)
        } catch {
            throw TargetError(
                operation: "open the folder \(path)", message: error.message, isFatal: true)
        }
    }

    public func stat(_ path: [UInt8]) throws(TargetError) -> FileStat? {
        try attempt("look up", path) { parent, name throws(Errno) in
            FileStat(try linkStatus(at: parent.number, name))
        } onNotFound: {
            nil
        }
    }

    @discardableResult
    public func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool {
        try attempt("make the folder", path) { parent, name throws(Errno) in
            do throws(Errno) {
                try system { mkdirat(parent.number, name, 0o700) }
                return true
            } catch {
                guard error.code == EEXIST, try linkStatus(at: parent.number, name).format == S_IFDIR
                else { throw error }
                return false
            }
        }
    }

    public func createFile(
        _ path: [UInt8], size: UInt64, replacing: Bool
    ) throws(TargetError) -> any RestoreFile {
        try attempt("create", path) { parent, name throws(Errno) -> TargetFile in
            guard let length = off_t(exactly: size) else { throw Errno(code: EFBIG) }
            var temporary: String?
            let file: Descriptor
            if replacing {
                try self.refuseFolder(parent, name)
                (temporary, file) = try Temporary.create(in: parent.number)
            } else {
                file = try Descriptor.open(
                    at: parent.number, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            }
            do throws(Errno) {
                return TargetFile(
                    file, try file.status(), length: length, path: path, temporary: temporary, in: self)
            } catch {
                if let temporary {
                    unlinkat(parent.number, temporary, 0)
                } else {
                    unlinkat(parent.number, name, 0)
                }
                throw error
            }
        }
    }

    public func makeSpecial(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool
    ) throws(TargetError) -> [String] {
        try attempt("create", path) { parent, name throws(Errno) -> [String] in
            try self.makeNamed(parent, name, replacing: replacing) { name throws(Errno) -> [String] in
                try Self.makeNode(parent, name, stat, attributes.linkTarget)
                let made = try Descriptor.open(at: parent.number, name, linux_O_PATH.flag | O_NOFOLLOW)
                // What another process put there instead must not get this entry's rights.
                guard let found = FileStat(try made.status()), found.type == stat.type,
                    found.representedDevice == stat.representedDevice || !Self.isDevice(stat)
                else { throw Errno(code: ESTALE) }
                return try MetadataWriter(made.number, stat.type, isPathOnly: true, self.accounts)
                    .apply(stat, attributes)
            }
        }
    }

    public func makeHardLink(
        _ path: [UInt8], to existing: [UInt8], replacing: Bool
    ) throws(TargetError) {
        let source = try attempt("link to", existing) { parent, _ throws(Errno) in parent }
        let sourceName = existing[((existing.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
        try attempt("link", path) { parent, name throws(Errno) in
            try self.makeNamed(parent, name, replacing: replacing) { name throws(Errno) in
                // Without AT_SYMLINK_FOLLOW a symbolic link gets the second name itself.
                _ = try withCPath(sourceName) { sourceName throws(Errno) in
                    try system { linkat(source.number, sourceName, parent.number, name, 0) }
                }
            }
        }
    }

    public func setMetadata(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes
    ) throws(TargetError) -> [String] {
        try attempt("set the metadata of", path) { parent, name throws(Errno) in
            let flags = O_DIRECTORY | O_NOFOLLOW
            // A folder that its owner may not read is reached without reading it.
            let readable = try? Descriptor.open(at: parent.number, name, O_RDONLY | flags)
            let folder =
                if let readable { readable } else {
                    try Descriptor.open(at: parent.number, name, linux_O_PATH.flag | flags)
                }
            return try MetadataWriter(
                folder.number, .directory, isPathOnly: readable == nil, self.accounts
            ).apply(stat, attributes)
        }
    }

    public func synchronize() throws(TargetError) {
        do throws(Errno) {
            try system { syncfs(top.descriptor.number) }
        } catch {
            throw TargetError(operation: "sync", message: error.message, isFatal: true)
        }
    }
}

// MARK: - Names

extension FolderTarget {
    /// Runs `body` with the open parent of `path` and its last component.
    func attempt<Result>(
        _ operation: String, _ path: [UInt8],
        _ body: (Descriptor, UnsafePointer<CChar>) throws(Errno) -> Result,
        onNotFound: (() -> Result)? = nil
    ) throws(TargetError) -> Result {
        if let fault = Self.fault(in: path) { throw TargetError(operation: operation, message: fault) }
        do throws(Errno) {
            let (parent, name) = try top.openParent(of: path)
            return try withCPath(name) { name throws(Errno) in try body(parent, name) }
        } catch {
            if error.isNotFound, let onNotFound, !isGone { return onNotFound() }
            throw failure(error, operation)
        }
    }

    /// A failed system call as the seam's error.
    func failure(_ error: Errno, _ operation: String) -> TargetError {
        let isFatal =
            switch error.code {
            case ENOSPC, EDQUOT, EIO, EROFS, ENODEV, ENXIO: true
            case ENOENT: isGone
            default: false
            }
        let message =
            switch error.code {
            case ELOOP: "a symbolic link is in the way"
            case EISDIR: "a folder is in the way"
            default: error.message
            }
        return TargetError(operation: operation, message: message, isFatal: isFatal)
    }

    /// Whether the target folder itself was removed.
    private var isGone: Bool { (try? top.descriptor.status().st_nlink) ?? 0 == 0 }

    /// Why `path` may not be used; nil when each component is a plain name.
    private static func fault(in path: [UInt8]) -> String? {
        for component in path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            if component.isEmpty { return "the path has an empty component" }
            if component.elementsEqual(".".utf8) || component.elementsEqual("..".utf8) {
                return "the path has the component \"\(String(decoding: component, as: UTF8.self))\""
            }
            if component.contains(0) { return "the path has a NUL byte" }
            if component.count > 255 { return "the path has a name of \(component.count) bytes, over 255" }
        }
        return nil
    }

    /// Makes something under `name` or, when replacing, under a temporary name that then takes its place.
    private func makeNamed<Result>(
        _ parent: Descriptor, _ name: UnsafePointer<CChar>, replacing: Bool,
        _ make: (UnsafePointer<CChar>) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        guard replacing else { return try make(name) }
        let temporary = Temporary.name()
        return try withCPath(temporary.utf8) { temporary throws(Errno) in
            // Gone after a rename, except that renaming one of two names of an inode to the other does nothing.
            defer { unlinkat(parent.number, temporary, 0) }
            let result = try make(temporary)
            try system { renameat(parent.number, temporary, parent.number, name) }
            return result
        }
    }

    /// Makes a symbolic link, FIFO, socket or device node that only its owner may use.
    private static func makeNode(
        _ parent: Descriptor, _ name: UnsafePointer<CChar>, _ stat: FileStat, _ linkTarget: [UInt8]
    ) throws(Errno) {
        switch stat.type {
        case .regular, .directory: throw Errno(code: EINVAL)
        case .symlink:
            guard !linkTarget.contains(0) else { throw Errno(code: EINVAL) }
            _ = try withCPath(linkTarget) { target throws(Errno) in
                try system { symlinkat(target, parent.number, name) }
            }
        case .fifo, .socket, .characterDevice, .blockDevice:
            let device = isDevice(stat) ? dev_t(stat.representedDevice) : 0
            try system { mknodat(parent.number, name, stat.type.format | 0o600, device) }
        }
    }

    private static func isDevice(_ stat: FileStat) -> Bool {
        stat.type == .characterDevice || stat.type == .blockDevice
    }

    /// Throws when a folder has the name.
    private func refuseFolder(_ parent: Descriptor, _ name: UnsafePointer<CChar>) throws(Errno) {
        if let status = try? linkStatus(at: parent.number, name), status.format == S_IFDIR {
            throw Errno(code: EISDIR)
        }
    }
}
