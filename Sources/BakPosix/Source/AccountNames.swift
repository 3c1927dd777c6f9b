// AccountNames: finds users' and groups' names by id and ids by name. It asks the system only once for each.

import BakCore
import Glibc

/// A cache over the system's account database. Every call may come from any thread.
final class AccountNames: @unchecked Sendable {
    private let monitor = Monitor()
    private var userNames: [UInt32: [UInt8]] = [:]
    private var groupNames: [UInt32: [UInt8]] = [:]
    private var userIDs: [[UInt8]: UInt32?] = [:]
    private var groupIDs: [[UInt8]: UInt32?] = [:]

    /// The user's name; empty if the system knows none. The look-up holds the monitor, so two threads do not ask a slow
    /// directory service the same question.
    func user(_ id: UInt32) -> [UInt8] {
        monitor.locked {
            if let known = userNames[id] { return known }
            let name = Self.lookUp(passwd()) {
                getpwuid_r(id, $0, $1, $2, $3)
            } found: {
                Self.bytes($0.pw_name)
            }
            userNames[id] = name ?? []
            return name ?? []
        }
    }

    /// The group's name; empty if the system knows none.
    func group(_ id: UInt32) -> [UInt8] {
        monitor.locked {
            if let known = groupNames[id] { return known }
            let name = Self.lookUp(Glibc.group()) {
                getgrgid_r(id, $0, $1, $2, $3)
            } found: {
                Self.bytes($0.gr_name)
            }
            groupNames[id] = name ?? []
            return name ?? []
        }
    }

    /// The id of the user with that name; nil if the system knows none.
    func userID(_ name: [UInt8]) -> UInt32? {
        guard !name.isEmpty, !name.contains(0) else { return nil }
        return monitor.locked {
            if let known = userIDs[name] { return known }
            let id = withCPath(name) { name in
                Self.lookUp(passwd()) {
                    getpwnam_r(name, $0, $1, $2, $3)
                } found: {
                    $0.pw_uid
                }
            }
            userIDs[name] = .some(id)
            return id
        }
    }

    /// The id of the group with that name; nil if the system knows none.
    func groupID(_ name: [UInt8]) -> UInt32? {
        guard !name.isEmpty, !name.contains(0) else { return nil }
        return monitor.locked {
            if let known = groupIDs[name] { return known }
            let id = withCPath(name) { name in
                Self.lookUp(Glibc.group()) {
                    getgrnam_r(name, $0, $1, $2, $3)
                } found: {
                    $0.gr_gid
                }
            }
            groupIDs[name] = .some(id)
            return id
        }
    }

    /// Calls one of the `get…_r` functions with a buffer that grows until the record fits.
    private static func lookUp<Record, Value>(
        _ empty: Record,
        _ call: (
            UnsafeMutablePointer<Record>, UnsafeMutablePointer<CChar>, Int,
            UnsafeMutablePointer<UnsafeMutablePointer<Record>?>
        ) -> Int32,
        found: (Record) -> Value?
    ) -> Value? {
        var capacity = 1024
        while capacity <= 1 << 20 {
            var record = empty
            var result: UnsafeMutablePointer<Record>?
            let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
            defer { buffer.deallocate() }
            let code = withUnsafeMutablePointer(to: &record) { call($0, buffer, capacity, &result) }
            if code == 0 { return result == nil ? nil : found(record) }
            guard code == ERANGE || code == EINTR else { return nil }
            if code == ERANGE { capacity *= 4 }
        }
        return nil
    }

    private static func bytes(_ text: UnsafeMutablePointer<CChar>?) -> [UInt8] {
        text.map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? []
    }
}
