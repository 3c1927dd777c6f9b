// FileStretch: decides which parts of a sparse file are read as data.

import BakStorage

extension SourceFile {
    /// Returns the next range, at or after `offset`, to read as data. `size` is the size that stat reported. If only a
    /// hole is left, the range is empty and at the file's end. Short holes count as data, so that scattered blocks do
    /// not become scattered chunks. If the file is shorter than `size`, the missing end counts as data, too, so that
    /// reading finds out.
    package func nextStretch(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64> {
        let holeBytes: UInt64 = 64 << 10
        guard var data = try nextData(from: offset, size: size) else {
            return try reaches(size) ? size..<size : offset..<size
        }
        while data.upperBound < size {
            guard let next = try nextData(from: data.upperBound, size: size),
                next.lowerBound - data.upperBound < holeBytes
            else { break }
            data = data.lowerBound..<next.upperBound
        }
        let start = data.lowerBound - offset < holeBytes ? offset : data.lowerBound
        return start..<min(max(data.upperBound, start), size)
    }

    /// True if the file has a byte just before the end that stat reports.
    private func reaches(_ size: UInt64) throws(SourceError) -> Bool {
        guard size > 0 else { return true }
        var last: UInt8 = 0
        return try withUnsafeMutableBytes(of: &last) { byte throws(SourceError) in
            try read(into: byte, at: size - 1) == 1
        }
    }
}
