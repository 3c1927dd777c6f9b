// PathPattern: a pattern for whole paths, in the two languages that users know: restic's globs on the command
// line and gitignore's lines in `.bakignore`. A path is given as its components.
//
// A pattern matches an entry by its whole path. That what lies beneath a matching folder goes the same way is
// the filters' doing (PatternTrail, PathFilter). `**` gives way like the star of Glob: only the last one, by
// one component, so a match takes at most pattern times path steps.

/// A compiled pattern.
public struct PathPattern: Hashable, Sendable {
    private enum Part: Hashable, Sendable {
        case name(Glob)
        /// `**`: any number of components, none included.
        case anyComponents
    }

    /// The pattern as it was written, for messages.
    public let text: [UInt8]
    /// Where it was written: `--exclude`, `--exclude-file list.txt`, …
    public let origin: String
    /// Whether it takes back what earlier patterns matched.
    public let isNegated: Bool
    /// Whether letters match without regard to case.
    public let ignoresCase: Bool
    /// Whether it matches folders alone.
    let matchesFoldersOnly: Bool
    private var parts: [Part] = []
    /// The only part, when the pattern is about an entry's name wherever it lies.
    private var nameOnly: Glob?

    /// Compiles a pattern of the command line: without a leading slash it matches any run of components, with
    /// one the absolute path from the root; a trailing slash asks for a folder; a leading `!` negates. Throws
    /// `PatternError` if it names nothing or cannot be compiled.
    ///
    /// - Parameter origin: where it was given, for messages.
    public init(
        _ pattern: [UInt8], origin: String, ignoringCase: Bool = false
    ) throws(PatternError) {
        try self.init(pattern, origin: origin, ignoringCase: ignoringCase, isGitignore: false)
    }

    /// Compiles a line of an ignore file after the rules of gitignore: a slash before the last character
    /// anchors it to the folder that holds the file.
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
            // gitignore's `folder/**` is about what lies in the folder, not about the folder.
            if isGitignore, components.count > 1, parts.last == .anyComponents {
                parts.insert(.name(try Glob(Array("*".utf8)[...])), at: parts.count - 1)
            }
        } catch {
            throw PatternError(pattern: String(decoding: text, as: UTF8.self), reason: error.reason)
        }
        if parts.count == 2, parts[0] == .anyComponents, case .name(let glob) = parts[1] { nameOnly = glob }
    }

    /// Whether the pattern matches the entry with these components as a whole. The components must be
    /// folded when `ignoresCase`.
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

    /// Whether the pattern matches the entry at `path` as a whole.
    func matches(_ path: [UInt8], isFolder: Bool) -> Bool {
        let names = (ignoresCase ? CaseFolding.fold(path) : path).split(separator: UInt8(ascii: "/"))
        return matches(names[...], isFolder: isFolder)
    }

    /// Whether something beneath the folder with these components could match. Errs towards yes.
    func mayMatchBeneath(_ components: ArraySlice<ArraySlice<UInt8>>) -> Bool {
        for (part, component) in zip(parts, components) {
            guard case .name(let glob) = part else { return true }
            guard glob.matches(component) else { return false }
        }
        return parts.count > components.count || parts.prefix(components.count).contains(.anyComponents)
    }
}
