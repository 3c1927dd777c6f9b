// Likeness: compares names as people and some file systems do. Names are alike if they differ only in case (ß and SS,
// too), in how letters are composed (é as one character, or as e with an accent), in invisible characters, or in dots
// and spaces at the end.

import BakCore

/// A path or pattern, compared by its folded letters.
struct Likeness {
    private let components: [[Character]]
    private let isAnchored: Bool

    /// Makes the likeness of a path, or of a pattern with `*`, `?` and `**`.
    init(_ text: [UInt8]) {
        let slash = UInt8(ascii: "/")
        isAnchored = text.first == slash
        components = text.split(separator: slash).map { Self.letters($0) }
    }

    /// True if a path is like this text, as a whole or in its last components.
    func matches(_ path: [UInt8]) -> Bool {
        let names = path.split(separator: UInt8(ascii: "/"))
        guard !components.isEmpty, names.count >= components.count,
            !isAnchored || names.count == components.count
        else { return false }
        return zip(components.reversed(), names.reversed()).allSatisfy { pattern, name in
            Self.fits(Self.letters(name)[...], pattern[...])
        }
    }

    /// Returns a hash that is the same for all names that are alike.
    static func key(_ name: some BidirectionalCollection<UInt8>) -> Int {
        var hasher = Hasher()
        if name.contains(where: { $0 >= 0x80 }) {
            let letters = letters(name)
            // Folding may leave only ASCII: the Kelvin sign becomes k.
            if letters.allSatisfy(\.isASCII) {
                for letter in letters { for byte in letter.utf8 { hasher.combine(byte) } }
            } else {
                // Characters compare and hash by canonical equivalence.
                for letter in letters { hasher.combine(letter) }
            }
        } else {
            let tail = name.reversed().prefix { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: " ") }.count
            for byte in name.prefix(name.count - tail) {
                hasher.combine((UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte)
            }
        }
        return hasher.finalize()
    }

    private static func letters(_ name: some Collection<UInt8>) -> [Character] {
        // Uppercasing first unites letters that have only their capitals in common: ß and ss, ς and σ.
        let folded = String(decoding: name, as: UTF8.self).uppercased().lowercased()
        var seen = String.UnicodeScalarView()
        seen.append(
            contentsOf: folded.unicodeScalars.lazy.filter { !$0.properties.isDefaultIgnorableCodePoint })
        var letters = Array(String(seen))
        while letters.count > 1, letters.last == "." || letters.last == " " { letters.removeLast() }
        return letters
    }

    private static func fits(_ name: ArraySlice<Character>, _ pattern: ArraySlice<Character>) -> Bool {
        // On a mismatch, the last star takes one more letter.
        var (place, part) = (name.startIndex, pattern.startIndex)
        var star: (place: Int, part: Int)?
        while place < name.endIndex {
            if part < pattern.endIndex, pattern[part] == "*" {
                star = (place, part)
                part += 1
            } else if part < pattern.endIndex, pattern[part] == "?" || pattern[part] == name[place] {
                (place, part) = (place + 1, part + 1)
            } else if let last = star {
                star = (last.place + 1, last.part)
                (place, part) = (last.place + 1, last.part + 1)
            } else {
                return false
            }
        }
        return pattern[part...].allSatisfy { $0 == "*" }
    }
}
