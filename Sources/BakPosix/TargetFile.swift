// TargetFile: a regular file being restored. It need not stay open: OpenFiles keeps the few descriptors
// used last, and a file is opened again by its path, with the same care as at first, and must then still
// be the inode that was created.

import BakCore
import BakStorage
import CLinux
import Glibc

/// The descriptors of files being restored, at most `capacity` beside those in use at the moment.
final class OpenFiles: @unchecked Sendable {
    private let monitor = Monitor()
    private var recent: RecentlyUsed<UInt64, Descriptor>
    private var lastSerial: UInt64 = 0

    init(capacity: Int) { recent = RecentlyUsed(capacity: capacity) }

    /// A number for a new file.
    func newSerial() -> UInt64 {
        monitor.locked {
            lastSerial += 1
            return lastSerial
        }
    }

    func find(_ serial: UInt64) -> Descriptor? { monitor.locked { recent[serial] } }

    func add(_ serial: UInt64, _ file: Descriptor) {
        // What falls out is closed after the lock is given back, or by a thread that still writes to it.
        let evicted = monitor.locked { recent.insert(serial, file) }
        _ = evicted
    }

    func remove(_ serial: UInt64) { monitor.locked { recent.remove(serial) } }
}

/// A file that `FolderTarget` created. It is removed unless `finish` succeeds.
final class TargetFile: RestoreFile, @unchecked Sendable {
    private let target: FolderTarget
    private let path: [UInt8]
    /// The file's name until `finish`, in the same folder, when it is to replace another.
    private let temporary: String?
    private let created: stat
    private let length: off_t
    private let serial: UInt64
    /// Set by `finish` and `abandon`, of which one is called, once.
    private var isDone = false

    init(
        _ file: Descriptor, _ status: stat, length: off_t, path: [UInt8], temporary: String?,
        in target: FolderTarget
    ) {
        self.target = target
        self.path = path
        self.temporary = temporary
        created = status
        self.length = length
        serial = target.openFiles.newSerial()
        target.openFiles.add(serial, file)
    }

    deinit { if !isDone { abandon() } }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(TargetError) {
        do throws(Errno) {
            let file = try descriptor()
            try writeAll(file.number, bytes, at: offset)
        } catch {
            throw target.failure(error, "write")
        }
    }

    func finish(_ stat: FileStat, _ attributes: FileAttributes) throws(TargetError) -> [String] {
        do throws(Errno) {
            let file = try descriptor()
            let status = try file.status()
            // Seldom: what is not written at the end is a hole, and each change of an inode is a transaction.
            if status.st_size != length { try system { ftruncate(file.number, length) } }
            let notes = try MetadataWriter(file.number, .regular, isPathOnly: false, target.accounts)
                .apply(stat, attributes, over: status)
            target.openFiles.remove(serial)
            try file.close()
            if let temporary {
                try withEntry { parent, name throws(Errno) in
                    _ = try system { renameat(parent.number, temporary, parent.number, name) }
                }
            }
            isDone = true
            return notes
        } catch {
            abandon()
            throw target.failure(error, "finish")
        }
    }

    func abandon() {
        guard !isDone else { return }
        isDone = true
        target.openFiles.remove(serial)
        try? withEntry { parent, name throws(Errno) in
            try withCPath(currentName) { name throws(Errno) in
                // What took the name meanwhile is not ours to remove.
                guard try linkStatus(at: parent.number, name).isSameFile(as: created) else { return }
                _ = try system { unlinkat(parent.number, name, 0) }
            }
        }
    }

    /// The name that the file has now.
    private var currentName: [UInt8] {
        temporary.map { Array($0.utf8) }
            ?? Array(path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...])
    }

    private func withEntry(
        _ body: (Descriptor, UnsafePointer<CChar>) throws(Errno) -> Void
    ) throws(Errno) {
        let (parent, name) = try target.top.openParent(of: path)
        try withCPath(name) { name throws(Errno) in try body(parent, name) }
    }

    private func descriptor() throws(Errno) -> Descriptor {
        if let open = target.openFiles.find(serial) { return open }
        precondition(!isDone, "a file is written to after it was finished")
        let (parent, _) = try target.top.openParent(of: path)
        let file = try withCPath(currentName) { name throws(Errno) in
            // O_NONBLOCK: a FIFO in the file's place must not make the restore wait.
            try Descriptor.open(at: parent.number, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK)
        }
        guard try file.status().isSameFile(as: created) else { throw Errno(code: ESTALE) }
        target.openFiles.add(serial, file)
        return file
    }
}
