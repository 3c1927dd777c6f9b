// LibraryPlan: the files of a generated library with their sizes and ages, and the changes of a week of use. The plan
// is a function of its four parameters. So the week needs no record of the first state, and any file can be made again
// on its own.

import SeededNumbers

/// The form of a generated file.
enum FileForm: Sendable {
    case jpeg, heic, mp4, thumbnail, text, json
    /// A database of this many messages.
    case chat(messageCount: Int)

    var suffix: String {
        switch self {
        case .jpeg, .thumbnail: "jpg"
        case .heic: "heic"
        case .mp4: "mp4"
        case .text: "txt"
        case .json: "json"
        case .chat: "db"
        }
    }
}

/// A file to make.
struct LibraryFile: Sendable {
    /// The path within the library.
    var path: String
    var form: FileForm
    /// The approximate size in bytes.
    var size: Int
    /// The seed of the content.
    var seed: UInt64
    /// The modification time in seconds since the epoch.
    var modified: Int
    /// The number of edits, or for a database the number of weeks of use.
    var edition = 0
}

/// A step from one state of a library to the next.
enum LibraryChange: Sendable {
    case write(LibraryFile)
    case remove(path: String)
    case rename(path: String, to: String)
}

/// A library's files.
struct LibraryPlan: Sendable {
    /// The kind of library.
    enum Kind: String, Sendable {
        /// Photos, videos, their sidecars, notes and a chat database.
        case media
        /// Texts, records and thumbnails of 1 to 20 KB, 10 KB on average.
        case small
    }

    let kind: Kind
    let seed: UInt64
    /// The files of the first state, in the order in which they are made.
    let files: [LibraryFile]
    /// The factor by which sizes are multiplied, so that the files have the requested total size.
    private let scale: Double

    /// The number of months that a library spans, from January 2023.
    private static let months = 36
    /// The end of the week of use: 2026-01-08, at noon.
    private static let weekEnd = CaptureTime(month: months, day: 8, second: 43_200).epoch

    /// Plans `count` files, but at least 8, with about `bytes` bytes in total.
    init(kind: Kind, count: Int, bytes: Int, seed: UInt64) {
        self.kind = kind
        self.seed = seed
        var generator = SplitMix64(seed: seed)
        // The chats are a fiftieth of a media library, with about 230 bytes a message.
        let messageCount = kind == .media ? min(max(bytes / 50 / 230, 40), 60_000) : 0
        var files = (0..<(kind == .media ? count - 1 : count)).map { index in
            Self.file(index, kind, month: index * Self.months / count, &generator)
        }
        // Sidecars and notes have fixed sizes. The other files share the remaining bytes.
        var fixedBytes = messageCount * 230
        var sharedBytes = 0
        for file in files {
            if file.form.isScaled(in: kind) {
                sharedBytes += file.size
            } else {
                fixedBytes += file.size
            }
        }
        scale = Double(max(0, bytes - fixedBytes)) / Double(max(1, sharedBytes))
        for index in files.indices { Self.fit(&files[index], kind, scale) }
        if kind == .media {
            files.append(
                LibraryFile(
                    path: "Chats/msgstore.db", form: .chat(messageCount: messageCount), size: 0,
                    seed: generator.next(), modified: Self.weekEnd - 7 * 86_400))
        }
        self.files = files
    }

    /// Scales a file's size to its share of the library's bytes.
    private static func fit(_ file: inout LibraryFile, _ kind: Kind, _ scale: Double) {
        if file.form.isScaled(in: kind) { file.size = max(600, Int(Double(file.size) * scale)) }
    }

    private static func file(
        _ index: Int, _ kind: Kind, month: Int, _ generator: inout SplitMix64
    ) -> LibraryFile {
        let percent = Int.random(in: 0..<100, using: &generator)
        let form: FileForm
        let folder: String
        switch (kind, percent) {
        case (.media, ..<62): (form, folder) = (.jpeg, "DCIM/Camera")
        case (.media, ..<74): (form, folder) = (.heic, "DCIM/Camera")
        case (.media, ..<82): (form, folder) = (.mp4, "DCIM/Camera")
        case (.media, ..<94): (form, folder) = (.json, "Takeout")
        case (.media, _): (form, folder) = (.text, "Documents")
        case (.small, ..<35): (form, folder) = (.text, "Notes")
        case (.small, ..<70): (form, folder) = (.json, "Messages")
        case (.small, _): (form, folder) = (.thumbnail, "DCIM/.thumbnails")
        }
        let time = CaptureTime(
            month: month, day: Int.random(in: 1...28, using: &generator),
            second: Int.random(in: 0..<86_400, using: &generator))
        let size =
            kind == .small
            ? generator.logNormal(median: 9000, sigma: 0.55, in: 1300..<18_000)
            : form.size(&generator)
        return LibraryFile(
            path: "\(folder)/\(time.folder)/\(time.text)_\(index).\(form.suffix)", form: form, size: size,
            seed: generator.next(), modified: time.epoch)
    }

    /// Returns the changes of a week of use. Photos are added, some files are deleted, edited and moved to albums, and
    /// the chats go on. There is at least one change of each kind.
    func week() -> [LibraryChange] {
        var generator = SplitMix64(seed: seed ^ 0x7765_656b)
        var order = Array(files.indices.prefix(kind == .media ? files.count - 1 : files.count))
        order.shuffle(using: &generator)
        let removed = max(1, files.count / 200)
        let edited = max(1, files.count / 50)
        let moved = max(1, files.count / 100)
        var changes = order.prefix(removed).map { LibraryChange.remove(path: files[$0].path) }
        // Videos are not edited: users tag photos and extend texts.
        let editable = order.dropFirst(removed + moved).filter { files[$0].form.isEditable }
        changes += editable.prefix(edited).map { index in
            var file = files[index]
            file.edition += 1
            file.modified = Self.weekEnd
            return .write(file)
        }
        changes += order.dropFirst(removed).prefix(moved).map { index in
            let name = files[index].path.split(separator: "/").last!
            return .rename(path: files[index].path, to: "Albums/Album \(index % 5)/\(name)")
        }
        for number in 0..<max(3, files.count / 50) {
            var file = Self.file(files.count + number, kind, month: Self.months, &generator)
            Self.fit(&file, kind, scale)
            changes.append(.write(file))
        }
        if kind == .media {
            var chats = files.last!
            chats.edition = 1
            chats.modified = Self.weekEnd
            changes.append(.write(chats))
        }
        return changes
    }
}

extension FileForm {
    /// True if the file's size depends on the size of the library.
    fileprivate func isScaled(in kind: LibraryPlan.Kind) -> Bool {
        switch self {
        case .json, .text, .chat: kind == .small
        default: true
        }
    }

    fileprivate var isEditable: Bool {
        switch self {
        case .mp4, .chat: false
        default: true
        }
    }

    /// Returns a size in a media library, in bytes before scaling. The distribution is that of a phone of 2024.
    fileprivate func size(_ generator: inout SplitMix64) -> Int {
        switch self {
        case .heic: generator.logNormal(median: 1_800_000, sigma: 0.4, in: 200_000..<8_000_000)
        case .mp4: generator.logNormal(median: 16_000_000, sigma: 0.9, in: 1_000_000..<100_000_000)
        case .json: generator.logNormal(median: 900, sigma: 0.3, in: 600..<4000)
        case .text: generator.logNormal(median: 3000, sigma: 0.8, in: 600..<40_000)
        default: generator.logNormal(median: 3_000_000, sigma: 0.5, in: 300_000..<16_000_000)
        }
    }
}

extension SplitMix64 {
    /// Returns a size in `range` whose logarithm is about normally distributed.
    ///
    /// The sum of twelve uniform numbers is about normally distributed (Irwin and Hall). Repeated squaring computes the
    /// exponential function, because the result of the mathematical library may differ in the last bit between
    /// machines.
    mutating func logNormal(median: Int, sigma: Double, in range: Range<Int>) -> Int {
        let normal = (0..<12).reduce(-6) { sum, _ in sum + Double(next() >> 11) / 0x1p53 }
        let factor = (0..<12).reduce(1 + sigma * normal / 4096) { power, _ in power * power }
        return min(max(Int(Double(median) * factor), range.lowerBound), range.upperBound - 1)
    }
}

/// The time at which a picture was taken.
struct CaptureTime {
    /// The month, counted from January 2023.
    var month: Int
    /// The day, 1 to 28.
    var day: Int
    /// The second of the day, UTC.
    var second: Int

    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

    var folder: String { "\(2023 + month / 12)/\(Self.two(1 + month % 12))" }

    /// The time as phones put it in file names: `20240314_120945`.
    var text: String {
        let clock = [second / 3600, second / 60 % 60, second % 60].map(Self.two).joined()
        return "\(2023 + month / 12)\(Self.two(1 + month % 12))\(Self.two(day))_\(clock)"
    }

    /// Seconds since 1970-01-01 UTC.
    var epoch: Int {
        // The days before each month of a year that is not a leap year. 2024 and 2028 are leap years.
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        let year = 2023 + month / 12
        let leapDays = (year - 2021) / 4 + (year % 4 == 0 && month % 12 >= 2 ? 1 : 0)
        let days = 19_358 + (year - 2023) * 365 + leapDays + before[month % 12] + day - 1
        return days * 86_400 + second
    }
}
