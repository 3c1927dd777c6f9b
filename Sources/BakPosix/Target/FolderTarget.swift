// FolderTarget: a folder that a restore writes into.
//
// Always holds: the target refuses a path unless each of its components is a plain name. It opens the parents beneath
// its top folder without following a symbolic link. Then it touches only the last component, relative to its parent's
// descriptor and again without following a link. So the restore changes only folders that lay in the target when it
// opened them, whatever the repository says and whatever another process swaps meanwhile.
//
// Until a file is whole, it has a temporary name or none. Until an entry gets its own mode, only its owner may use it
// (0600, 0700). An unnamed file may have its own mode at once, because no other process can open it. If a folder has
// the name that another entry needs, the folder stays and the entry fails.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A restore target in a folder of this machine.
///
/// The target sets an owner by name if this system knows the name, else by number. If some metadata cannot be set, the
/// entry is restored nevertheless and a note says what is missing.
public final class FolderTarget: RestoreTarget {
    /// The folder's path.
    public let path: String

    let folders: TargetFolders
    let accounts = AccountNames()
    let openFiles: OpenFiles
    let medium = TargetMedium()
    /// True if the target's file system is a program (FUSE). There, a file's inode number may change while the file is
    /// closed.
    let isProgram: Bool
    private let probes = TimeProbes()
    /// True if the folder at a path belongs to another program, so that nothing may be put into it.
    private let isForbidden: @Sendable (String) -> Bool
    /// An empty file in the top folder while the restore runs. If the restore is killed, the file stays and tells the
    /// next restore to look for other temporaries.
    private let trace = Trace()

    /// Opens the folder. If the folder is missing, makes one that only its owner may use. Throws `TargetError` if the
    /// folder cannot be made or opened.
    ///
    /// - Parameter isForbidden: true if nothing may be put into the folder at a path.
    public convenience init(
        path: String, isForbidden: @escaping @Sendable (String) -> Bool = { _ in false }
    ) throws(TargetError) {
        try self.init(path: path, usesOpenat2: FixedFolder.isOpenat2Available, isForbidden: isForbidden)
    }

    /// Opens the folder as the other initializer does. Tests choose whether openat2 resolves paths.
    init(
        path: String, usesOpenat2: Bool, isForbidden: @escaping @Sendable (String) -> Bool = { _ in false }
    ) throws(TargetError) {
        self.path = path
        self.isForbidden = isForbidden
        // Leave some descriptors for the repository if few are allowed.
        let spare = max(0, Machine.openFileLimit - 32)
        openFiles = OpenFiles(capacity: min(200, max(2, spare / 4)))
        do throws(Errno) {
            let isNew = Machine.isFolder(path) == nil
            try Folders.create(path, mode: 0o700, durably: false)
            let (folder, lent) = try TargetFolders.openTop(path)
            folders = TargetFolders(
                FixedFolder(folder, usesOpenat2: usesOpenat2), capacity: min(32, max(2, spare / 16)))
            folders.noteTop(lent: lent)
            isProgram = MediumProbe.isProgram(folder.number)
            trace.monitor.locked { trace.isOwn = isNew }
        } catch {
            throw TargetError(
                operation: "open the folder \(path)", message: error.message,
                kind: error.isFull ? .full : .gone)
        }
    }

    deinit { close() }

    /// The free bytes on the file system of a folder, or of its nearest existing parent; nil if the system does not
    /// say.
    public static func freeBytes(near path: String) -> UInt64? {
        var folder = Array(path.utf8)
        while true {
            let place = folder.isEmpty ? [UInt8(ascii: ".")] : folder
            if let opened = try? withCPath(
                place,
                { name throws(Errno) in
                    try Descriptor.open(at: AT_FDCWD, name, linux_O_PATH.flag | O_DIRECTORY)
                })
            {
                return freeBytes(on: opened)
            }
            guard !folder.isEmpty else { return nil }
            while folder.last == UInt8(ascii: "/") { folder.removeLast() }
            let slash = folder.lastIndex(of: UInt8(ascii: "/"))
            folder = slash.map { $0 == 0 ? [UInt8(ascii: "/")] : Array(folder[..<$0]) } ?? []
        }
    }

    private static func freeBytes(on folder: Descriptor) -> UInt64? {
        var system = statvfs()
        guard fstatvfs(folder.number, &system) == 0, system.f_blocks > 0 else { return nil }
        let blocks = geteuid() == 0 ? system.f_bfree : system.f_bavail
        let (bytes, overflow) = UInt64(blocks).multipliedReportingOverflow(by: UInt64(system.f_frsize))
        return overflow ? nil : bytes
    }

    /// The status of the entry at a path; nil if there is none. Throws `TargetError` if the path cannot be looked up.
    public func stat(_ path: [UInt8]) throws(TargetError) -> FileStat? {
        try attempt("look up", path) { parent, name throws(Errno) in
            FileStat(try linkStatus(at: parent.number, name))
        } onNotFound: {
            nil
        }
    }

    /// Makes a folder that only its owner may use. Returns false if a folder of that name exists already. Throws
    /// `TargetError` if something else has the name or the folder cannot be made.
    @discardableResult
    public func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool {
        leaveTrace()
        return try attempt("make the folder", path, isContent: true) { parent, name throws(Errno) in
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

    /// True if nothing may be put into the folder.
    public func isClosed(_ path: [UInt8]) -> Bool {
        guard let folder = try? folders.top.open(path, linux_O_PATH.flag | O_DIRECTORY) else { return false }
        return withExtendedLifetime(folder) { isForbidden("/proc/self/fd/\(folder.number)") }
    }

    /// Begins a file that gets its name when it is finished. Throws `TargetError` if a folder has the name or the file
    /// cannot be made.
    public func createFile(
        _ path: [UInt8], size: UInt64, atOnceWithMode mode: UInt16?, replacing: Bool
    ) throws(TargetError) -> any RestoreFile {
        leaveTrace()
        return try attempt("create", path, isContent: true) { parent, name throws(Errno) -> TargetFile in
            guard let length = off_t(exactly: size) else { throw Errno(code: EFBIG) }
            if replacing { try self.refuseFolder(parent, name) }
            if let mode, !replacing, let file = try self.createUnnamed(parent, mode_t(mode)) {
                return TargetFile(
                    file, try file.status(), length: length, path: path, temporary: nil,
                    isReplacing: false, in: self)
            }
            let (temporary, file) = try RestoreTemporary.create(in: parent.number)
            do throws(Errno) {
                return TargetFile(
                    file, try file.status(), length: length, path: path, temporary: temporary,
                    isReplacing: replacing, in: self)
            } catch {
                _ = withCPath(temporary) { unlinkat(parent.number, $0, 0) }
                throw error
            }
        }
    }

    /// Makes a link, pipe, socket or device under a temporary name, then renames it. Throws `TargetError` if a folder
    /// has the name or the entry cannot be made.
    public func makeSpecial(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool
    ) throws(TargetError) -> [MetadataNote] {
        leaveTrace()
        return try attempt("create", path) { parent, name throws(Errno) -> [MetadataNote] in
            if replacing { try self.refuseFolder(parent, name) }
            return try self.makeBeside(parent, name, isReplacing: replacing) {
                name throws(Errno) -> [MetadataNote] in
                try Self.makeNode(parent, name, stat, attributes.linkTarget)
                let made = try Descriptor.open(at: parent.number, name, linux_O_PATH.flag | O_NOFOLLOW)
                // Another process may have replaced the new entry. That process's entry must not get this entry's owner
                // and mode.
                let status = try made.status()
                guard let found = FileStat(status), found.type == stat.type,
                    found.representedDevice == stat.representedDevice || !Self.isDevice(stat)
                else { throw Errno(code: ESTALE) }
                return MetadataWriter(made.number, stat.type, isPathOnly: true, self.accounts)
                    .apply(stat, attributes, over: status)
            }
        }
    }

    /// Makes a hard link under its name, or, when `replacing`, under a temporary name that it then renames. Throws
    /// `TargetError` of kind `.refusesLinks` if the target allows no second name for the file, else of the kind of the
    /// failure.
    public func makeHardLink(
        _ path: [UInt8], to existing: [UInt8], replacing: Bool
    ) throws(TargetError) {
        let (source, sourceName) = try attempt("link to", existing) { parent, _ throws(Errno) in
            (parent, existing[((existing.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...])
        }
        if replacing { leaveTrace() }
        var isRefused = false
        do throws(TargetError) {
            try attempt("link", path) { parent, name throws(Errno) in
                // Without AT_SYMLINK_FOLLOW, a second name for a symbolic link leads to the link itself, not to its
                // target.
                let link = { (name: UnsafePointer<CChar>) throws(Errno) in
                    do throws(Errno) {
                        _ = try withCPath(sourceName) { sourceName throws(Errno) in
                            try system { linkat(source.number, sourceName, parent.number, name, 0) }
                        }
                    } catch {
                        isRefused = !error.isFull && ![EEXIST, ENOENT, EROFS].contains(error.code)
                        throw error
                    }
                }
                guard replacing else { return try link(name) }
                try self.refuseFolder(parent, name)
                try self.makeBeside(parent, name, isReplacing: true, link)
            }
        } catch {
            guard isRefused, !error.isFatal else { throw error }
            throw TargetError(operation: error.operation, message: error.message, kind: .refusesLinks)
        }
    }

    /// Sets a folder's owner, mode, attributes and times. Returns what could not be set. Throws `TargetError` if the
    /// folder cannot be reached.
    public func setMetadata(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes
    ) throws(TargetError) -> [MetadataNote] {
        try attempt("set the metadata of", path) { parent, name throws(Errno) in
            let flags = O_DIRECTORY | O_NOFOLLOW
            // O_PATH reaches a folder that its owner may not read.
            let readable = try? Descriptor.open(at: parent.number, name, O_RDONLY | flags)
            let folder =
                if let readable { readable } else {
                    try Descriptor.open(at: parent.number, name, linux_O_PATH.flag | flags)
                }
            let notes = MetadataWriter(
                folder.number, .directory, isPathOnly: readable == nil, self.accounts
            ).apply(stat, attributes)
            self.folders.keepMode(path)
            return notes
        }
    }

    /// The time as the file system on `device` would store it. To find out, gives the time to a probe, a temporary file
    /// beside `path`, and reads it back. Returns `time` itself if no probe can be made.
    public func rendered(_ time: Timestamp, at path: [UInt8], device: UInt64) -> Timestamp {
        probes.rendered(time, at: path, device: device, in: folders) ?? time
    }

    /// Sets all metadata of the target's own folder if the restore may (`Trace.isOwn`). Otherwise sets only its time,
    /// and only if the folder already has the mode and owner that a restore would give it. Returns what could not be
    /// set.
    public func finishTop(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote] {
        probes.removeAll(in: folders)
        let top = folders.top.descriptor
        let writer = MetadataWriter(top.number, .directory, isPathOnly: false, accounts)
        if trace.monitor.locked({ trace.isOwn }) {
            folders.keepMode([])
            let notes = writer.apply(stat, attributes)
            // The folder now has its own mode and owner. A later restore finds them and therefore sets the folder's
            // time, even without a trace. So remove the trace. That changes the folder's time, so set the time again.
            removeTrace()
            guard let status = try? top.status() else { return notes }
            return notes + writer.applyTime(stat, over: status).filter { !notes.contains($0) }
        }
        removeTrace()
        guard let status = try? top.status(),
            (folders.lentMode([]) ?? status.st_mode & 0o7777) == mode_t(stat.mode),
            status.st_uid == accounts.userID(attributes.userName) ?? stat.uid,
            status.st_gid == accounts.groupID(attributes.groupName) ?? stat.gid
        else { return [] }
        return writer.applyTime(stat, over: status)
    }

    /// Makes everything that was written durable. Throws `TargetError` of kind `.notDurable` if the medium fails.
    public func synchronize() throws(TargetError) {
        do throws(Errno) {
            try system { syncfs(folders.top.descriptor.number) }
        } catch {
            // If the medium lacks the call, that is not a failure.
            guard ![ENOSYS, EINVAL, ENOTSUP].contains(error.code) else { return }
            throw TargetError(operation: "sync", message: error.message, kind: .notDurable, place: path)
        }
    }

    /// Removes the probes.
    public func tidy() { probes.removeAll(in: folders) }

    private func removeTrace() {
        guard let name = trace.monitor.locked({ trace.name.take() }) else { return }
        // The top's new mode may deny its owner writing. `withParent` then lends the owner the right to write.
        try? folders.withParent(of: name) { top, name throws(Errno) in
            _ = try system { unlinkat(top.number, name, 0) }
        }
    }

    /// Removes the probes and the trace, closes folders, and takes back the rights that `TargetFolders` lent.
    public func close() {
        tidy()
        removeTrace()
        folders.putBack()
    }
}

// MARK: - What killed restores left

extension FolderTarget {
    /// An empty file that a restore keeps in the top while it runs. `isOwn` is true if the restore may set all metadata
    /// of the top: the top was missing or empty, or has temporaries of a killed restore.
    private final class Trace: @unchecked Sendable {
        let monitor = Monitor()
        var name: [UInt8]?
        var isLeft = false
        var isOwn = false
    }

    /// Makes an unnamed file in a folder; nil if the medium has no such files. Other processes cannot open it before it
    /// has a name, so it may have its own mode from the beginning.
    private func createUnnamed(_ parent: Descriptor, _ mode: mode_t) throws(Errno) -> Descriptor? {
        guard medium.makesUnnamed else { return nil }
        do throws(Errno) {
            return try RestoreTemporary.openUnnamed(in: parent.number, mode: mode & 0o777)
        } catch {
            // The folder may lie on a different file system from the top, one without unnamed files. EISDIR: that file
            // system takes the call for an attempt to open the folder.
            guard [ENOTSUP, EISDIR, EINVAL, ENOSYS].contains(error.code) else { throw error }
            medium.makesUnnamed = false
            return nil
        }
    }

    /// Makes the trace, an empty temporary in the top, which `close` removes. If a later restore finds the trace, the
    /// restore that made it was killed and may have left more temporaries anywhere beneath the top.
    private func leaveTrace() {
        trace.monitor.locked {
            if trace.isLeft { return }
            trace.isLeft = true
            // If the top cannot be written to, there is no trace. The next restore then removes temporaries only from
            // the folders that it uses.
            let top = folders.top.descriptor.number
            if !isProgram, let name = try? RestoreTemporary.createUnnamedFirst(in: top) {
                medium.makesUnnamed = true
                trace.name = name
            } else {
                trace.name = (try? RestoreTemporary.create(in: top))?.name
            }
        }
    }

    /// Lists a folder of the target. If `sweeping`, also removes the temporaries of killed restores from it. If it
    /// finds some in the top, it removes them from all folders beneath, too. Throws `TargetError` if the folder cannot
    /// be read.
    public func list(
        _ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void
    ) throws(TargetError) {
        do throws(Errno) {
            let folder = try folders.open(path, givingRights: sweeping)
            var isEmpty = true
            var abandoned: [[UInt8]] = []
            try RestoreTemporary.list(
                folder.number, isShared: medium.isShared(folder.number), mayWrite: sweeping
            ) { name in
                isEmpty = false
                visit(name)
            } abandoned: { name in
                abandoned.append(Array(name))
            }
            if path.isEmpty, isEmpty || !abandoned.isEmpty { trace.monitor.locked { trace.isOwn = true } }
            guard sweeping, !abandoned.isEmpty else { return }
            // Remove the top's temporaries last. If this restore is killed before that, they tell the next restore to
            // sweep again.
            if path.isEmpty, let device = try? folder.status().st_dev { sweepBeneath(device) }
            remove(abandoned, in: folder)
        } catch {
            throw failure(error, "list", path)
        }
    }

    private func remove(_ names: [[UInt8]], in folder: Descriptor) {
        for name in names { _ = withCPath(name) { unlinkat(folder.number, $0, 0) } }
    }

    /// Removes abandoned temporaries from every folder beneath the top that lies on the same device. Skips folders that
    /// cannot be read.
    private func sweepBeneath(_ device: dev_t) {
        var left: [[UInt8]] = [[]]
        while let path = left.popLast() {
            guard let folder = try? folders.top.open(path, O_RDONLY | O_DIRECTORY),
                let status = try? folder.status(), status.st_dev == device,
                let listing = try? FolderListing(folder.number)
            else { continue }
            for index in 0..<listing.count where !listing.isNoFolder(index) {
                let isFolder = listing.withName(index) { name in
                    (try? linkStatus(at: folder.number, name))?.format == S_IFDIR
                }
                if isFolder { left.append(PathOrder.join(path, Array(listing.name(index)))) }
            }
            guard !path.isEmpty, lseek(folder.number, 0, SEEK_SET) == 0 else { continue }
            var abandoned: [[UInt8]] = []
            try? RestoreTemporary.list(
                folder.number, isShared: medium.isShared(folder.number), mayWrite: true
            ) { _ in
            } abandoned: {
                abandoned.append(Array($0))
            }
            remove(abandoned, in: folder)
        }
    }
}

// MARK: - Special files

extension FolderTarget {
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
}
