// LibraryContent: the bytes of a generated library's files. Their structure is that of the file formats. Compressed
// parts are random bytes, which look the same to a chunker and a compressor.

import SeededNumbers

/// Makes content. One value serves all files of a library, because it keeps the vocabulary.
struct LibraryContent {
    private let vocabulary: Vocabulary

    init(seed: UInt64) {
        var generator = SplitMix64(seed: seed ^ 0x776f_7264)
        vocabulary = Vocabulary(count: 6000, &generator)
    }

    /// Returns the content of a file.
    func bytes(of file: LibraryFile) -> [UInt8] {
        var generator = SplitMix64(seed: file.seed)
        switch file.form {
        case .jpeg: return picture(file, thumbnailBytes: min(file.size / 60, 20_000), &generator)
        case .thumbnail: return picture(file, thumbnailBytes: 0, &generator)
        case .heic: return stillImage(file, &generator)
        case .mp4: return VideoData.file(size: file.size, &generator).recorded
        case .text: return text(file, &generator)
        case .json: return records(file, &generator)
        case .chat(let messageCount):
            var database = ChatDatabase(seed: file.seed)
            for _ in 0..<messageCount { database.add() }
            for _ in 0..<file.edition { database.advance(from: messageCount) }
            return database.image()
        }
    }

    /// Returns a camera's description of a picture, with tags after an edit.
    private func description(_ file: LibraryFile) -> String {
        "EXAMPLE CAMERA 1.0 \(file.seed % 900 + 100) "
            + String(repeating: "rating keyword place ", count: file.edition * (4 + Int(file.seed % 40)))
    }

    private func picture(
        _ file: LibraryFile, thumbnailBytes: Int, _ generator: inout SplitMix64
    ) -> [UInt8] {
        let thumbnail = generator.bytes(thumbnailBytes)
        // A stuffed zero follows about one byte in 256.
        let scan = PictureData.scan(generator.bytes((file.size - thumbnailBytes) / 257 * 256))
        return [0xff, 0xd8] + PictureData.exif(description(file), thumbnail) + scan
    }

    private func stillImage(_ file: LibraryFile, _ generator: inout SplitMix64) -> [UInt8] {
        let fileType = VideoData.box("ftyp", Array("heic".utf8) + [0, 0, 0, 0] + Array("mif1heic".utf8))
        let about = VideoData.box("Exif", Array(description(file).utf8))
        let handler = VideoData.box("hdlr", [UInt8](repeating: 0, count: 8) + Array("pict".utf8))
        let meta = VideoData.box("meta", [0, 0, 0, 0] + handler + about)
        return fileType + meta + VideoData.box("mdat", generator.bytes(file.size))
    }

    private func text(_ file: LibraryFile, _ generator: inout SplitMix64) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(file.size + 200)
        while text.count < file.size {
            vocabulary.append(4 + generator.skewed(in: 0..<16), to: &text, &generator)
            text += [UInt8(ascii: "."), UInt8(ascii: "\n")]
        }
        for _ in 0..<file.edition { vocabulary.append(40, to: &text, &generator) }
        return text
    }

    private func records(_ file: LibraryFile, _ generator: inout SplitMix64) -> [UInt8] {
        var text = Array("[\n".utf8)
        while text.count < file.size || file.edition > 0 && text.count < file.size + 300 {
            text += Array(
                "  {\"id\": \(generator.next() >> 16), \"taken\": \(file.seed >> 34), \"title\": \"".utf8)
            vocabulary.append(2 + generator.skewed(in: 0..<8), to: &text, &generator)
            text += Array("\", \"latitude\": \(generator.next() >> 48), \"place\": \"".utf8)
            vocabulary.append(1, to: &text, &generator)
            text += Array("\"},\n".utf8)
        }
        return text + Array("  {}\n]\n".utf8)
    }
}
