// GeneratedFile: the content and the stat of a file of a `GeneratedTree`, computed from the file's number.
//
// An eighth of the files are stored inline. Half of the files have a chunk of their own, and the others share 4096
// chunks.

import BakCore
import BakStorage
import SeededNumbers

/// A file of the tree.
struct GeneratedFile {
    /// One in this many files is edited, on average.
    private static let editPeriod: UInt64 = 100
    private static let sharedContents: UInt64 = 4096
    private static let firstTime = CaptureTime(month: 0, day: 1, second: 0).epoch
    private static let editTime = CaptureTime(month: 36, day: 1, second: 0).epoch

    let number: Int
    /// The size of the content in bytes.
    let size: Int
    /// True if the content and the times differ from those of the first state.
    let isEdited: Bool
    /// The randomness of the content.
    private var content: SplitMix64

    /// Makes a file of the tree's first state, or of its second state if `isLater`.
    init(number: Int, isLater: Bool) {
        self.number = number
        var random = SplitMix64(seed: UInt64(number))
        let choice = random.next()
        isEdited = isLater && random.next() % Self.editPeriod == 0
        let seed =
            switch (isEdited, choice % 8) {
            case (true, _): 2 << 32 | UInt64(number)
            case (false, ..<5): 1 << 32 | UInt64(number)
            default: choice >> 8 % Self.sharedContents
            }
        content = SplitMix64(seed: seed)
        // A repository stores files of up to 512 bytes inline.
        let sizes = !isEdited && choice % 8 == 0 ? 64..<513 : 513..<1024
        size = Int.random(in: sizes, using: &content)
    }

    /// The content.
    var bytes: [UInt8] {
        var content = content
        return content.bytes(size)
    }

    var stat: FileStat {
        var stat = FileStat(type: .regular)
        stat.mode = 0o644
        (stat.size, stat.allocatedBytes) = (UInt64(size), 4096)
        stat.setIdentity(
            inode: UInt64(number) + 1, seconds: isEdited ? Self.editTime : Self.firstTime + number % 86_400)
        return stat
    }

    /// Returns the stat of the folder with this number.
    static func stat(ofFolder number: Int) -> FileStat {
        var stat = FileStat(type: .directory)
        stat.mode = 0o755
        stat.setIdentity(inode: 1 << 40 | UInt64(number), seconds: firstTime)
        return stat
    }

    /// The attributes of all files and folders.
    static let attributes: FileAttributes = {
        var attributes = FileAttributes()
        (attributes.userName, attributes.groupName) = (Array("owner".utf8), Array("users".utf8))
        return attributes
    }()
}

extension FileStat {
    fileprivate mutating func setIdentity(inode: UInt64, seconds: Int) {
        (uid, gid, device, self.inode) = (1000, 100, 1, inode)
        (mtime, ctime) = (
            Timestamp(seconds: Int64(seconds)), Timestamp(seconds: Int64(seconds), nanoseconds: 1)
        )
    }
}

/// An open file of the tree.
final class OpenGeneratedFile: SourceFile {
    private let file: GeneratedFile

    init(_ file: GeneratedFile) { self.file = file }

    func stat() -> FileStat { file.stat }
    func attributes(_ stat: FileStat) -> FileAttributes { GeneratedFile.attributes }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        guard offset < file.size else { return 0 }
        let bytes = file.bytes[Int(offset)...].prefix(buffer.count)
        buffer.copyBytes(from: bytes)
        return bytes.count
    }

    func nextData(from offset: UInt64, size: UInt64) -> Range<UInt64>? { offset < size ? offset..<size : nil }
    func close() {}
}
