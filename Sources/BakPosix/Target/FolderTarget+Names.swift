// FolderTarget+Names: gives a restore's entries their names, and decides whether a failure concerns one entry or the
// whole target.
//
// Always holds: an entry takes the name of another entry only if it is to replace that entry. This is true even on
// media that treat two different names, such as `a` and `A`, as the same name. A failure ends a restore only if every
// further entry would fail for the same reason.

import BakCore
import BakStorage
import CLinux
import Glibc

/// Records which calls a target's medium supports, as its answers have shown, and how often it has failed. Any thread
/// may use it.
final class TargetMedium: @unchecked Sendable {
    private let monitor = Monitor()
    private var lacksNoReplace = false
    private var isInOrder = false
    private var hasUnnamed = false
    private var failuresInARow = 0
    /// Locked while a thread checks that a name is free and then takes it, on a medium that cannot do both in one call.
    let naming = Monitor()

    /// If this number of files fail in a row, the medium itself counts as failed.
    private static let mostFailures = 3

    /// True if the medium has no rename that refuses a taken name.
    var renamesOnlyReplacing: Bool {
        get { monitor.locked { lacksNoReplace } }
        set { monitor.locked { lacksNoReplace = newValue } }
    }

    /// True if the medium can make unnamed files and name them later.
    var makesUnnamed: Bool {
        get { monitor.locked { hasUnnamed } }
        set { monitor.locked { hasUnnamed = newValue } }
    }

    /// True if files must be written in order, from beginning to end.
    var takesContentInOrder: Bool {
        get { monitor.locked { isInOrder } }
        set { monitor.locked { isInOrder = newValue } }
    }

    /// Counts a file whose content could not be written. Returns true if the medium itself now counts as failed.
    func countFailure() -> Bool {
        monitor.locked {
            failuresInARow += 1
            return failuresInARow >= Self.mostFailures
        }
    }

    /// Counts a file that was written whole.
    func countSuccess() { monitor.locked { failuresInARow = 0 } }

    /// True if other machines may use the same folder, judging by the kind of file system.
    func isShared(_ folder: Int32) -> Bool {
        var system = statfs()
        guard fstatfs(folder, &system) == 0 else { return true }
        return MediumProbe.networkTypes.contains(UInt32(truncatingIfNeeded: system.f_type))
    }
}

extension FolderTarget {
    /// Runs `body` with the open parent of `path` and its last component.
    ///
    /// - Parameter isContent: true if the operation stores content, so repeated I/O errors mean that the target has
    ///   failed.
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

    /// Turns a failed system call into a `TargetError`.
    func failure(
        _ error: Errno, _ operation: String, _ path: [UInt8], isContent: Bool = false
    ) -> TargetError {
        let kind: TargetError.Kind =
            switch error.code {
            case EROFS: .gone
            // One file may be too large for the target while others fit.
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
            case EEXIST: "another item has this name there"
            default: error.message
            }
        var failure = TargetError(operation: operation, message: message, kind: kind)
        if failure.isFatal {
            failure.place = self.path + (path.isEmpty ? "" : "/" + String(decoding: path, as: UTF8.self))
        }
        return failure
    }

    /// True if the target folder itself or its medium was removed.
    private var isGone: Bool {
        guard let status = try? folders.top.descriptor.status() else { return true }
        return status.st_nlink == 0
    }

    /// The reason why `path` may not be used; nil if each component is a plain name. The medium checks the length of
    /// names.
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

    /// Throws EISDIR if a folder has the name.
    func refuseFolder(_ parent: Descriptor, _ name: UnsafePointer<CChar>) throws(Errno) {
        if let status = try? linkStatus(at: parent.number, name), status.format == S_IFDIR {
            throw Errno(code: EISDIR)
        }
    }

    /// Makes an entry under a temporary name, then gives it its own name.
    func makeBeside<Result>(
        _ parent: Descriptor, _ name: UnsafePointer<CChar>, isReplacing: Bool,
        _ make: (UnsafePointer<CChar>) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        try withCPath(RestoreTemporary.name()) { temporary throws(Errno) in
            // If both names belong to the same inode, the rename does nothing, and the temporary name is still there.
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

    /// Gives a whole entry its name. Unless `isReplacing`, throws EEXIST if the name is taken.
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
        // The rename may replace an entry that another process makes after the check. It replaces none that this
        // process makes, because the lock covers both steps.
        try medium.naming.locked { () throws(Errno) in
            if (try? linkStatus(at: parent.number, name)) != nil { throw Errno(code: EEXIST) }
            try system { renameat(parent.number, temporary, parent.number, name) }
        }
        medium.renamesOnlyReplacing = true
    }

    /// Replaces an entry on a medium whose rename refuses a taken name: renames the old entry away first.
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
