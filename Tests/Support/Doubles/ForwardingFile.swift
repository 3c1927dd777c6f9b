// ForwardingFile: an open file that forwards every call to another one. A test makes a subclass and overrides some
// calls.

import BakCore
import BakStorage

/// Forwards to `base`.
open class ForwardingFile: SourceFile {
    /// The file that gets the calls.
    public let base: any SourceFile
    /// The answer of `base`.
    public var hasKnownSize: Bool { base.hasKnownSize }
    /// The findings of `base`.
    public var earlierFindings: EarlierFindings? { base.earlierFindings }

    /// Makes a file in front of `base`.
    public init(_ base: any SourceFile) { self.base = base }

    open func stat() throws(SourceError) -> FileStat { try base.stat() }
    open func attributes(_ stat: FileStat) throws(SourceError) -> FileAttributes { try base.attributes(stat) }
    open func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
        try base.read(into: buffer, at: offset)
    }
    open func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
        try base.nextData(from: offset, size: size)
    }
    open func close() { base.close() }
}
