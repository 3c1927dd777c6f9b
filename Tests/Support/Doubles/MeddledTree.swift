// MeddledTree: a source that a test changes while a backup reads it.

import BakCore
import BakStorage

/// Calls a closure before each read of a file, with the file's path and the read's offset.
public final class MeddledTree: ForwardingTree, @unchecked Sendable {
    private let onRead: @Sendable ([UInt8], UInt64) -> Void

    /// Makes a source in front of `base` that calls `onRead` before each read.
    public init(_ base: any SourceTree, onRead: @escaping @Sendable ([UInt8], UInt64) -> Void) {
        self.onRead = onRead
        super.init(base)
    }

    /// Opens a file of `base`. Each read of it calls `onRead` first.
    public override func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        File(try super.open(path)) { [onRead] in onRead(path, $0) }
    }

    private final class File: ForwardingFile {
        private let onRead: (UInt64) -> Void

        init(_ base: any SourceFile, onRead: @escaping (UInt64) -> Void) {
            self.onRead = onRead
            super.init(base)
        }

        override func read(
            into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
        ) throws(SourceError) -> Int {
            onRead(offset)
            return try super.read(into: buffer, at: offset)
        }
    }
}
