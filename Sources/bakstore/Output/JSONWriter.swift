// JSONWriter: builds one JSON object (RFC 8259) as a line of UTF-8, without first building a tree of values.
//
// Always holds: the line is valid JSON and only one line, whatever text, numbers and bytes go in.

import BakCore

/// Builds an object or a nested part of one.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    private var needsComma = false

    private init() {}

    /// Returns one object as a line with its newline.
    static func line(_ build: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.container("{", "}", build)
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }

    // MARK: Members of an object

    mutating func member(_ name: String, _ value: String) { key(name); string(value) }
    mutating func member(_ name: String, _ value: Bool) { key(name); raw(value ? "true" : "false") }
    mutating func member(_ name: String, _ value: some FixedWidthInteger) {
        key(name); raw(value.description)
    }
    mutating func member(_ name: String, _ value: Double) { key(name); number(value) }

    /// Adds a name or path as text. If it is not UTF-8, also adds its exact bytes as `<name>_base64`.
    mutating func member(_ name: String, bytes value: [UInt8]) {
        member(name, String(decoding: value, as: UTF8.self))
        if String(validating: value, as: UTF8.self) == nil {
            member(name + "_base64", Base64.encode(value))
        }
    }

    /// Adds names or paths as an array of text. If one of them is not UTF-8, also adds the exact bytes of all as
    /// `<name>_base64`.
    mutating func member(_ name: String, bytes values: [[UInt8]]) {
        array(name) { array in
            for value in values { array.element(String(decoding: value, as: UTF8.self)) }
        }
        guard values.contains(where: { String(validating: $0, as: UTF8.self) == nil }) else { return }
        array(name + "_base64") { array in
            for value in values { array.element(Base64.encode(value)) }
        }
    }

    mutating func object(_ name: String, _ build: (inout JSONWriter) -> Void) {
        key(name)
        container("{", "}", build)
    }

    mutating func array(_ name: String, _ build: (inout JSONWriter) -> Void) {
        key(name)
        container("[", "]", build)
    }

    // MARK: Elements of an array

    mutating func element(_ value: String) { separate(); string(value) }
    mutating func element(_ value: some FixedWidthInteger) { separate(); raw(value.description) }
    mutating func elementObject(_ build: (inout JSONWriter) -> Void) {
        separate()
        container("{", "}", build)
    }

    // MARK: Pieces

    private mutating func container(_ open: String, _ close: String, _ build: (inout JSONWriter) -> Void) {
        raw(open)
        needsComma = false
        build(&self)
        raw(close)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func key(_ name: String) {
        separate()
        string(name)
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// JSON has no infinities and no NaN, so they become null.
    private mutating func number(_ value: Double) { raw(value.isFinite ? value.description : "null") }

    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case UInt8(ascii: "\n"): raw("\\n")
            case UInt8(ascii: "\r"): raw("\\r")
            case UInt8(ascii: "\t"): raw("\\t")
            case 0..<0x20, 0x7f: raw("\\u00" + Hex.encode([byte]))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// Base64 with padding (RFC 4648, section 4).
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for index in 0..<3 { bits = bits << 8 | UInt32(index < group.count ? group[start + index] : 0) }
            for index in 0..<4 {
                let isPadding = index > group.count
                text.append(
                    isPadding ? UInt8(ascii: "=") : alphabet[Int(bits >> UInt32(18 - 6 * index) & 63)])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
