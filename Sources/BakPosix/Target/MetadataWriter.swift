// MetadataWriter: gives an open file its owner, mode, extended attributes and times, in this order. In any other order
// a later step would undo an earlier one: a change of owner clears set-uid and file capabilities, a change of mode
// rewrites an ACL's mask, and each step but the last changes the times.

import BakCore
import BakStorage
import CLinux
import Glibc

struct MetadataWriter {
    private let descriptor: Int32
    private let type: FileType
    /// The inode's path in /proc if the descriptor is O_PATH, because most calls refuse such a descriptor; else nil.
    private let path: String?
    private let accounts: AccountNames

    /// Makes a writer for an open file of that type.
    init(_ descriptor: Int32, _ type: FileType, isPathOnly: Bool, _ accounts: AccountNames) {
        self.descriptor = descriptor
        self.type = type
        self.accounts = accounts
        path = isPathOnly ? "/proc/self/fd/\(descriptor)" : nil
    }

    /// Sets all metadata. Returns a note for each part that could not be set. A failure concerns only this file.
    ///
    /// - Parameters:
    ///   - status: the file's present status, if known; an owner that is already right is not set again.
    ///   - mayHaveInherited: false if the file was made in a folder that hands down no ACL.
    func apply(
        _ stat: FileStat, _ attributes: FileAttributes, over status: Glibc.stat? = nil,
        mayHaveInherited: Bool = true
    ) -> [MetadataNote] {
        var notes: [MetadataNote] = []
        var mode = mode_t(stat.mode)
        let status = status ?? (try? fileStatus(descriptor))
        if let note = setOwner(stat, attributes, over: status) {
            notes.append(note)
            // With set-uid or set-gid, the program would run with the rights of an owner that it never had.
            if type == .regular && mode & 0o6000 != 0 {
                mode &= ~0o6000
                notes.append(
                    MetadataNote(
                        "set-uid and set-gid were not set, because the owner differs",
                        isExpected: note.isExpected))
            }
        }
        // A new file may have its mode already, and the call can be saved. But if it may have inherited an ACL, set the
        // mode, because that ACL may have changed it.
        if type != .symlink, mayHaveInherited || status.map({ $0.st_mode & 0o7777 }) != mode {
            note(&notes, "mode \(String(mode, radix: 8))") { () throws(Errno) in
                _ = try system { path.map { chmod($0, mode) } ?? fchmod(descriptor, mode) }
                // For a group that the user is not in, the system drops set-gid without an error.
                if mode & 0o6000 != 0, try fileStatus(descriptor).st_mode & 0o7777 != mode {
                    throw Errno(code: EPERM)
                }
            }
        }
        if mayHaveInherited { removeInherited(attributes.extendedAttributes) }
        setExtendedAttributes(attributes.extendedAttributes, &notes)
        note(&notes, "time") { () throws(Errno) in try setTime(stat.mtime, status) }
        return notes
    }

    /// Sets only the time.
    func applyTime(_ stat: FileStat, over status: Glibc.stat) -> [MetadataNote] {
        var notes: [MetadataNote] = []
        note(&notes, "time") { () throws(Errno) in try setTime(stat.mtime, status) }
        return notes
    }

    /// Runs a step and turns its failure into a note.
    private func note(
        _ notes: inout [MetadataNote], _ what: @autoclosure () -> String, isPrivileged: Bool = false,
        _ step: () throws(Errno) -> Void
    ) {
        do throws(Errno) {
            try step()
        } catch {
            notes.append(
                MetadataNote(
                    "\(what()) was not set: \(error.message)",
                    isExpected: isPrivileged && Self.isForbidden(error)))
        }
    }

    /// True if the call failed because the user is not root.
    private static func isForbidden(_ error: Errno) -> Bool { error.code == EPERM && linux_file_user() != 0 }

    /// Sets the owner. If this system knows the names, their ids take precedence over the numbers. Returns a note if
    /// the owner differs afterwards.
    private func setOwner(
        _ stat: FileStat, _ attributes: FileAttributes, over status: Glibc.stat?
    ) -> MetadataNote? {
        let user = accounts.userID(attributes.userName) ?? stat.uid
        let group = accounts.groupID(attributes.groupName) ?? stat.gid
        if let status, status.st_uid == user, status.st_gid == group { return nil }
        do throws(Errno) {
            try changeOwner(user, group)
            return nil
        } catch {
            // An ordinary user may still give a file to a group that the user is in.
            try? changeOwner(UInt32.max, group)
            if let status = try? fileStatus(descriptor), status.st_uid == user, status.st_gid == group {
                return nil
            }
            return MetadataNote(
                "owner \(user):\(group) was not set: \(error.message)", isExpected: Self.isForbidden(error))
        }
    }

    private func changeOwner(_ user: UInt32, _ group: UInt32) throws(Errno) {
        try system { fchownat(descriptor, "", user, group, linux_AT_EMPTY_PATH.flag) }
    }

    /// Removes an ACL that a new file inherited from its folder.
    private func removeInherited(_ attributes: [ExtendedAttribute]) {
        if type == .symlink { return }
        let holder = AttributeHolder(descriptor, isPathOnly: path != nil)
        for name in ["system.posix_acl_access", AttributeHolder.listHandedDown]
        where (type == .directory || name != AttributeHolder.listHandedDown)
            && !attributes.contains(where: { $0.name.elementsEqual(name.utf8) })
        {
            holder.remove(name)
        }
    }

    private func setExtendedAttributes(
        _ attributes: [ExtendedAttribute], _ notes: inout [MetadataNote]
    ) {
        if attributes.isEmpty { return }
        let holder = AttributeHolder(descriptor, isPathOnly: path != nil)
        for attribute in attributes {
            note(
                &notes, "extended attribute \(String(decoding: attribute.name, as: UTF8.self))",
                isPrivileged: attribute.isPrivileged
            ) { () throws(Errno) in
                guard !attribute.name.contains(0) else { throw Errno(code: EINVAL) }
                try holder.set(attribute.name, attribute.value)
            }
        }
    }

    /// Sets the modification time and keeps the access time.
    private func setTime(_ time: Timestamp, _ status: Glibc.stat?) throws(Errno) {
        // UTIME_OMIT would keep the access time, too. But with it, FUSE daemons of the second generation set neither
        // time and report success.
        let access = status?.st_atim ?? timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)
        let times = [access, time.systemValue]
        if let path {
            do throws(Errno) {
                try system { utimensat(descriptor, "", times, linux_AT_EMPTY_PATH.flag) }
            } catch {
                guard error.code == EINVAL else { throw error }
                try system { utimensat(AT_FDCWD, path, times, 0) }
            }
        } else {
            try system { futimens(descriptor, times) }
        }
        // If a file system cannot store a year, it stores the nearest one and reports no error.
        if Int32(exactly: time.seconds) == nil || time.seconds < 0 {
            guard Int64(try fileStatus(descriptor).st_mtim.tv_sec) == time.seconds else {
                throw Errno(code: EOVERFLOW)
            }
        }
    }
}
