// PatternReader: turns patterns from the command line, files and profiles into patterns for whole paths. It replaces
// the home folder and `./`, because a shell does not do so within quotes. It reports patterns that can match nothing.

import BakCore
import BakEngine
import BakPosix

/// Reads the patterns of one command.
struct PatternReader {
    /// Replaces `~/` and `$HOME/`.
    let home: [UInt8]?
    /// Replaces `./`; nil if the patterns are not for paths of this machine.
    let folder: [UInt8]?
    /// The paths that the patterns choose from: absolute, without the leading slash.
    let roots: [[UInt8]]
    /// Takes a remark of one line about each pattern that can match nothing.
    let remark: (String) -> Void

    private static let slash = UInt8(ascii: "/")

    /// Compiles a pattern. `origin` names the place where it was written, for messages.
    ///
    /// Throws `PatternError` if it is malformed.
    func read(_ text: [UInt8], origin: String, ignoringCase: Bool = false) throws(PatternError) -> PathPattern
    {
        let pattern = try PathPattern(expanded(text), origin: origin, ignoringCase: ignoringCase)
        guard let objection = pattern.objection(beneath: roots) else { return pattern }
        if let real = realized(pattern.text) {
            let other = try PathPattern(real, origin: origin, ignoringCase: ignoringCase)
            if other.objection(beneath: roots) == nil { return other }
        }
        remark("\(origin) \(pattern.quoted) \(objection)")
        return pattern
    }

    /// Compiles the patterns of a file. Messages call the file `name`.
    func list(_ bytes: [UInt8], name: String) throws -> [PathPattern] {
        do {
            return try PathPattern.list(bytes, origin: name) { line, origin in
                do throws(PatternError) {
                    return try read(line, origin: origin)
                } catch {
                    throw UsageError("\(origin): \(error)")
                }
            }
        } catch let fault as TextFault {
            throw UsageError("\(name): \(fault)")
        }
    }

    private func expanded(_ text: [UInt8]) -> [UInt8] {
        let (sign, body) = Self.split(text)
        for start in ["~", "$HOME", "${HOME}"] {
            guard let home, body.starts(with: start.utf8) else { continue }
            let rest = body.dropFirst(start.utf8.count)
            if rest.isEmpty || rest.first == Self.slash {
                return Array(sign) + Self.literal(home) + Array(rest)
            }
        }
        if let folder, body.starts(with: "./".utf8),
            body.contains(where: { $0 != Self.slash && $0 != UInt8(ascii: ".") })
        {
            return Array(sign) + Self.literal(folder) + Array(body.dropFirst())
        }
        return text
    }

    /// The pattern with a symbolic link in its path resolved, because backed-up paths contain no links. Nil if the path
    /// has no link.
    private func realized(_ text: [UInt8]) -> [UInt8]? {
        let (sign, body) = Self.split(text)
        guard body.first == Self.slash else { return nil }
        let components = body.split(separator: Self.slash)
        let plain = components.prefix { !$0.contains { #"*?[\"#.utf8.contains($0) } }
        for count in stride(from: plain.count, to: 0, by: -1) {
            let path = [Self.slash] + Array(plain.prefix(count).joined(separator: [Self.slash]))
            guard let real = Machine.realPath(path) else { continue }
            if real == path { return nil }
            var pattern = Array(sign) + Self.literal(real)
            for component in components.dropFirst(count) { pattern += [Self.slash] + Array(component) }
            if body.last == Self.slash { pattern.append(Self.slash) }
            return pattern
        }
        return nil
    }

    private static func split(_ text: [UInt8]) -> (sign: ArraySlice<UInt8>, body: ArraySlice<UInt8>) {
        text.first == UInt8(ascii: "!") ? (text[..<1], text[1...]) : (text[..<0], text[...])
    }

    /// Returns a pattern that matches only the path that was printed as `printed`.
    static func literal(_ printed: String) -> String {
        printed.map { "*?[]".contains($0) ? "\\\($0)" : String($0) }.joined()
    }

    private static func literal(_ path: [UInt8]) -> [UInt8] {
        path.flatMap { #"*?[]\"#.utf8.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
    }
}
