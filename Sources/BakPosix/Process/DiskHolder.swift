// DiskHolder: the thing that holds a path's bytes, such as a disk or another machine, as far as this machine can tell.

import BakCore
import Glibc

/// A disk, or a stand-in for disks that this machine cannot see.
enum DiskHolder: Hashable {
    /// A disk of this machine, by its path in `/sys`.
    case disk(String)
    /// This machine's memory.
    case memory
    /// A ZFS pool. It lies on disks of this machine, but does not name them.
    case pool([UInt8])
    /// A folder that a host shares with this virtual machine. It may lie on a disk that the host also gives to this
    /// machine.
    case host([UInt8])
    /// A phone or a camera.
    case gadget
    /// Another machine. One machine may have several names.
    case machine(MachineAddress)

    /// True if no single failure can lose both this holder and the other one. False if that is not certain.
    func isApart(from other: DiskHolder) -> Bool {
        switch (self, other) {
        case (.memory, _), (_, .memory), (.disk, .disk): self != other
        case (.gadget, .disk), (.gadget, .pool), (.gadget, .host), (.gadget, .machine): true
        case (.machine, .disk), (.machine, .pool): true
        case (_, .gadget), (.disk, .machine), (.pool, .machine): other.isApart(from: self)
        // Not certain: two pools, a pool and a disk, two names of machines, or a host's folder and anything that may
        // lie on the host.
        default: false
        }
    }
}

/// The name or address of another machine, from the source of a mount.
struct MachineAddress: Hashable {
    private let name: [UInt8]

    /// Reads `server:/path`, `user@server:path`, `//server/share` or `https://server:443/path`. Any other source counts
    /// as a whole as the name. Nil if the name is this machine's.
    init?(_ source: [UInt8]) {
        let text = String(decoding: source, as: UTF8.self).lowercased()
        var rest = text[...]
        if let scheme = rest.firstRange(of: "://") {
            rest = rest[scheme.upperBound...].prefix { $0 != "/" }
        } else if rest.hasPrefix("//") {
            rest = rest.dropFirst(2).prefix { $0 != "/" }
        } else if !rest.contains("["), !rest.contains("::") {
            rest = rest.prefix { $0 != ":" }
        }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        if rest.hasPrefix("[") {
            rest = rest.dropFirst().prefix { $0 != "]" }
        } else if !rest.contains("::") {
            rest = rest.prefix { $0 != ":" }
        }
        while rest.hasSuffix(".") { rest = rest.dropLast() }
        if rest.isEmpty || Self.isHere(String(rest)) { return nil }
        name = Array(rest.utf8)
    }

    private static func isHere(_ name: String) -> Bool {
        let own = Machine.hostName.lowercased()
        let names = ["localhost", "ip6-localhost", "::1", own, own.prefix { $0 != "." } + ".local"]
        return names.contains(name) || name.hasPrefix("127.") || name.hasPrefix("localhost.")
            || Machine.networkAddresses.contains(name)
    }
}

/// One mount: a line of `mountinfo`.
struct Mount {
    /// The mount point.
    let point: [UInt8]
    let type: String
    /// The mounted device, share or folder, as the file system calls it.
    let source: [UInt8]
    private let options: [[UInt8]]

    /// Finds the mount with that number. A line reads
    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
    init?(numbered number: [UInt8], in list: [UInt8]) {
        for line in list.split(separator: UInt8(ascii: "\n")) where line.starts(with: number) {
            let fields = line.split(separator: UInt8(ascii: " "))
            guard fields[0].elementsEqual(number),
                let dash = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }),
                fields.count > dash + 2, dash > 4
            else { continue }
            point = Self.unescaped(fields[4])
            type = String(decoding: fields[dash + 1], as: UTF8.self)
            source = Self.unescaped(fields[dash + 2])
            let all = fields.count > dash + 3 ? fields[dash + 3] : []
            options = all.split(separator: UInt8(ascii: ",")).map { Self.unescaped($0) }
            return
        }
        return nil
    }

    /// The folders that an overlay merges; nil if its options name none.
    var layers: [[UInt8]]? {
        var layers: [[UInt8]] = []
        for option in options {
            if option.starts(with: "upperdir=".utf8) { layers.append(Array(option.dropFirst(9))) }
            if option.starts(with: "lowerdir=".utf8) { layers += Self.divided(option.dropFirst(9)) }
            for name in ["lowerdir+=", "datadir+="] where option.starts(with: name.utf8) {
                layers.append(Array(option.dropFirst(name.utf8.count)))
            }
        }
        return layers.isEmpty ? nil : layers
    }

    /// The holder of a path in a folder where a desktop shows devices and servers. The first component below the mount
    /// point names the holder: `mtp:host=NAME` or `mtp` is a phone, `smb-share:server=nas,share=photos` is another
    /// machine.
    func shownByDesktop(_ path: [UInt8]) -> DiskHolder? {
        guard let real = Machine.realPath(path), real.starts(with: point) else { return nil }
        let name = real.dropFirst(point.count).split(separator: UInt8(ascii: "/")).first ?? []
        let parts = name.split(separator: UInt8(ascii: ":"), maxSplits: 1).map { Array($0) }
        let scheme = parts.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        if ["mtp", "gphoto2", "afc", "camera"].contains(scheme) { return .gadget }
        for field in parts.dropFirst().joined().split(separator: UInt8(ascii: ",")) {
            for key in ["server=", "host="] where field.starts(with: key.utf8) {
                return MachineAddress(Array(field.dropFirst(key.utf8.count))).map { .machine($0) }
            }
        }
        return nil
    }

    /// Splits `/a:/b`. In it, `\:` stands for a colon in a name.
    private static func divided(_ text: ArraySlice<UInt8>) -> [[UInt8]] {
        var parts: [[UInt8]] = [[]]
        var rest = text
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let next = rest.popFirst() {
                parts[parts.count - 1].append(next)
            } else if byte == UInt8(ascii: ":") {
                parts.append([])
            } else {
                parts[parts.count - 1].append(byte)
            }
        }
        return parts.filter { !$0.isEmpty }
    }

    /// Decodes a field of `mountinfo`. In it, `\040` stands for a space.
    private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8] {
        var (bytes, rest) = ([UInt8](), field)
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }
}
