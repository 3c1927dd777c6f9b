// How a restore's entries get their names, and what a refusal says: of the entry alone, or of the target.
//
// Always holds: a name that was free is never taken from another entry, also on media that take two names for one;
// and a failure ends a restore only if the target takes no content any more.

import BakCore
import BakStorage
import CLinux
import Glibc

/// What a target's medium has turned out to be unable to do. May be used from any thread.
final class TargetMedium: @unchecked Sendable {
    private let monitor = Monitor()
    private var lacksNoReplace = false
    private var isInOrder = false
    private var hasUnnamed = false
    private var failuresInARow = 0
    /// Held while a name is looked at and then taken, where the system cannot do both at once.
    let naming = Monitor()

    /// So many files in a row that the medium fails to take are no chance.
    private static let mostFailures = 3

    /// Whether a rename that replaces nothing is not to be had.
    var renamesOnlyReplacing: Bool {
        get { monitor.locked { lacksNoReplace } }
        set { monitor.locked { lacksNoReplace = newValue } }
    }

    /// Whether a file can be made without a name and be given one when it is whole.
    var makesUnnamed: Bool {
        get { monitor.locked { hasUnnamed } }
        set { monitor.locked { hasUnnamed = newValue } }
    }

    /// Whether files must be written from their beginning to their end.
    var takesContentInOrder: Bool {
        get { monitor.locked { isInOrder } }
        set { monitor.locked { isInOrder = newValue } }
    }

    /// Counts that the medium failed to take content. True if it does so again and again.
    func countFailure() -> Bool {
        monitor.locked {
            failuresInARow += 1
            return failuresInARow >= Self.mostFailures
        }
    }

    /// Counts a whole file.
    func countSuccess() { monitor.locked { failuresInARow = 0 } }

    /// Whether other machines may use the same folder: the kind of file system says so.
    func isShared(_ folder: Int32) -> Bool {
        var system = statfs()
        guard fstatfs(folder, &system) == 0 else { return true }
        return MediumProbe.networkTypes.contains(UInt32(truncatingIfNeeded: system.f_type))
    }
}

extension FolderTarget {
    /// Runs `body` with the open parent of `path` and its last component.
    ///
    /// - Parameter isContent: whether it makes room for content, so that a full target is the end.
    func attempt<Result>(
        _ operation: String, _ path: [UInt8], isContent: Bool = false,
        _ body: (Descriptor, UnsafePointer<CChar>) throws(Errno) -> Result,
        onNotFound: (() -> Result)? = nil
    ) throws(TargetError) -> Result {
        if let fault = Self.fault(in: path) { throw TargetError(operation: operation, message: fault) }
        do throws(Errno) {
            return try folders.withParent(of: path, expectsMissing: onNotFound != nil, body)
        } catch {
            if error.isNotFound, let onNotFound, !isGone { return onNotFound() }
            throw failure(error, operation, path, isContent: isContent)
        }
    }

    /// A failed system call as the seam's error.
    func failure(
        _ error: Errno, _ operation: String, _ path: [UInt8], isContent: Bool = false
    ) -> TargetError {
        let kind: TargetError.Kind =
            switch error.code {
            case EROFS: .gone
            // A file may be too large for the target, and the others are not.
            case EFBIG: .entry
            case _ where error.isFull: .full
            case EIO: isGone || isContent && medium.countFailure() ? .gone : .entry
            case ENOENT, ENODEV, ENXIO, ESTALE, ENOTCONN, ESHUTDOWN, ECONNABORTED, EHOSTDOWN:
                isGone ? .gone : .entry
            case EEXIST: .taken
            case EMFILE, ENFILE: .outOfFiles
            default: .entry
            }
        let message =
            switch error.code {
            case ELOOP: "a symbolic link is in the way"
            case EISDIR: "a folder is in the way"
            case EFBIG: "the target takes no file as large as that"
            case EEXIST: "something else has this name there"
            default: error.message
            }
        var failure = TargetError(operation: operation, message: message, kind: kind)
        if failure.isFatal {
            failure.place = self.path + (path.isEmpty ? "" : "/" + String(decoding: path, as: UTF8.self))
        }
        return failure
    }

    /// Whether the target folder itself was removed, or what it lay on.
    private var isGone: Bool {
        guard let status = try? folders.top.descriptor.status() else { return true }
        return status.st_nlink == 0
    }

    /// Why `path` may not be used; nil when each component is a plain name. How long a name may be is the medium's.
    private static func fault(in path: [UInt8]) -> String? {
        let (dot, slash) = (UInt8(ascii: "."), UInt8(ascii: "/"))
        var start = 0
        for index in 0...path.count {
            if index < path.count, path[index] != slash {
                if path[index] == 0 { return "the path has a NUL byte" }
                continue
            }
            if index == start { return "the path has an empty component" }
            if index - start <= 2, path[start..<index].allSatisfy({ $0 == dot }) {
                return "the path has the component \"\(index - start == 1 ? "." : "..")\""
            }
            start = index + 1
        }
        return nil
    }

    /// Throws when a folder has the name.
    func refuseFolder(_ parent: Descriptor, _ name: UnsafePointer<CChar>) throws(Errno) {
        if let status = try? linkStatus(at: parent.number, name), status.format == S_IFDIR {
            throw Errno(code: EISDIR)
        }
    }

    /// Makes something under a temporary name, which then takes its place.
    func makeBeside<Result>(
        _ parent: Descriptor, _ name: UnsafePointer<CChar>, isReplacing: Bool,
        _ make: (UnsafePointer<CChar>) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        try withCPath(RestoreTemporary.name()) { temporary throws(Errno) in
            // Gone after a rename, except that renaming one of two names of an inode to the other does nothing.
            defer { if isReplacing { unlinkat(parent.number, temporary, 0) } }
            do throws(Errno) {
                let result = try make(temporary)
                try put(parent, temporary, name, isReplacing: isReplacing)
                return result
            } catch {
                unlinkat(parent.number, temporary, 0)
                throw error
            }
        }
    }

    /// Gives what is whole its name. When not `isReplacing`, what has the name stays, and the error is EEXIST.
    func put(
        _ parent: Descriptor, _ temporary: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>,
        isReplacing: Bool
    ) throws(Errno) {
        if isReplacing {
            do throws(Errno) {
                try system { renameat(parent.number, temporary, parent.number, name) }
            } catch {
                guard [EPERM, EEXIST, EINVAL, ENOTSUP, ENOSYS].contains(error.code) else { throw error }
                try putAside(parent, temporary, name, after: error)
            }
            return
        }
        if !medium.renamesOnlyReplacing {
            do throws(Errno) {
                try system {
                    renameat2(
                        parent.number, temporary, parent.number, name, UInt32(linux_RENAME_NOREPLACE))
                }
                return
            } catch {
                if error.code == EEXIST { throw error }
            }
        }
        // What another process makes in between may be replaced; what this one makes is not.
        try medium.naming.locked { () throws(Errno) in
            if (try? linkStatus(at: parent.number, name)) != nil { throw Errno(code: EEXIST) }
            try system { renameat(parent.number, temporary, parent.number, name) }
        }
        medium.renamesOnlyReplacing = true
    }

    /// Replaces by two renames, for media whose rename replaces nothing.
    private func putAside(
        _ parent: Descriptor, _ temporary: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>,
        after error: Errno
    ) throws(Errno) {
        try withCPath(RestoreTemporary.name()) { aside throws(Errno) in
            guard renameat(parent.number, name, parent.number, aside) == 0 else { throw error }
            do throws(Errno) {
                try system { renameat(parent.number, temporary, parent.number, name) }
            } catch {
                renameat(parent.number, aside, parent.number, name)
                throw error
            }
            unlinkat(parent.number, aside, 0)
        }
    }
}
