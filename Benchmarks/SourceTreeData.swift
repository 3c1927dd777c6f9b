// SourceTreeData: four versions of a source tree, each in one tar-like stream. Most changes between versions are in a
// few folders. There, files are edited in hunks, and some files are added, deleted or renamed.

import SeededNumbers

/// A source file as a list of lines.
private struct SourceFile {
    var path: String
    var lines: [[UInt8]]
    var modified: Int
}

/// Writes source-like text.
private struct SourceWriter {
    var generator = SplitMix64(seed: 11)
    let vocabulary: Vocabulary
    let licence: [[UInt8]]

    init() {
        let vocabulary = Vocabulary(count: 4000, &generator)
        self.vocabulary = vocabulary
        var generator = SplitMix64(seed: 12)
        licence = (0..<16).map { _ in
            var line = Array("// ".utf8)
            vocabulary.append(10, to: &line, &generator)
            return line
        }
    }

    mutating func line() -> [UInt8] {
        if generator.once(in: 8) { return [] }
        var line = [UInt8](repeating: 32, count: 4 * generator.skewed(in: 0..<7))
        vocabulary.append(1 + generator.skewed(in: 0..<8), to: &line, &generator)
        line += [Array("(".utf8), Array(");".utf8), Array(" = ".utf8), Array(" {".utf8)]
            .randomElement(using: &generator)!
        vocabulary.append(generator.skewed(in: 0..<4), to: &line, separator: 44, &generator)
        return line
    }

    mutating func file(folder: Int, version: Int) -> SourceFile {
        let name = generator.next() & 0xff_ffff
        let lineCount = 10 + generator.skewed(in: 0..<1500)
        return SourceFile(
            path: "project/module\(100 + folder)/file\(name).c",
            lines: licence + (0..<lineCount).map { _ in line() }, modified: version)
    }

    /// Replaces, inserts or deletes some lines in a few places.
    mutating func edit(_ file: inout SourceFile, version: Int) {
        for _ in 0...generator.skewed(in: 0..<6) {
            let place = Int.random(in: 0..<file.lines.count, using: &generator)
            let removed = min(generator.skewed(in: 0..<12), file.lines.count - place)
            let added = generator.skewed(in: 0..<15)
            file.lines.replaceSubrange(place..<place + removed, with: (0..<added).map { _ in line() })
            if file.lines.isEmpty { file.lines = licence }
        }
        file.modified = version
    }
}

/// Makes the versions.
enum SourceTreeData {
    private static let folderCount = 40

    static func make(_ scale: BenchmarkScale) -> DataSet {
        var writer = SourceWriter()
        var files = (0..<scale.sourceFileCount).map { writer.file(folder: $0 % folderCount, version: 0) }
        var versions = [archive(files)]
        for version in 1...3 {
            advance(&files, to: version, &writer)
            versions.append(archive(files))
        }
        return DataSet(name: "source tree, 4 versions", files: versions)
    }

    private static func advance(_ files: inout [SourceFile], to version: Int, _ writer: inout SourceWriter) {
        let busyFolders = Set(
            (0..<folderCount / 7).map { _ in
                "project/module\(100 + writer.generator.skewed(in: 0..<folderCount))/"
            })
        files = files.compactMap { file in
            var file = file
            if writer.generator.once(in: 150) { return nil }
            let isBusy = busyFolders.contains { file.path.hasPrefix($0) }
            if writer.generator.once(in: isBusy ? 3 : 60) { writer.edit(&file, version: version) }
            if writer.generator.once(in: 150) {
                file.path = writer.file(folder: writer.generator.skewed(in: 0..<folderCount), version: 0).path
            }
            return file
        }
        for _ in 0..<files.count / 60 {
            let folder = writer.generator.skewed(in: 0..<folderCount)
            files.append(writer.file(folder: folder, version: version))
        }
    }

    /// Makes a tar stream of the files, sorted by path. Each file has a 512-byte header, and then its content, padded
    /// to a multiple of 512 bytes.
    private static func archive(_ files: [SourceFile]) -> [UInt8] {
        var stream: [UInt8] = []
        for file in files.sorted(by: { $0.path < $1.path }) {
            let content = Array(file.lines.joined(separator: [10]))
            stream += header(path: file.path, size: content.count, modified: file.modified)
            stream += content
            stream += [UInt8](repeating: 0, count: -content.count & 511)
        }
        return stream + [UInt8](repeating: 0, count: 1024)
    }

    private static func header(path: String, size: Int, modified: Int) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            header.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
        }
        put(path, at: 0)
        put("0000644", at: 100)
        put("0001750", at: 108)
        put("0001750", at: 116)
        put(octal(size), at: 124)
        put(octal(1_700_000_000 + modified * 5_000_000), at: 136)
        put("        0", at: 148)
        put("ustar", at: 257)
        let checksum = header.reduce(0) { $0 + Int($1) }
        put(String(octal(checksum).suffix(6)), at: 148)
        return header
    }

    private static func octal(_ value: Int) -> String {
        let digits = String(value, radix: 8)
        return String(repeating: "0", count: 11 - digits.count) + digits
    }
}
