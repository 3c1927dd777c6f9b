// TargetFile: a regular file that is being restored. If its content comes in one write and the medium can make unnamed
// files (O_TMPFILE), the file is open without a name until `finish` names it. Every other file has a temporary name
// until `finish` and need not stay open: OpenFiles keeps only the descriptors that were used last. `descriptor` opens a
// closed file again by its temporary name. It follows no symbolic link, and refuses the file if it is not the one that
// was created.
//
// Some media accept content only in order and without holes. There, the first content that leaves a gap and all content
// after it go to the spool, an unnamed file on this machine. `finish` appends the spool's content to the file.

import BakCore
import BakStorage
import CLinux
import Glibc
import Synchronization

/// A cache of the descriptors of files that have a temporary name. It keeps at most `capacity` of them. A descriptor
/// that it drops stays open until no thread writes to the file any more.
final class OpenFiles: @unchecked Sendable {
    private let monitor = Monitor()
    private var recent: RecentlyUsed<UInt64, Descriptor>
    private let capacity: Int
    private let lastSerial = Atomic<UInt64>(0)

    init(capacity: Int) {
        self.capacity = capacity
        recent = RecentlyUsed(capacity: capacity)
    }

    /// Returns a number that identifies a new file in this cache.
    func newSerial() -> UInt64 { lastSerial.wrappingAdd(1, ordering: .relaxed).newValue }

    func find(_ serial: UInt64) -> Descriptor? { monitor.locked { recent[serial] } }

    func add(_ serial: UInt64, _ file: Descriptor) {
        // An evicted file is closed after the monitor is released, or later by a thread that still writes to it.
        let evicted = monitor.locked { recent.insert(serial, file) }
        _ = evicted
    }

    func remove(_ serial: UInt64) { monitor.locked { recent.remove(serial) } }
}

/// A file that `FolderTarget` created. It is removed unless `finish` succeeds.
final class TargetFile: RestoreFile, @unchecked Sendable {
    private let target: FolderTarget
    private let path: [UInt8]
    /// The file's temporary name, in the folder of `path`; nil if the file is unnamed until `finish`.
    private let temporary: [UInt8]?
    /// Keeps an unnamed file open.
    private var unnamed: Descriptor?
    private let isReplacing: Bool
    private let created: stat
    private let length: off_t
    /// True if the file may have inherited an ACL from its folder.
    private let mayHaveInherited: Bool
    private let serial: UInt64
    /// Set by `finish` or `abandon`, whichever is called first.
    private var isDone = false

    private let monitor = Monitor()
    /// How many bytes are written without a gap from the file's beginning.
    private var end: UInt64 = 0
    /// True if content was written after a gap.
    private var isScattered = false
    private var writesUnderWay = 0
    private var spool: Descriptor?

    init(
        _ file: Descriptor, _ status: stat, length: off_t, path: [UInt8], temporary: [UInt8]?,
        isReplacing: Bool, in target: FolderTarget
    ) {
        self.target = target
        self.path = path
        self.temporary = temporary
        self.isReplacing = isReplacing
        created = status
        self.length = length
        mayHaveInherited = target.folders.mayInheritList(path)
        serial = target.openFiles.newSerial()
        if temporary == nil { unnamed = file } else { target.openFiles.add(serial, file) }
    }

    deinit { if !isDone { abandon() } }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(TargetError) {
        do throws(Errno) {
            if target.medium.takesContentInOrder { return try writeInOrder(bytes, at: offset) }
            monitor.locked { writesUnderWay += 1 }
            do throws(Errno) {
                let file = try descriptor()
                try writeAll(file.number, bytes, at: offset)
            } catch {
                endWrite(nil)
                guard offset > 0, [ESPIPE, EPERM, EINVAL, ENOTSUP].contains(error.code) else { throw error }
                target.medium.takesContentInOrder = true
                return try writeInOrder(bytes, at: offset)
            }
            endWrite(offset..<offset + UInt64(bytes.count))
        } catch {
            throw target.failure(error, "write", path, isContent: true)
        }
    }

    private func endWrite(_ range: Range<UInt64>?) {
        monitor.locked {
            writesUnderWay -= 1
            if writesUnderWay == 0 { monitor.signalAll() }
            guard let range else { return }
            if range.lowerBound == end { end = range.upperBound } else { isScattered = true }
        }
    }

    /// Writes content in order. Content that directly follows the file's end goes to the file. From the first gap on,
    /// all content goes to the spool. Throws ESPIPE if the file itself already has a gap.
    private func writeInOrder(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) {
        try monitor.locked { () throws(Errno) in
            while writesUnderWay > 0 { monitor.wait() }
            if isScattered { throw Errno(code: ESPIPE) }
            if spool == nil, offset == end {
                let file = try descriptor()
                try writeAll(file.number, bytes, at: offset)
                end += UInt64(bytes.count)
                return
            }
            let waiting: Descriptor
            if let spool { waiting = spool } else { waiting = try Self.makeSpool() }
            spool = waiting
            try writeAll(waiting.number, bytes, at: offset)
        }
    }

    /// Makes an unnamed file on this machine.
    private static func makeSpool() throws(Errno) -> Descriptor {
        var failure = Errno(code: ENOENT)
        for folder in ["/var/tmp", "/tmp"] {
            do throws(Errno) {
                return Descriptor(
                    try system { open(folder, O_RDWR | linux_O_TMPFILE.flag | O_CLOEXEC, 0o600) })
            } catch { failure = error }
        }
        throw failure
    }

    func finish(_ stat: FileStat, _ attributes: FileAttributes) throws(TargetError) -> [MetadataNote] {
        do throws(Errno) {
            let file = try descriptor()
            // A new file keeps its owner and access time while it is written. So the status from its creation is still
            // right, and using it saves a call. A FUSE program may change owner and access time, so ask again there.
            let status = target.isProgram ? try file.status() : created
            try complete(file, isWhole: !target.isProgram && isWritten)
            let notes = MetadataWriter(file.number, .regular, isPathOnly: false, target.accounts)
                .apply(stat, attributes, over: status, mayHaveInherited: mayHaveInherited)
            spool = nil
            if !target.isProgram, length >= Self.writeBackBytes {
                try file.writeBack(linux_SYNC_FILE_RANGE_WRITE)
            }
            if let temporary {
                try rename(file, from: temporary, stat.mtime)
            } else {
                try target.folders.withParent(of: path) { parent, name throws(Errno) in
                    try giveName(file, in: parent, name)
                }
                unnamed = nil
            }
            isDone = true
            target.medium.countSuccess()
            return notes
        } catch {
            abandon()
            throw target.failure(error, "finish", path, isContent: true)
        }
    }

    /// The length in bytes from which `finish` starts a file's write-back at once. The disk then writes the file while
    /// other files are being restored. For a smaller file the call would cost more than it gains, because the kernel
    /// collects small files for its own write-back.
    private static let writeBackBytes: off_t = 256 << 10

    /// Gives an unnamed file its name by a hard link. If the medium refuses that link, links the file under a temporary
    /// name and renames it. This may work where the direct link fails: for example, the medium may join several file
    /// systems, of which only some accept the name, and a rename may reach one that does.
    private func giveName(
        _ file: Descriptor, in parent: Descriptor, _ name: UnsafePointer<CChar>
    ) throws(Errno) {
        do throws(Errno) {
            try RestoreTemporary.giveName(file, in: parent.number, name)
        } catch {
            guard error.code != EEXIST, !error.isFull else { throw error }
            try withCPath(RestoreTemporary.name()) { temporary throws(Errno) in
                try RestoreTemporary.giveName(file, in: parent.number, temporary)
                do throws(Errno) {
                    try target.put(parent, temporary, name, isReplacing: false)
                } catch {
                    unlinkat(parent.number, temporary, 0)
                    throw error
                }
            }
        }
    }

    /// Closes a file and then gives it its name. Closing comes first because it may report a failed write.
    private func rename(_ file: Descriptor, from temporary: [UInt8], _ time: Timestamp) throws(Errno) {
        target.openFiles.remove(serial)
        let shown = target.isProgram ? try file.status().st_mtim : nil
        try file.close()
        try target.folders.withParent(of: path) { parent, name throws(Errno) in
            try withCPath(temporary) { temporary throws(Errno) in
                try target.put(parent, temporary, name, isReplacing: isReplacing)
                if let shown { Self.keepTime(parent, name, shown, time) }
            }
        }
    }

    /// Sets a file's time again if the rename changed it, as every rename on fusefat does.
    private static func keepTime(
        _ parent: Descriptor, _ name: UnsafePointer<CChar>, _ shown: timespec, _ time: Timestamp
    ) {
        guard let status = try? linkStatus(at: parent.number, name),
            Timestamp(status.st_mtim) != Timestamp(shown)
        else { return }
        let times = [status.st_atim, time.systemValue]
        utimensat(parent.number, name, times, AT_SYMLINK_NOFOLLOW)
    }

    /// True if successful calls wrote all of the content, from beginning to end.
    private var isWritten: Bool { monitor.locked { spool == nil && !isScattered && end == length } }

    /// Appends the spool's content and sets the file's length. Does nothing if the file `isWhole`.
    private func complete(_ file: Descriptor, isWhole: Bool) throws(Errno) {
        if isWhole { return }
        if let spool {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 8)
            defer { buffer.deallocate() }
            while true {
                let count = try readAll(spool.number, buffer, at: end)
                if count == 0 { break }
                try writeAll(file.number, UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: end)
                end += UInt64(count)
            }
        }
        // Only a file that ends in a hole needs its length set. Skip the call for all others, because each change of an
        // inode costs a transaction.
        if target.medium.takesContentInOrder && end == length { return }
        if try file.status().st_size == length { return }
        do throws(Errno) {
            try system { ftruncate(file.number, length) }
        } catch {
            guard [ESPIPE, EPERM, EINVAL, ENOTSUP, ENOSYS].contains(error.code), !isScattered else {
                throw error
            }
            let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 8)
            defer { zeros.deallocate() }
            zeros.initializeMemory(as: UInt8.self, repeating: 0)
            while end < length {
                let count = min(UInt64(length) - end, UInt64(zeros.count))
                try writeAll(file.number, UnsafeRawBufferPointer(rebasing: zeros[..<Int(count)]), at: end)
                end += count
            }
        }
    }

    func abandon() {
        guard !isDone else { return }
        isDone = true
        spool = nil
        unnamed = nil
        guard let temporary else { return }
        target.openFiles.remove(serial)
        try? target.folders.withParent(of: path) { parent, _ throws(Errno) in
            try withCPath(temporary) { name throws(Errno) in
                // Remove this file, even if FUSE reports another inode number for it after a refused rename. But this
                // file has one name only. If the number differs and the inode has a second name, another file has taken
                // this name and must stay.
                let status = try linkStatus(at: parent.number, name)
                guard status.isSameFile(as: created) || status.st_nlink <= 1 else { return }
                _ = try system { unlinkat(parent.number, name, 0) }
            }
        }
    }

    private func descriptor() throws(Errno) -> Descriptor {
        precondition(!isDone, "a file is written to after it was finished")
        guard let temporary else { return unnamed! }
        if let open = target.openFiles.find(serial) { return open }
        let file = try target.folders.withParent(of: path) { parent, _ throws(Errno) in
            try withCPath(temporary) { name throws(Errno) in
                // O_NONBLOCK: a FIFO in the file's place must not make the restore wait.
                try Descriptor.open(at: parent.number, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK)
            }
        }
        let status = try file.status()
        // Accept another inode number on FUSE, which may change a file's number while the file is closed. But this file
        // has one name only, so an inode with a second name is another file.
        guard
            status.isSameFile(as: created)
                || target.isProgram && status.st_dev == created.st_dev && status.st_nlink <= 1
        else { throw Errno(code: ESTALE) }
        target.openFiles.add(serial, file)
        return file
    }
}

// MARK: - Copies

extension FolderTarget {
    /// Copies a file of the target: writes the copy under a temporary name, then renames it. Throws `TargetError` if
    /// the existing file cannot be read or changes meanwhile, or if the new one cannot be written.
    public func copyFile(
        _ path: [UInt8], from existing: [UInt8], _ stat: FileStat, _ attributes: FileAttributes,
        replacing: Bool
    ) throws(TargetError) -> [MetadataNote] {
        let source = try attempt("copy", existing) { parent, name throws(Errno) in
            try Self.openToRead(parent, name)
        }
        let file = try createFile(path, size: stat.size, replacing: replacing)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 8)
        defer { buffer.deallocate() }
        var offset: UInt64 = 0
        while offset < stat.size {
            let count: Int
            do throws(Errno) {
                count = try readAll(source.number, buffer, at: offset)
                // Another process has changed the restored file.
                if count == 0 || UInt64(count) > stat.size - offset { throw Errno(code: ESTALE) }
            } catch {
                file.abandon()
                throw failure(error, "copy", existing)
            }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            // Leave a piece of zeros out, as a hole, unless the medium needs content in order.
            if medium.takesContentInOrder || bytes.contains(where: { $0 != 0 }) {
                try file.write(bytes, at: offset)
            }
            offset += UInt64(count)
        }
        return try file.finish(stat, attributes)
    }

    /// Compares two files of the target byte by byte. Throws `TargetError` if one cannot be read.
    public func hasSameContent(_ path: [UInt8], as other: [UInt8]) throws(TargetError) -> Bool {
        let paths = [path, other]
        let files = try paths.map { path throws(TargetError) in
            try attempt("read", path) { parent, name throws(Errno) in try Self.openToRead(parent, name) }
        }
        let buffers = paths.map { _ in
            UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 8)
        }
        defer { for buffer in buffers { buffer.deallocate() } }
        func piece(_ place: Int, at offset: UInt64) throws(TargetError) -> UnsafeRawBufferPointer {
            do throws(Errno) {
                let count = try readAll(files[place].number, buffers[place], at: offset)
                return UnsafeRawBufferPointer(rebasing: buffers[place][..<count])
            } catch { throw failure(error, "read", paths[place]) }
        }
        var offset: UInt64 = 0
        while true {
            let (one, two) = (try piece(0, at: offset), try piece(1, at: offset))
            guard one.count == two.count, memcmp(one.baseAddress!, two.baseAddress!, one.count) == 0 else {
                return false
            }
            if one.isEmpty { return true }
            offset += UInt64(one.count)
        }
    }

    /// Opens a restored file for reading. If the mode denies its owner reading, changes the mode, opens the file and
    /// changes the mode back.
    private static func openToRead(
        _ parent: Descriptor, _ name: UnsafePointer<CChar>
    ) throws(Errno) -> Descriptor {
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
        do throws(Errno) {
            return try Descriptor.open(at: parent.number, name, flags)
        } catch {
            guard error.code == EACCES,
                let reached = try? Descriptor.open(at: parent.number, name, linux_O_PATH.flag | O_NOFOLLOW),
                let status = try? reached.status(), status.st_uid == linux_file_user(),
                status.format == S_IFREG
            else { throw error }
            let path = "/proc/self/fd/\(reached.number)"
            guard chmod(path, status.st_mode & 0o7777 | 0o400) == 0 else { throw error }
            defer { chmod(path, status.st_mode & 0o7777) }
            return Descriptor(try system { open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC) })
        }
    }
}
