// TOML: reads the part of TOML 1.0 that the configuration uses: tables, and keys with strings, whole numbers, booleans
// or arrays of strings. It refuses all other parts of TOML, and a key or table that is written twice. The message names
// the refused part and the line. Nothing is skipped silently.

/// A value.
enum TOMLValue: Equatable, Sendable {
    case string(String)
    case integer(Int)
    case boolean(Bool)
    case strings([String])
}

/// A key with its value.
struct TOMLEntry: Equatable, Sendable {
    var key: String
    var value: TOMLValue
    var line: Int
}

/// A table. The first table of a file has no name and holds the keys before the first header.
struct TOMLTable: Equatable, Sendable {
    /// The parts of its header between the dots.
    var name: [String]
    var line: Int
    var entries: [TOMLEntry] = []
}

/// What is wrong, and in which line.
struct TOMLError: Error, Equatable {
    var line: Int
    var message: String
}

/// Reads the text of a file.
struct TOMLReader {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var line = 1

    /// Returns a file's tables in their order.
    static func read(_ text: String) throws(TOMLError) -> [TOMLTable] {
        var reader = TOMLReader(scalars: Array(text.unicodeScalars))
        return try reader.readTables()
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private func error(_ message: String) -> TOMLError { TOMLError(line: line, message: message) }

    private mutating func readTables() throws(TOMLError) -> [TOMLTable] {
        var tables = [TOMLTable(name: [], line: 1)]
        while true {
            try skipToContent()
            guard let scalar = next else { return tables }
            if scalar == "[" {
                let table = try readHeader()
                if let earlier = tables.first(where: { $0.name == table.name }) {
                    let name = table.name.joined(separator: ".")
                    throw error("the table [\(name)] exists already in line \(earlier.line)")
                }
                tables.append(table)
            } else {
                let entry = try readEntry()
                let entries = tables[tables.count - 1].entries
                if let earlier = entries.first(where: { $0.key == entry.key }) {
                    throw error("\(entry.key) is set already in line \(earlier.line)")
                }
                tables[tables.count - 1].entries.append(entry)
            }
            try endLine()
        }
    }

    // MARK: Lines

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" }

    private mutating func skipBlanks() {
        while let scalar = next, Self.isBlank(scalar) { position += 1 }
    }

    /// Skips blanks, comments and ends of lines.
    private mutating func skipToContent() throws(TOMLError) {
        while true {
            skipBlanks()
            if next == "#" { try skipComment() }
            guard try skipNewline() else { return }
        }
    }

    private mutating func skipComment() throws(TOMLError) {
        while let scalar = next, scalar != "\n", scalar != "\r" {
            try refuseControl(scalar)
            position += 1
        }
    }

    private mutating func skipNewline() throws(TOMLError) -> Bool {
        guard next == "\n" || next == "\r" else { return false }
        if next == "\r" {
            position += 1
            guard next == "\n" else { throw error("a carriage return stands alone") }
        }
        position += 1
        line += 1
        return true
    }

    private mutating func endLine() throws(TOMLError) {
        skipBlanks()
        if next == "#" { try skipComment() }
        guard let scalar = next else { return }
        guard scalar == "\n" || scalar == "\r" else {
            throw error(
                "\(Self.shown(scalar)) is not expected here. A line holds one value or one table's name")
        }
    }

    private func refuseControl(_ scalar: Unicode.Scalar) throws(TOMLError) {
        if scalar.value < 0x20 && scalar != "\t" || scalar.value == 0x7f {
            throw error("\(Self.shown(scalar)) is not allowed here")
        }
    }

    private static func shown(_ scalar: Unicode.Scalar) -> String {
        "'\(Formatting.name(Array(String(Character(scalar)).utf8)))'"
    }

    // MARK: Tables and keys

    private mutating func readHeader() throws(TOMLError) -> TOMLTable {
        position += 1
        if next == "[" { throw error("[[...]] is not supported. Write [profile.NAME]") }
        var table = TOMLTable(name: [], line: line)
        while true {
            skipBlanks()
            table.name.append(try readKey())
            skipBlanks()
            let scalar = next
            position += 1
            if scalar == "]" { return table }
            guard scalar == "." else { throw error("a table's name ends with ']', as in [profile.NAME]") }
        }
    }

    private mutating func readKey() throws(TOMLError) -> String {
        if next == "\"" || next == "'" { throw error("a name must be written without quotes") }
        var key = ""
        while let scalar = next, scalar.isASCII,
            scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || scalar == "-" || scalar == "_"
        {
            key.unicodeScalars.append(scalar)
            position += 1
        }
        guard !key.isEmpty else {
            throw error("expected a name of letters, digits, '-' and '_'")
        }
        return key
    }

    private mutating func readEntry() throws(TOMLError) -> TOMLEntry {
        let key = try readKey()
        let start = line
        skipBlanks()
        if next == "." {
            throw error("a key with dots is not supported. Write the key beneath its [table]")
        }
        guard next == "=" else { throw error("expected '=' and a value after \(key)") }
        position += 1
        skipBlanks()
        return TOMLEntry(key: key, value: try readValue(), line: start)
    }

    // MARK: Values

    private mutating func readValue() throws(TOMLError) -> TOMLValue {
        switch next {
        case "\"", "'": return .string(try readString())
        case "[": return .strings(try readArray())
        case "{": throw error("a table in braces is not supported. Write the keys beneath their [table]")
        case nil, "\n", "\r", "#": throw error("the value is missing")
        default: return try readWord()
        }
    }

    /// Reads `true`, `false` or a whole number.
    private mutating func readWord() throws(TOMLError) -> TOMLValue {
        var word = ""
        while let scalar = next, !Self.isBlank(scalar), !"\n\r#,]".unicodeScalars.contains(scalar) {
            try refuseControl(scalar)
            word.unicodeScalars.append(scalar)
            position += 1
        }
        if word == "true" { return .boolean(true) }
        if word == "false" { return .boolean(false) }
        let digits = word.drop { $0 == "+" || $0 == "-" }
        let isNumber =
            word.count - digits.count <= 1 && digits.allSatisfy { $0.isASCII && ($0.isNumber || $0 == "_") }
            && digits.first != "_" && digits.last != "_" && !digits.contains("__")
            && (digits == "0" || digits.first != "0")
        if isNumber, let number = Int(word.filter { $0 != "_" }) { return .integer(number) }
        throw error(
            "'\(Formatting.name(Array(word.utf8)))' is not a value. Write text in quotes, a whole number, true or false"
        )
    }

    private mutating func readArray() throws(TOMLError) -> [String] {
        let start = line
        position += 1
        var strings: [String] = []
        while true {
            try skipToContent()
            if next == "]" { break }
            guard next == "\"" || next == "'" else {
                throw next == nil
                    ? TOMLError(line: start, message: "the array that begins here is not closed with ']'")
                    : error("an array holds texts in quotes, with commas between them")
            }
            strings.append(try readString())
            try skipToContent()
            if next == "," {
                position += 1
            } else if next != "]" && next != nil {
                throw error("expected a comma between the texts of an array")
            }
        }
        position += 1
        return strings
    }

    /// Reads `"..."` with escapes, or `'...'` without.
    private mutating func readString() throws(TOMLError) -> String {
        let quote = scalars[position]
        position += 1
        if position + 1 < scalars.count, scalars[position] == quote, scalars[position + 1] == quote {
            throw error("text over several lines is not supported")
        }
        var text = String.UnicodeScalarView()
        while let scalar = next, scalar != "\n", scalar != "\r" {
            position += 1
            if scalar == quote { return String(text) }
            try refuseControl(scalar)
            text.append(scalar == "\\" && quote == "\"" ? try readEscape() : scalar)
        }
        throw error("the text is not closed with \(quote)")
    }

    private mutating func readEscape() throws(TOMLError) -> Unicode.Scalar {
        guard let letter = next else { throw error("the text is not closed with \"") }
        position += 1
        switch letter {
        case "\"", "\\": return letter
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "b": return "\u{8}"
        case "f": return "\u{c}"
        case "u", "U":
            let count = letter == "u" ? 4 : 8
            let digits = scalars[position..<min(position + count, scalars.count)]
            guard digits.count == count, digits.allSatisfy(\.properties.isASCIIHexDigit),
                let code = UInt32(String(String.UnicodeScalarView(digits)), radix: 16),
                let scalar = Unicode.Scalar(code)
            else { throw error("\\\(letter) needs the \(count) hexadecimal digits of a character") }
            position += count
            return scalar
        default:
            throw error(
                "\\\(Formatting.name(Array(String(letter).utf8))) is not an escape. For a backslash write \\\\"
            )
        }
    }
}
