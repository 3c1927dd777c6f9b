// FolderTarget+Names: gives a restore's entries their names, and decides whether a failure concerns one entry or the
// whole target.
//
// Always holds: unless it replaces, an entry never takes the name of another one, not even on media that treat two
// names as the same. A failure ends a restore only if the target accepts no more content.

import BakCore
import BakStorage
import CLinux
import Glibc

/// What a target's medium has turned out to be able to do or not. Any thread may use it.
final class TargetMedium: @unchecked Sendable {
    private let monitor = Monitor()
    private var lacksNoReplace = false
    private var isInOrder = false
    private var hasUnnamed = false
    private var failuresInARow = 0
    /// Held while a name is looked at and then taken, if the medium cannot do both in one call.
    let naming = Monitor()

    /// The number of failed files in a row after which the medium itself has failed.
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

    /// Counts a file whose content the medium failed to take. True if that happened too often in a row.
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

    /// The reason why `path` may not be used; nil if each component is a plain name. The length of names is left to the
    /// medium.
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
            // A rename removes the temporary name, unless both names are of the same inode: then it does nothing.
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
        // This may replace an entry that another process makes in between, but none that this process makes.
        try medium.naming.locked { () throws(Errno) in
            if (try? linkStatus(at: parent.number, name)) != nil { throw Errno(code: EEXIST) }
            try system { renameat(parent.number, temporary, parent.number, name) }
        }
        medium.renamesOnlyReplacing = true
    }

    /// Replaces with two renames, for media whose rename refuses a taken name.
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
