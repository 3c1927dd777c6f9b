// ValueKind: reads the values of flags, and says what is wrong with invalid ones.

import BakCore
import BakEngine
import BakRepository

/// The form of a value in words, for help, completions and complaints.
struct ValueForm: Sendable {
    /// The value's name in help.
    var placeholder: String
    /// How a shell completes the value.
    var completion = Completion.nothing
    /// True if the complaint about an empty value lists the choices; false if the placeholder says enough.
    var namesChoices = true
    /// True if a profile may give the value as a number without quotes.
    var isNumber = false
    /// The places that the value may name; nil if the value does not name a place.
    var place: PlaceRule?
    /// Returns which values are allowed, if the value is invalid; nil if it is valid.
    var complaint: @Sendable (_ value: [UInt8]) -> String?

    /// The choices in words; nil if the placeholder says enough.
    var choices: String? { namesChoices ? complaint([]) : nil }

    /// The meaning of a valid value. For a place, this is its path or address.
    func meaning(of value: [UInt8]) -> [UInt8] { place?.meaning(of: value) ?? value }
}

/// The conversion of a flag's bytes to a `Value`.
struct ValueKind<Value>: Sendable {
    var form: ValueForm
    /// Converts the bytes; nil exactly if there is a complaint about them.
    var read: @Sendable (_ value: [UInt8]) -> Value?
}

extension ValueKind {
    /// Text that a parser accepts.
    ///
    /// - Parameters:
    ///   - name: the value's name in help.
    ///   - expected: the complaint if the parser does not accept the text.
    static func parsed(
        _ name: String, expected: String, isNumber: Bool = false,
        _ parse: @escaping @Sendable (String) -> Value?
    ) -> ValueKind {
        let read = { @Sendable (value: [UInt8]) in String(validating: value, as: UTF8.self).flatMap(parse) }
        return ValueKind(
            form: ValueForm(
                placeholder: name, isNumber: isNumber,
                complaint: { value in read(value) == nil ? expected : nil }),
            read: read)
    }

    /// One of a few words.
    static func choice(_ words: [String], _ parse: @escaping @Sendable (String) -> Value?) -> ValueKind {
        var kind = parsed(
            words.joined(separator: "|"), expected: "must be \(words.joinedAsChoice)",
            { text in words.contains(text) ? parse(text) : nil })
        (kind.form.completion, kind.form.namesChoices) = (.words(words), false)
        return kind
    }

    /// A kind whose values are valid if `complaint` returns nil for them. `read` converts valid values only.
    fileprivate static func checked(
        _ name: String, _ completion: Completion, place: PlaceRule? = nil,
        _ complaint: @escaping @Sendable ([UInt8]) -> String?,
        _ read: @escaping @Sendable ([UInt8]) -> Value
    ) -> ValueKind {
        ValueKind(
            form: ValueForm(
                placeholder: name, completion: completion, namesChoices: false, place: place,
                complaint: complaint),
            read: { complaint($0) == nil ? read($0) : nil })
    }
}

// MARK: Text

private let decoded = { @Sendable (value: [UInt8]) in String(decoding: value, as: UTF8.self) }

extension ValueKind where Value == String {
    /// Non-empty UTF-8 text.
    static func text(_ name: String, _ completion: Completion = .nothing) -> ValueKind {
        checked(
            name, completion,
            { value in
                (String(validating: value, as: UTF8.self) ?? "").isEmpty
                    ? "must be a \(name) in UTF-8, not empty" : NameSlip.objection(to: value)
            }, decoded)
    }

    /// A file or folder of this machine whose path is UTF-8.
    static func place(_ name: String) -> ValueKind {
        checked(
            name, name == "FOLDER" ? .folder : .file, place: .path, { placeComplaint(name, .path, $0) },
            decoded)
    }

    /// A repository's folder or address, in UTF-8.
    static var repository: ValueKind {
        checked(
            "FOLDER", .folder, place: .repository, { placeComplaint("FOLDER", .repository, $0) }, decoded)
    }

    private static func placeComplaint(_ name: String, _ rule: PlaceRule, _ value: [UInt8]) -> String? {
        if value.isEmpty { return "must be a \(name), not empty" }
        return String(validating: value, as: UTF8.self) == nil
            ? PlaceName.notText : rule.objection(to: value)
    }

    /// A command line for the shell.
    static var command: ValueKind {
        checked(
            "COMMAND", .program,
            { value in
                (String(validating: value, as: UTF8.self) ?? "").contains { !$0.isWhitespace }
                    ? nil : "must be a COMMAND in UTF-8, not empty"
            }, decoded)
    }
}

extension ValueKind where Value == [String] {
    /// Words with commas between them. If `mayBeNone`, the list may be empty.
    static func labels(mayBeNone: Bool = false) -> ValueKind {
        checked(
            "TAG[,TAG]", .repository(.tag),
            { value in
                guard let text = String(validating: value, as: UTF8.self),
                    mayBeNone && value.isEmpty || !Labels.split(text).isEmpty
                else { return "must be a TAG, or several with commas between, in UTF-8" }
                return NameSlip.objection(to: value)
            }, { Labels.split(decoded($0)) })
    }
}

// MARK: Bytes

extension ValueKind where Value == [UInt8] {
    /// Bytes, at least one.
    static func bytes(_ name: String) -> ValueKind {
        checked(
            name, .nothing,
            { value in value.isEmpty ? "must be a \(name), not empty" : NameSlip.objection(to: value) },
            { $0 })
    }

    /// A file or folder of this machine, whose path need not be UTF-8. If `isInput`, the value may be `-` for standard
    /// input.
    static func anyPlace(_ name: String, isInput: Bool = false) -> ValueKind {
        checked(
            name, .file, place: .path,
            { value in
                if value.isEmpty { return "must be a \(name), not empty" }
                return isInput && value == [UInt8(ascii: "-")] ? nil : PlaceName.objection(to: value)
            }, { $0 })
    }

    /// A path pattern, as the user wrote it. `PatternReader` finds its meaning, which depends on the place where it was
    /// written and on the working folder.
    static var pattern: ValueKind {
        checked(
            "PATTERN", .nothing,
            { value in
                do throws(PatternError) {
                    _ = try PathPattern(value, origin: "")
                    return nil
                } catch { return error.reason }
            }, { $0 })
    }
}

extension ValueKind where Value == FolderMark {
    /// A file that marks its folder: the file's name, and optionally a header that the file must have.
    static var mark: ValueKind {
        ValueKind(
            form: ValueForm(
                placeholder: "NAME[:HEADER]",
                complaint: { value in
                    FolderMark(value) == nil ? "must be a file's NAME, or NAME:HEADER, without a slash" : nil
                }),
            read: { FolderMark($0) })
    }
}

// MARK: Numbers

extension ValueKind where Value == UInt64 {
    /// A size within a range of bytes.
    static func size(_ range: ClosedRange<UInt64>) -> ValueKind {
        let read = { @Sendable (value: [UInt8]) in
            String(validating: value, as: UTF8.self).flatMap(ByteSize.parse)
        }
        return ValueKind(
            form: ValueForm(
                placeholder: "SIZE",
                complaint: { value in
                    guard let size = read(value) else { return "must be a size such as 500K, 1.5M or 2GiB" }
                    if range.contains(size) { return nil }
                    return "must lie between \(ByteSize.text(range.lowerBound)) and "
                        + ByteSize.text(range.upperBound)
                }),
            read: read)
    }

    /// A stretch of time in seconds, such as `30m`.
    static var duration: ValueKind {
        parsed(
            "DURATION", expected: "must be a time such as 45s, 30m, 2h or 1h30m, at least a second",
            { Duration.parse($0) })
    }
}

extension ValueKind where Value == Int {
    /// A whole number within a range.
    static func count(_ range: ClosedRange<Int>) -> ValueKind {
        let end = range.upperBound == .max ? "up" : "to \(range.upperBound)"
        return parsed(
            "N", expected: "must be a whole number from \(range.lowerBound) \(end)", isNumber: true
        ) { text in Int(text).flatMap { range.contains($0) ? $0 : nil } }
    }

    /// The number of snapshots to keep: a number or `unlimited`.
    static var keepCount: ValueKind {
        parsed(
            "N", expected: "must be a whole number from 0 up, or unlimited (-1)", isNumber: true,
            KeepCount.parse)
    }
}

// MARK: Others

extension ValueKind where Value == PackSubset {
    /// A part of the repository's packs.
    static var subset: ValueKind {
        parsed(
            "n/t|x%|SIZE",
            expected: "must be a part such as 2/5, a share such as 10% or a size with its unit such as 20G",
            { PackSubset($0) })
    }
}

extension ValueKind where Value == CompressionMode {
    /// A compression mode.
    static var compression: ValueKind {
        var kind = parsed(
            "MODE", expected: "must be auto, off, fast, max, lz4 or zstd:1 to zstd:19",
            { CompressionMode($0) })
        kind.form.completion = .words(["auto", "off", "fast", "max", "lz4", "zstd:3", "zstd:19"])
        return kind
    }
}

extension ValueKind where Value == CivilTime {
    /// A date and time.
    static var time: ValueKind {
        parsed(
            "TIME",
            expected: "must be a date and time such as '2025-12-31 23:59:59' or 2025-12-31T23:59:59Z",
            { CivilTime($0) })
    }
}

extension [String] {
    /// `a, b or c`.
    var joinedAsChoice: String {
        count < 2 ? joined() : dropLast().joined(separator: ", ") + " or " + self[count - 1]
    }
}
