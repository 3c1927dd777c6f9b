// PathPattern: a pattern for whole paths, in the two languages that users know: restic's globs on the command line and
// gitignore's lines in `.bakignore`. A path is given as its components.
//
// A pattern matches an entry by its whole path. The filters (PatternTrail, PathFilter) apply a folder's match to
// everything beneath it. On a mismatch only the last `**` takes one more component, like the star in Glob. So the steps
// of a match are at most the pattern's length times the path's length.

/// A compiled pattern.
public struct PathPattern: Hashable, Sendable {
    private enum Part: Hashable, Sendable {
        case name(Glob)
        /// `**`: any number of components, including none.
        case anyComponents
    }

    /// The pattern as it was written, for messages.
    public let text: [UInt8]
    /// Where it was written: `--exclude`, `--exclude-file list.txt`, …
    public let origin: String
    /// True if the pattern takes back matches of earlier patterns.
    public let isNegated: Bool
    /// True if letters match without regard to case.
    public let ignoresCase: Bool
    /// True if it matches only folders.
    let matchesFoldersOnly: Bool
    private var parts: [Part] = []
    /// The pattern's glob, if it has only one and matches names in any folder; otherwise nil.
    private var nameOnly: Glob?

    /// Compiles a pattern of the command line. Without a leading slash it matches at any depth; with one it matches the
    /// absolute path from the root. A trailing slash restricts it to folders, and a leading `!` negates it.
    ///
    /// - Parameter origin: where it was given, for messages.
    /// - Throws: `PatternError` if it names nothing or cannot be compiled.
    public init(
        _ pattern: [UInt8], origin: String, ignoringCase: Bool = false
    ) throws(PatternError) {
        try self.init(pattern, origin: origin, ignoringCase: ignoringCase, isGitignore: false)
    }

    /// Compiles a line of an ignore file by the rules of gitignore: a slash before the last character anchors the
    /// pattern to the file's folder.
    init(gitignore line: [UInt8], origin: String) throws(PatternError) {
        try self.init(line, origin: origin, ignoringCase: false, isGitignore: true)
    }

    private init(
        _ text: [UInt8], origin: String, ignoringCase: Bool, isGitignore: Bool
    ) throws(PatternError) {
        self.text = text
        self.origin = origin
        ignoresCase = ignoringCase
        let slash = UInt8(ascii: "/")
        let folded = ignoringCase ? CaseFolding.fold(text) : text
        var rest = folded[...]
        isNegated = rest.first == UInt8(ascii: "!")
        if isNegated { rest.removeFirst() }
        let isFromRoot = rest.first == slash
        matchesFoldersOnly = rest.count > 1 && rest.last == slash
        let components = rest.split(separator: slash).filter { $0 != [UInt8(ascii: ".")] }
        guard !components.isEmpty else {
            throw PatternError(pattern: String(decoding: text, as: UTF8.self), reason: "names nothing")
        }
        let isAnchored = isFromRoot || isGitignore && components.count > 1
        if !isAnchored { parts.append(.anyComponents) }
        do throws(Glob.Malformed) {
            for component in components {
                if component.elementsEqual("**".utf8) {
                    if parts.last != .anyComponents { parts.append(.anyComponents) }
                } else {
                    parts.append(.name(try Glob(component)))
                }
            }
            // In gitignore, `folder/**` matches the entries in the folder, not the folder itself.
            if isGitignore, components.count > 1, parts.last == .anyComponents {
                parts.insert(.name(try Glob(Array("*".utf8)[...])), at: parts.count - 1)
            }
        } catch {
            throw PatternError(pattern: String(decoding: text, as: UTF8.self), reason: error.reason)
        }
        if parts.count == 2, parts[0] == .anyComponents, case .name(let glob) = parts[1] { nameOnly = glob }
    }

    /// True if the pattern matches the entry with these components as a whole. If `ignoresCase`, the caller folds the
    /// components.
    func matches(_ components: ArraySlice<ArraySlice<UInt8>>, isFolder: Bool) -> Bool {
        if matchesFoldersOnly && !isFolder { return false }
        if let nameOnly { return components.last.map(nameOnly.matches) ?? false }
        var part = 0
        var position = components.startIndex
        var retry: (part: Int, position: Int)?
        while position < components.endIndex {
            if part < parts.count {
                switch parts[part] {
                case .anyComponents:
                    part += 1
                    retry = (part, position)
                    continue
                case .name(let glob):
                    if glob.matches(components[position]) {
                        part += 1
                        position += 1
                        continue
                    }
                }
            }
            guard let last = retry else { return false }
            part = last.part
            position = last.position + 1
            retry = (part, position)
        }
        return parts[part...].allSatisfy { $0 == .anyComponents }
    }

    /// True if the pattern matches the entry at `path` as a whole.
    func matches(_ path: [UInt8], isFolder: Bool) -> Bool {
        let names = (ignoresCase ? CaseFolding.fold(path) : path).split(separator: UInt8(ascii: "/"))
        return matches(names[...], isFolder: isFolder)
    }

    /// True if an entry beneath the folder with these components might match. The result may be true although no entry
    /// can match, but it is never false by mistake.
    func mayMatchBeneath(_ components: ArraySlice<ArraySlice<UInt8>>) -> Bool {
        for (part, component) in zip(parts, components) {
            guard case .name(let glob) = part else { return true }
            guard glob.matches(component) else { return false }
        }
        return parts.count > components.count || parts.prefix(components.count).contains(.anyComponents)
    }
}
