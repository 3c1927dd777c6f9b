// A target that takes everything, and a source that has what a hostile manifest says.

import BakCore
import BakStorage

/// A restore target that keeps nothing but the names of folders.
final class SinkTarget: RestoreTarget, @unchecked Sendable {
    private let monitor = Monitor()
    private var folders: Set<[UInt8]> = []

    func stat(_ path: [UInt8]) -> FileStat? {
        monitor.locked { folders.contains(path) } ? FileStat(type: .directory) : nil
    }

    func list(_ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void) {
        // Something that is in the way, with the first time that there is.
        if path.isEmpty { visit(Array("b".utf8)[...]) }
    }

    func rendered(_ time: Timestamp, at path: [UInt8], device: UInt64) -> Timestamp { time }
    func makeFolder(_ path: [UInt8]) -> Bool { monitor.locked { folders.insert(path).inserted } }

    func createFile(
        _ path: [UInt8], size: UInt64, atOnceWithMode mode: UInt16?, replacing: Bool
    ) -> any RestoreFile { SinkFile() }

    func makeSpecial(
        _ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes, replacing: Bool
    ) -> [MetadataNote] { [] }

    func makeHardLink(_ path: [UInt8], to existing: [UInt8], replacing: Bool) {}
    func hasSameContent(_ path: [UInt8], as other: [UInt8]) -> Bool { true }

    func copyFile(
        _ path: [UInt8], from existing: [UInt8], _ stat: FileStat, _ attributes: FileAttributes,
        replacing: Bool
    ) -> [MetadataNote] { [] }

    func setMetadata(_ path: [UInt8], _ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote] { [] }
    func tidy() {}
    func finishTop(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote] { [] }
    func synchronize() {}
    func close() {}
}

private final class SinkFile: RestoreFile {
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {}
    func finish(_ stat: FileStat, _ attributes: FileAttributes) -> [MetadataNote] { [] }
    func abandon() {}
}

/// A source with the entries of a manifest; files have zeros.
final class HostileSource: SourceTree {
    private let entries: [HostileEntry]
    private static let mostBytes: UInt64 = 1 << 16

    init(_ entries: [HostileEntry]) {
        // No system tells of larger files.
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
        // What would take for ever to read is a hole from where it begins to.
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
