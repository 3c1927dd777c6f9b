// MediaData: pictures before and after a tag edit, and videos before and after a faststart remux. The files have the
// structure of their formats. Compressed parts are random bytes, because a chunker sees no difference.

import SeededNumbers

/// Big-endian integers as bytes.
func bigEndianBytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
}

/// JPEG files.
enum PictureData {
    static func make(_ scale: BenchmarkScale) -> DataSet {
        var generator = SplitMix64(seed: 41)
        var originals: [[UInt8]] = []
        var tagged: [[UInt8]] = []
        for number in 0..<scale.pictureCount {
            let size = scale.pictureBytes.lowerBound + generator.skewed(in: 0..<scale.pictureBytes.count)
            let thumbnail = generator.bytes(size / 250)
            let picture = scan(generator.bytes(size))
            let camera = "EXAMPLE CAMERA 1.0 2026:03:14 12:\(10 + number % 50):33"
            originals.append([0xff, 0xd8] + exif(camera, thumbnail) + picture)
            let tags = camera + String(repeating: " rating keyword", count: 3 + number % 40)
            tagged.append([0xff, 0xd8] + exif(tags, thumbnail) + picture)
        }
        return DataSet(name: "\(scale.pictureCount) JPEG, then tagged", files: originals + tagged)
    }

    /// Makes an APP1 segment: a TIFF header, text values, a thumbnail.
    static func exif(_ text: String, _ thumbnail: [UInt8]) -> [UInt8] {
        let payload =
            Array("Exif".utf8) + [0, 0, 0x4d, 0x4d, 0, 0x2a, 0, 0, 0, 8] + Array(text.utf8) + thumbnail
        return [0xff, 0xe1] + bigEndianBytes(UInt16(payload.count + 2)) + payload
    }

    /// Makes tables, the start of scan, entropy-coded data with stuffed zeros, and the end of the image.
    static func scan(_ entropyCoded: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [0xff, 0xdb, 0, 67, 0] + (1...64).map { UInt8($0) }
        bytes += [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 0x3f, 0]
        bytes.reserveCapacity(bytes.count + entropyCoded.count * 257 / 256)
        for byte in entropyCoded {
            bytes.append(byte)
            if byte == 0xff { bytes.append(0) }
        }
        return bytes + [0xff, 0xd9]
    }
}

/// MP4 files.
enum VideoData {
    static func make(_ scale: BenchmarkScale) -> DataSet {
        var generator = SplitMix64(seed: 51)
        var recorded: [[UInt8]] = []
        var remuxed: [[UInt8]] = []
        for _ in 0..<scale.videoCount {
            let size = Int.random(in: scale.videoBytes, using: &generator)
            let (first, second) = file(size: size, &generator)
            recorded.append(first)
            remuxed.append(second)
        }
        return DataSet(name: "\(scale.videoCount) MP4, then faststart", files: recorded + remuxed)
    }

    /// Makes a file with about `size` bytes of samples, as recorded and after a faststart remux.
    static func file(size: Int, _ generator: inout SplitMix64) -> (recorded: [UInt8], remuxed: [UInt8]) {
        let fileType = box("ftyp", Array("isom".utf8) + [0, 0, 2, 0] + Array("isomiso2avc1mp41".utf8))
        var samples: [UInt32] = []
        var payload: [UInt8] = []
        while payload.count < size {
            let sample = generator.bytes(500 + generator.skewed(in: 0..<60_000))
            samples.append(UInt32(sample.count + 4))
            payload += bigEndianBytes(UInt32(sample.count)) + sample
        }
        let media = box("mdat", payload)
        let movie = movie(samples, firstOffset: fileType.count + 8)
        let moved = self.movie(samples, firstOffset: fileType.count + movie.count + 8)
        return (fileType + media + movie, fileType + moved + media)
    }

    /// Makes the movie box with the sizes and offsets of all samples. Each sample is a separate chunk.
    private static func movie(_ samples: [UInt32], firstOffset: Int) -> [UInt8] {
        let count = bigEndianBytes(UInt32(samples.count))
        var sizes: [UInt8] = []
        var offsets: [UInt8] = []
        var offset = UInt32(firstOffset)
        for sample in samples {
            sizes += bigEndianBytes(sample)
            offsets += bigEndianBytes(offset)
            offset += sample
        }
        let version: [UInt8] = [0, 0, 0, 0]
        let tables = box("stsz", version + version + count + sizes) + box("stco", version + count + offsets)
        return box("moov", box("mvhd", [UInt8](repeating: 0, count: 100)) + box("trak", tables))
    }

    /// Makes an ISO base media box.
    static func box(_ type: String, _ payload: [UInt8]) -> [UInt8] {
        bigEndianBytes(UInt32(payload.count + 8)) + Array(type.utf8) + payload
    }
}
