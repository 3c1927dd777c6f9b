// ConfigFile: reads the user's `config.toml` into profiles.
//
// Always holds: the whole file is checked before any of it is used. A key that is named like a flag takes the values
// that the flag takes. Anything unknown is an error that names file and line.

import BakCore

/// A user's configuration.
struct ConfigFile {
    private let path: String
    private let home: [UInt8]?
    /// The profiles in the file's order.
    private(set) var profiles: [Profile] = []

    /// The size of the largest allowed configuration, in bytes.
    static let sizeLimit = 1 << 20

    /// Reads and checks the configuration's bytes. `home` replaces `~`.
    init(_ bytes: [UInt8], path: String, home: [UInt8]?) throws(UsageError) {
        self.path = path
        self.home = home
        let content: ArraySlice<UInt8>
        do throws(TextFault) {
            content = try TextLines.withoutMark(bytes)
        } catch {
            throw UsageError("\(path): \(error)")
        }
        guard let text = String(validating: content, as: UTF8.self) else {
            throw UsageError("\(path) is not UTF-8")
        }
        let tables: [TOMLTable]
        do {
            tables = try TOMLReader.read(text)
        } catch {
            throw self.error(error.line, error.message)
        }
        for table in tables {
            if table.name.isEmpty {
                if let entry = table.entries.first {
                    throw error(
                        entry.line, "\(entry.key) is not in a table. Write it beneath [profile.NAME]")
                }
                continue
            }
            guard table.name.count == 2, table.name[0] == "profile" else {
                let name = table.name.joined(separator: ".")
                throw error(table.line, "unknown table [\(name)]. Only tables [profile.NAME] are known")
            }
            profiles.append(try profile(table))
        }
    }

    private func error(_ line: Int, _ message: String) -> UsageError {
        UsageError("\(path):\(line): \(message)")
    }

    private func profile(_ table: TOMLTable) throws(UsageError) -> Profile {
        var profile = Profile(name: table.name[1])
        for entry in table.entries {
            switch entry.key {
            case ProfileKey.repository:
                guard case .string(let text) = entry.value else {
                    throw error(entry.line, "repository must be a folder's path in quotes")
                }
                profile.repository = try absolutePath(text, entry, .repository)
            case ProfileKey.paths:
                guard case .strings(let texts) = entry.value, !texts.isEmpty else {
                    throw error(entry.line, "paths must be an array of paths, such as [\"~/Pictures\"]")
                }
                for text in texts { profile.paths.append(try absolutePath(text, entry)) }
            default:
                guard let flag = ProfileKey.flag(entry.key) else { throw unknownKey(entry) }
                profile.uses += try uses(flag, entry)
            }
        }
        return profile
    }

    private func unknownKey(_ entry: TOMLEntry) -> UsageError {
        if let near = Suggestion.nearest(to: entry.key, among: ProfileKey.all) {
            return error(entry.line, "unknown key \(entry.key). Did you mean \(near)?")
        }
        return error(
            entry.line, "unknown key \(entry.key). Known keys are \(ProfileKey.all.joined(separator: ", "))")
    }

    /// The uses of a flag that mean the same as a key with its value.
    private func uses(_ flag: AnyFlag, _ entry: TOMLEntry) throws(UsageError) -> [FlagUse] {
        guard let form = flag.value else {
            guard case .boolean(let isOn) = entry.value else {
                throw error(entry.line, "\(entry.key) must be true or false")
            }
            return isOn ? [FlagUse(flag: flag, value: [])] : []
        }
        let texts: [String]
        switch entry.value {
        case .string(let text): texts = [text]
        case .strings(let all) where flag.isRepeatable: texts = all
        case .integer(let number) where form.isNumber: texts = [String(number)]
        default:
            let text = flag.isRepeatable ? "an array of quoted texts" : "text in quotes"
            throw error(entry.line, "\(entry.key) must be \(form.isNumber ? "a whole number" : text)")
        }
        var uses: [FlagUse] = []
        for text in texts {
            let value =
                try form.place.map { rule throws(UsageError) in try absolutePath(text, entry, rule) }
                ?? Array(text.utf8)
            if let complaint = form.complaint(value) {
                throw error(entry.line, "\(entry.key) '\(Formatting.name(value))': \(complaint)")
            }
            uses.append(FlagUse(flag: flag, value: value))
        }
        return uses
    }

    /// Returns a path that means the same in every working folder.
    private func absolutePath(
        _ text: String, _ entry: TOMLEntry, _ rule: PlaceRule = .path
    ) throws(UsageError) -> [UInt8] {
        let isOfHome = text == "~" || text.hasPrefix("~/")
        if !isOfHome, let complaint = rule.objection(to: Array(text.utf8)) {
            throw error(entry.line, "\(entry.key) '\(Formatting.name(Array(text.utf8)))': \(complaint)")
        }
        let path = rule.meaning(of: Array(text.utf8))
        if path.first == UInt8(ascii: "/") || rule.address(path) != nil { return path }
        guard isOfHome else {
            throw error(
                entry.line,
                "\(entry.key) '\(Formatting.name(Array(text.utf8)))': must begin with / or with ~/")
        }
        guard let home else {
            throw error(entry.line, "HOME is not set to an absolute path, so ~ cannot be replaced")
        }
        return home + Array(text.utf8.dropFirst())
    }
}
