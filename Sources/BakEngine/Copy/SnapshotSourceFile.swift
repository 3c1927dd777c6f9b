// SnapshotSourceFile: presents a file of a snapshot as a source file for a backup.

import BakCore
import BakFormat
import BakRepository
import BakStorage

/// A file of a snapshot. For one thread.
final class SnapshotSourceFile: SourceFile {
    private let content: SnapshotContent
    private var entry: ManifestEntry { content.entry }

    /// Makes a file from content whose extents have been found and add up to its size.
    init(_ content: SnapshotContent) { self.content = content }

    var earlierFindings: EarlierFindings? {
        EarlierFindings(
            changedWhileRead: entry.changedWhileRead, isUnsettled: entry.isUnsettled,
            missing: entry.missing)
    }

    func stat() throws(SourceError) -> FileStat {
        var stat = entry.stat
        stat.allocatedBytes = content.hasHole ? 0 : stat.size
        return stat
    }

    func attributes(_ stat: FileStat) -> FileAttributes { entry.attributes }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        var filled = 0
        do {
            while filled < buffer.count {
                let count = try content.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]),
                    at: offset + UInt64(filled))
                if count == 0 { break }
                filled += count
            }
        } catch { throw SourceError(operation: "read", message: "\(error)") }
        return filled
    }

    func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
        do {
            return try content.nextData(from: offset, size: size)
        } catch { throw SourceError(operation: "read", message: "\(error)") }
    }

    func close() {}
}
