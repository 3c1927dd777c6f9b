// CorpusData: the JPEG, MP4 and MOV files of a folder, before and after typical edits. A file that does not parse is
// left out. The other files are enough for a benchmark.

import Glibc

enum CorpusData {
    /// Returns the pictures with their tagged versions, and the videos with their remuxed versions.
    static func make(folder: String) -> [DataSet] {
        let files = Files.paths(beneath: folder).sorted().map(contents)
        let pictures = files.filter { $0.starts(with: [0xff, 0xd8, 0xff]) }
        let videos = files.filter { boxes($0).contains { $0.type == "moov" } }
        let remuxed = videos.compactMap(remux)
        return [
            DataSet(name: "corpus: \(pictures.count) JPEG, then tagged", files: pictures + pictures.map(tag)),
            DataSet(name: "corpus: \(videos.count) videos, then remuxed", files: videos + remuxed),
        ]
    }

    private static func contents(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "rb") else { return [] }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        let size = max(0, ftell(file))
        rewind(file)
        return [UInt8](unsafeUninitializedCapacity: size) { $1 = fread($0.baseAddress, 1, size, file) }
    }

    /// Inserts a segment with tags after the start of the image, as a program does when it writes XMP.
    private static func tag(_ picture: [UInt8]) -> [UInt8] {
        let tags = String(repeating: "rating keyword place ", count: 20 + picture.count % 60)
        return picture[..<2] + PictureData.exif(tags, []) + picture[2...]
    }

    private typealias Box = (type: String, range: Range<Int>)

    /// Returns the top-level boxes of a file; none if it does not consist of boxes.
    private static func boxes(_ file: [UInt8]) -> [Box] {
        var boxes: [Box] = []
        var position = 0
        while position + 8 <= file.count {
            let size = file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
            let end = size == 0 ? file.count : position + size
            guard size == 0 || size >= 8, end <= file.count else { return [] }
            boxes.append((String(decoding: file[position + 4..<position + 8], as: UTF8.self), position..<end))
            position = end
        }
        return boxes
    }

    /// Moves the box `moov` to the other side of the box `mdat`, and corrects the chunk offsets in `moov`.
    private static func remux(_ file: [UInt8]) -> [UInt8]? {
        let boxes = boxes(file)
        guard let movie = boxes.firstIndex(where: { $0.type == "moov" }),
            let media = boxes.firstIndex(where: { $0.type == "mdat" })
        else { return nil }
        let movesForward = movie > media
        let shift = movesForward ? boxes[movie].range.count : -boxes[movie].range.count
        var order = boxes
        order.insert((boxes[movie].type, boxes[movie].range), at: movesForward ? media : media + 1)
        order.remove(at: movesForward ? movie + 1 : movie)
        return order.flatMap { box in
            box.type == "moov" ? shifted(Array(file[box.range]), by: shift) : Array(file[box.range])
        }
    }

    /// Adds `shift` to every entry of the `stco` tables in a movie box.
    private static func shifted(_ movie: [UInt8], by shift: Int) -> [UInt8] {
        var movie = movie
        func word(_ offset: Int) -> Int { movie[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } }
        for position in 0..<max(0, movie.count - 12) where movie[position...].starts(with: "stco".utf8) {
            let entries = position + 12
            for entry in 0..<word(position + 8) where entries + 4 * entry + 4 <= movie.count {
                let offset = entries + 4 * entry
                let value = UInt32(truncatingIfNeeded: word(offset) + shift)
                movie.replaceSubrange(offset..<offset + 4, with: bigEndianBytes(value))
            }
        }
        return movie
    }
}
