// ExtendedAttributes: reading and writing the extended attributes of an open file or, for what cannot be
// opened with rights of its own (symbolic links, device nodes), of an O_PATH descriptor by way of
// /proc/self/fd, which leads to the very inode that was opened. POSIX ACLs are among the attributes
// under their system names.

import BakCore
import CLinux
import Glibc

/// A file whose attributes are read or set.
struct AttributeHolder {
    private let descriptor: Int32
    /// The way to the inode when the descriptor is O_PATH.
    private let path: String?

    /// The holder behind a descriptor.
    init(_ descriptor: Int32, isPathOnly: Bool) {
        self.descriptor = descriptor
        path = isPathOnly ? "/proc/self/fd/\(descriptor)" : nil
    }

    /// One attribute, by a name with its NUL; nil when the file lacks it.
    func value(_ name: UnsafePointer<CChar>) throws(Errno) -> [UInt8]? {
        do throws(Errno) {
            return try grown { buffer, count in
                path.map { getxattr($0, name, buffer, count) } ?? fgetxattr(descriptor, name, buffer, count)
            }
        } catch {
            guard error.code == ENODATA else { throw error }
            return nil
        }
    }

    /// The names of all attributes, each with a NUL behind it.
    func names() throws(Errno) -> [UInt8] {
        do throws(Errno) {
            return try grown { buffer, count in
                path.map { listxattr($0, buffer, count) } ?? flistxattr(descriptor, buffer, count)
            }
        } catch {
            guard error.code == ENOTSUP || error.code == ENOSYS || error.code == EIO && isWithout else {
                throw error
            }
            return []
        }
    }

    /// True if a program is the file system (FUSE) and fails at a name that no file has, too: `rclone mount` says EIO
    /// where it has no attributes at all.
    private var isWithout: Bool {
        let name = "user.bakstore.none"
        let count = path.map { getxattr($0, name, nil, 0) } ?? fgetxattr(descriptor, name, nil, 0)
        return count < 0 && errno == EIO && MediumProbe.isProgram(descriptor)
    }

    /// The ACL that what is made in a folder gets.
    static let listHandedDown = "system.posix_acl_default"

    /// Whether a folder may hand down an ACL: no only where the file system says so.
    var mayHandDownList: Bool {
        let name = Self.listHandedDown
        let count = path.map { getxattr($0, name, nil, 0) } ?? fgetxattr(descriptor, name, nil, 0)
        return count >= 0 || errno != ENODATA && errno != ENOTSUP
    }

    /// Sets one attribute.
    func set(_ name: [UInt8], _ value: [UInt8]) throws(Errno) {
        try withCPath(name) { name throws(Errno) in
            _ = try system {
                value.withUnsafeBytes { bytes in
                    path.map { setxattr($0, name, bytes.baseAddress, bytes.count, 0) }
                        ?? fsetxattr(descriptor, name, bytes.baseAddress, bytes.count, 0)
                }
            }
        }
    }

    /// Removes one attribute if the file has it. Asks first, because a removal of nothing costs the file
    /// system a transaction.
    func remove(_ name: String) {
        let count = path.map { getxattr($0, name, nil, 0) } ?? fgetxattr(descriptor, name, nil, 0)
        if count >= 0 { _ = path.map { removexattr($0, name) } ?? fremovexattr(descriptor, name) }
    }

    /// Calls with a growing buffer until the value fits. The kernel's limit is 64 KiB a value or list.
    private func grown(
        _ call: (UnsafeMutableRawPointer?, Int) -> Int
    ) throws(Errno) -> [UInt8] {
        var capacity = 256
        while true {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
            defer { buffer.deallocate() }
            do throws(Errno) {
                let count = try system { call(buffer.baseAddress, buffer.count) }
                return Array(buffer[..<count])
            } catch {
                guard error.code == ERANGE, capacity < 1 << 24 else { throw error }
                capacity *= 8
            }
        }
    }
}

extension AttributeHolder {
    /// What reading attributes failed with.
    enum ReadFailure: Error, Equatable {
        case system(Errno, attribute: String?)
        case tooLarge
    }

    /// How many bytes the names and values of one file may have together.
    static let sizeLimit = 4 << 20
    /// What can be asked for by name where the names cannot be listed, as on XFS when they take over 64 KiB.
    private static let wellKnown = [
        "security.capability", "system.posix_acl_access", listHandedDown,
    ]

    /// All attributes that can be read, sorted by name, and the first failure of one that cannot. One that vanishes
    /// meanwhile is left out.
    func all() -> (attributes: [ExtendedAttribute], failure: ReadFailure?) {
        var failure: ReadFailure?
        var list: [ArraySlice<UInt8>]
        do throws(Errno) {
            list = try names().split(separator: 0)
        } catch {
            failure = .system(error, attribute: nil)
            list = Self.wellKnown.map { Array($0.utf8)[...] }
        }
        var attributes: [ExtendedAttribute] = []
        var total = 0
        for name in list {
            do throws(Errno) {
                let value = try withCPath(name) { name throws(Errno) in try self.value(name) }
                guard let value else { continue }
                total += name.count + value.count
                if total > Self.sizeLimit { return (attributes.sorted(), .tooLarge) }
                attributes.append(ExtendedAttribute(name: Array(name), value: value))
            } catch {
                // What the file system does not support is not there.
                if failure == nil, error.code != ENOTSUP {
                    failure = .system(error, attribute: String(decoding: name, as: UTF8.self))
                }
            }
        }
        return (attributes.sorted(), failure)
    }
}

extension [ExtendedAttribute] {
    fileprivate func sorted() -> Self { sorted { $0.name.lexicographicallyPrecedes($1.name) } }
}
