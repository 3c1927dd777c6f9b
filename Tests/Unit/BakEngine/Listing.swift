// Listing: the items of a folder on this machine, as text that a test can compare.

import BakCodec
import BakCore
import BakPosix
import BakStorage

/// The items of a folder, described in text.
struct Listing {
    var items: [String: String] = [:]

    init(_ folder: String, _ comparingTimes: Bool) throws {
        let tree = try FileTree(roots: [Array(folder.utf8)])
        let root = tree.roots[0]
        var inodes: [UInt64: [String]] = [:]
        try tree.walk { event in
            guard case .entry(let path, let stat) = event, path.count > root.count,
                PathOrder.isAtOrBeneath(path, root)
            else { return .proceed }
            let name = String(decoding: path.dropFirst(root.count + 1), as: UTF8.self)
            var words = "\(stat.type) \(String(stat.mode, radix: 8)) \(stat.uid):\(stat.gid) \(stat.size)"
            words += " links \(stat.linkCount) device \(stat.representedDevice)"
            if comparingTimes { words += " \(stat.mtime)" }
            var attributes = FileAttributes()
            if stat.type == .regular {
                let file = try tree.open(path)
                defer { file.close() }
                attributes = try file.attributes(stat)
                words += " content \(try Self.checksum(of: file, size: stat.size))"
            } else {
                attributes = try tree.attributes(path, stat)
            }
            words += " \(attributes.linkTarget) \(attributes.extendedAttributes)"
            items[name] = words
            if stat.linkCount > 1, stat.type == .regular { inodes[stat.inode, default: []].append(name) }
            return .proceed
        }
        for names in inodes.values { for name in names { items[name]! += " linked \(names.sorted())" } }
    }

    private static func checksum(of file: any SourceFile, size: UInt64) throws -> ID128 {
        var stream = ChecksumStream()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        var offset: UInt64 = 0
        while case let count = try file.read(into: buffer, at: offset), count > 0 {
            stream.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += UInt64(count)
        }
        return stream.finish()
    }
}
