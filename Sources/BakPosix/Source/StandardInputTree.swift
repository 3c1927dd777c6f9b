// StandardInputTree: presents the standard input as a source of one file without folders.
//
// Always holds: the input is read once, from its beginning, in order. It is complete when the system reports its end.
// If a read fails before that, no part of the file is stored.

import BakCore
import BakStorage
import Glibc
import Synchronization

/// The standard input as a regular file in the root folder.
public final class StandardInputTree: SourceTree {
    /// The file's name as the only path.
    public let roots: [[UInt8]]
    /// False, because a stream can be read only once.
    public let isRepeatable = false

    private let stat: FileStat
    private let descriptor: Int32
    private let stop: StopSignal
    private let isTaken = Atomic(false)
    private let accounts = AccountNames()

    /// Makes the source. The file belongs to this user, is private, and was modified at `time`.
    ///
    /// - Parameters:
    ///   - name: the file's name, without a slash.
    ///   - time: the present time.
    ///   - descriptor: the input, which stays open; 0 is the standard input.
    ///   - stop: polled while there is nothing to read. After it is requested, the read fails.
    public init(
        name: [UInt8], time: Timestamp, descriptor: Int32 = 0,
        stop: StopSignal
    ) {
        precondition(!name.isEmpty && !name.contains(UInt8(ascii: "/")))
        roots = [name]
        var stat = FileStat(type: .regular)
        (stat.mode, stat.uid, stat.gid) = (0o600, geteuid(), getegid())
        (stat.mtime, stat.ctime) = (time, time)
        self.stat = stat
        self.descriptor = descriptor
        self.stop = stop
    }

    /// Visits the one file. Throws what `visit` throws.
    public func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        _ = try visit(.entry(path: roots[0], stat: stat))
    }

    /// Opens the stream, which is possible once. Throws `SourceError` for any other path and the second time.
    public func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        guard path == roots[0] else {
            throw SourceError(operation: "open", message: "it is not the standard input", isNotFound: true)
        }
        guard !isTaken.exchange(true, ordering: .relaxed) else {
            throw SourceError(operation: "open", message: "the standard input can be read only once")
        }
        return Input(self)
    }

    /// The owner's account names; a stream has no other attributes. Throws nothing.
    public func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        attributes
    }

    /// The names of the user and the group.
    public func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) {
        (accounts.user(uid), accounts.group(gid))
    }

    private var attributes: FileAttributes {
        var attributes = FileAttributes()
        (attributes.userName, attributes.groupName) = names(uid: stat.uid, gid: stat.gid)
        return attributes
    }

    /// The input while it is read.
    private final class Input: SourceFile {
        private let tree: StandardInputTree
        private var position: UInt64 = 0
        /// The time between two checks for a request to stop, while there is nothing to read.
        private static let pollMs: Int32 = 100

        init(_ tree: StandardInputTree) { self.tree = tree }

        var hasKnownSize: Bool { false }

        func stat() -> FileStat { tree.stat }

        func attributes(_ stat: FileStat) -> FileAttributes { tree.attributes }

        func read(
            into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
        ) throws(SourceError) -> Int {
            guard offset == position else {
                throw SourceError(operation: "read", message: "the standard input cannot be read again")
            }
            var done = 0
            while done < buffer.count {
                try waitForInput()
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                guard let count = try readOnce(rest) else { continue }
                if count == 0 { break }
                done += count
            }
            position += UInt64(done)
            return done
        }

        /// Reads the bytes that are available. Returns 0 at the end, nil if there was nothing to read after all.
        private func readOnce(_ buffer: UnsafeMutableRawBufferPointer) throws(SourceError) -> Int? {
            do throws(Errno) {
                return try system { Glibc.read(tree.descriptor, buffer.baseAddress, buffer.count) }
            } catch {
                // Another reader of a non-blocking pipe may have been quicker.
                if error.code == EAGAIN { return nil }
                throw SourceError(error, "read the standard input")
            }
        }

        /// Waits until there is something to read. A blocked read would not notice a request to stop.
        private func waitForInput() throws(SourceError) {
            var request = pollfd(fd: tree.descriptor, events: Int16(POLLIN), revents: 0)
            do throws(Errno) {
                while try system({ poll(&request, 1, Self.pollMs) }) == 0 {
                    if tree.stop.isRequested { throw Errno(code: ECANCELED) }
                }
            } catch {
                throw SourceError(error, "read the standard input")
            }
        }

        func nextData(from offset: UInt64, size: UInt64) -> Range<UInt64>? {
            offset < size ? offset..<size : nil
        }

        func close() {}
    }
}
