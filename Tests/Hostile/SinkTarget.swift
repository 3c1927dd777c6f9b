// SinkTarget: a restore target that accepts everything.

import BakCore
import BakStorage

/// A restore target that remembers only the paths of folders.
final class SinkTarget: RestoreTarget, @unchecked Sendable {
    private let monitor = Monitor()
    private var folders: Set<[UInt8]> = []

    func stat(_ path: [UInt8]) -> FileStat? {
        monitor.locked { folders.contains(path) } ? FileStat(type: .directory) : nil
    }

    func list(_ path: [UInt8], sweeping: Bool, _ visit: (ArraySlice<UInt8>) -> Void) {
        // The top folder lists one item that no restore made, so that restores meet an item in their way.
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
