// FileStretch: what of a file with holes is read as data.

import BakStorage

extension SourceFile {
    /// The next stretch of a file of `size` bytes to read as data; it is empty at the file's end when only a hole is
    /// left. Shorter holes are data, so that scattered blocks do not become scattered chunks; and so is what would be a
    /// hole if the file were as long as it is said to be.
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

    /// Whether there is a byte before the end that stat shows.
    private func reaches(_ size: UInt64) throws(SourceError) -> Bool {
        guard size > 0 else { return true }
        var last: UInt8 = 0
        return try withUnsafeMutableBytes(of: &last) { byte throws(SourceError) in
            try read(into: byte, at: size - 1) == 1
        }
    }
}
