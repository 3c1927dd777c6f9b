// ExtendedAttributes: reads and writes the extended attributes of an open file. Symbolic links and device nodes can
// only be opened with O_PATH. Their attributes are read through /proc/self/fd, which leads to the inode that was
// opened. POSIX ACLs are attributes under their system names.

import BakCore
import CLinux
import Glibc

/// A file that has extended attributes.
struct AttributeHolder {
    private let descriptor: Int32
    /// The path to the inode if the descriptor is O_PATH.
    private let path: String?

    /// Makes the holder for a descriptor.
    init(_ descriptor: Int32, isPathOnly: Bool) {
        self.descriptor = descriptor
        path = isPathOnly ? "/proc/self/fd/\(descriptor)" : nil
    }

    /// The value of an attribute; nil if the file lacks it.
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

    /// The names of all attributes, each with a NUL after it.
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

    /// True if the file is on FUSE and even the look-up of an attribute that no file has fails with EIO. This is how
    /// `rclone mount` answers, because it supports no attributes at all.
    private var isWithout: Bool {
        let name = "user.bakstore.none"
        let count = path.map { getxattr($0, name, nil, 0) } ?? fgetxattr(descriptor, name, nil, 0)
        return count < 0 && errno == EIO && MediumProbe.isProgram(descriptor)
    }

    /// The ACL that new entries of a folder inherit.
    static let listHandedDown = "system.posix_acl_default"

    /// True if new entries of a folder may inherit an ACL. False only if the file system says that the folder has none
    /// to hand down.
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

    /// Removes one attribute if the file has it. It looks first, because removing nothing costs the file system a
    /// transaction.
    func remove(_ name: String) {
        let count = path.map { getxattr($0, name, nil, 0) } ?? fgetxattr(descriptor, name, nil, 0)
        if count >= 0 { _ = path.map { removexattr($0, name) } ?? fremovexattr(descriptor, name) }
    }

    /// Repeats the call with a growing buffer until the value fits. The kernel's limit is 64 KiB for a value or a list.
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
    /// Why attributes could not be read.
    enum ReadFailure: Error, Equatable {
        case system(Errno, attribute: String?)
        case tooLarge
    }

    /// The most bytes that the names and values of one file may have together.
    static let sizeLimit = 4 << 20
    /// Attributes to ask for by name if the names cannot be listed, as on XFS when they take over 64 KiB.
    private static let wellKnown = [
        "security.capability", "system.posix_acl_access", listHandedDown,
    ]

    /// All readable attributes, sorted by name, and the first failure. An attribute that vanishes meanwhile is left
    /// out.
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
                // ENOTSUP: the file system has no such attributes.
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
