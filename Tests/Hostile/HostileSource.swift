// HostileSource: a source with the entries of a hostile manifest.

import BakCore
import BakStorage

/// A source with the entries of a manifest. Its files contain zeros.
final class HostileSource: SourceTree {
    private let entries: [HostileEntry]
    private static let mostBytes: UInt64 = 1 << 16

    init(_ entries: [HostileEntry]) {
        // No system reports a larger size.
        self.entries = entries.map { entry in
            var entry = entry
            entry.stat.size = min(entry.stat.size, UInt64(Int64.max))
            return entry
        }
    }

    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws {
        var skipped: [UInt8]?
        for entry in entries {
            if let skipped, PathOrder.isAtOrBeneath(entry.path, skipped) { continue }
            switch try visit(.entry(path: entry.path, stat: entry.stat)) {
            case .stop: return
            case .skipChildren: skipped = entry.path
            case .proceed: break
            }
        }
    }

    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        guard let entry = entries.first(where: { $0.path == path }) else {
            throw SourceError(operation: "open", message: "absent", isNotFound: true)
        }
        // The file has data up to a limit and is a hole after that, so that reading it ends soon.
        return HostileFile(stat: entry.stat, dataBytes: min(entry.stat.size, Self.mostBytes))
    }

    func attributes(_ path: [UInt8], _ stat: FileStat) -> FileAttributes { FileAttributes() }
    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) { ([], []) }

    func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence {
        MediumEvidence(hasIdentity: true, granularityNanoseconds: 1)
    }
}

private final class HostileFile: SourceFile {
    private let known: FileStat
    private let dataBytes: UInt64

    init(stat: FileStat, dataBytes: UInt64) { (known, self.dataBytes) = (stat, dataBytes) }

    func stat() -> FileStat { known }
    func attributes(_ stat: FileStat) -> FileAttributes { FileAttributes() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        guard offset < dataBytes else { return 0 }
        let count = min(buffer.count, Int(dataBytes - offset))
        UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]).initializeMemory(
            as: UInt8.self, repeating: 0)
        return count
    }

    func nextData(from offset: UInt64, size: UInt64) -> Range<UInt64>? {
        offset < dataBytes ? offset..<dataBytes : nil
    }

    func close() {}
}
