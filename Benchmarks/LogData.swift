// LogData: a server's log, and the same log with some of its lines edited.

import SeededNumbers

enum LogData {
    static func make(_ scale: BenchmarkScale) -> DataSet {
        var generator = SplitMix64(seed: 31)
        let vocabulary = Vocabulary(count: 1500, &generator)
        let lines = (0..<scale.logLineCount).map { line($0, vocabulary, &generator) }
        var edited = lines
        for _ in 0..<scale.logEditCount {
            let place = Int.random(in: 0..<edited.count, using: &generator)
            let line = line(place, vocabulary, &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: edited[place] = line
            case 1: edited.insert(line, at: place)
            default: edited.remove(at: place)
            }
        }
        let files = [lines, edited].map { Array($0.joined(separator: [10])) }
        return DataSet(name: "log, \(scale.logEditCount) line edits", files: files)
    }

    private static func line(
        _ number: Int, _ vocabulary: Vocabulary, _ generator: inout SplitMix64
    ) -> [UInt8] {
        let seconds = number / 7
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let clock = "\(two(seconds / 3600 % 24)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
        let level = ["DEBUG", "INFO", "INFO", "INFO", "WARN"].randomElement(using: &generator)!
        let request = String(generator.next() >> 40, radix: 16)
        let day = two(1 + seconds / 86400 % 28)
        var line = Array("2026-03-\(day)T\(clock)Z \(level) server[4711]: request=\(request) path=/".utf8)
        vocabulary.append(1 + generator.skewed(in: 0..<4), to: &line, separator: 47, &generator)
        line += Array(" took \(generator.skewed(in: 0..<2000)) ms: ".utf8)
        vocabulary.append(generator.skewed(in: 0..<8), to: &line, &generator)
        return line
    }
}
