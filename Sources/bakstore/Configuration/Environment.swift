// Environment: reads and checks the environment variables once. An unusable value is an error, never silently a
// default. A line break at the end of a value is ignored, because `.env` files from Windows leave one there.

import BakChunking
import BakCodec
import BakCore
import BakStorage

/// The settings that come from the environment.
struct Environment: Sendable, Equatable {
    /// `BAKSTORE_REPOSITORY`.
    var repository: [UInt8]?
    /// `BAKSTORE_REPOSITORY_FILE`: a file whose first line is the repository.
    var repositoryFile: [UInt8]?
    /// `BAKSTORE_CACHE_DIR`, or else this user's cache folder.
    var cacheFolder: [UInt8]?
    /// True if `cacheFolder` comes from `BAKSTORE_CACHE_DIR`.
    var isCacheFolderNamed = false
    /// `BAKSTORE_DEVICE`.
    var device: String?
    /// `BAKSTORE_PROGRESS_FPS`: the most times that the live line is drawn in a second.
    var progressFPS = 10.0
    /// The folder in which this machine remembers repositories; nil if the user has no home.
    var stateFolder: [UInt8]?
    /// The default repository; nil if the user has no home.
    var defaultRepository: [UInt8]?
    /// The file with the user's profiles; nil if the user has no home.
    var configFile: [UInt8]?
    /// `BAKSTORE_PASSWORD`, `BAKSTORE_PASSWORD_FILE` or `BAKSTORE_PASSWORD_COMMAND`.
    var password: PasswordSource?
    /// The source of the password for the repository of `--from-repo`, from the variables that begin with
    /// `BAKSTORE_FROM_PASSWORD`.
    var sourcePassword: PasswordSource?
    /// `HOME`, if it is an absolute path.
    var home: [UInt8]?

    /// Reads the variables. `variable` returns the value of one; nil if it is not set.
    init(_ variable: (String) -> [UInt8]?) throws(UsageError) {
        func value(_ name: String) throws(UsageError) -> [UInt8]? {
            let value = variable(name).map(Self.withoutLineEnd)
            if value == [] { throw UsageError("\(name) is set, but empty. Unset it or give it a value") }
            return value
        }
        repository = try value("BAKSTORE_REPOSITORY")
        repositoryFile = try value("BAKSTORE_REPOSITORY_FILE")
        if repository != nil && repositoryFile != nil {
            throw UsageError("BAKSTORE_REPOSITORY and BAKSTORE_REPOSITORY_FILE are both set. Unset one")
        }
        if let name = try value("BAKSTORE_DEVICE") {
            guard let text = String(validating: name, as: UTF8.self) else {
                throw UsageError("BAKSTORE_DEVICE must be UTF-8")
            }
            if let slip = NameSlip.objection(to: name) {
                throw UsageError("BAKSTORE_DEVICE '\(Formatting.name(name))': \(slip)")
            }
            device = text
        }
        if let rate = try value("BAKSTORE_PROGRESS_FPS") {
            let text = String(decoding: rate, as: UTF8.self)
            guard let number = Double(text), (0.01...60).contains(number) else {
                throw UsageError("BAKSTORE_PROGRESS_FPS '\(text)' must be a number from 0.01 to 60")
            }
            progressFPS = number
        }
        if let name = try value("BAKSTORE_KERNEL") {
            let text = String(decoding: name, as: UTF8.self)
            guard ScanKernel.force(text) else {
                let names = ScanKernel.available.map(\.name).joined(separator: ", ")
                throw UsageError("BAKSTORE_KERNEL '\(text)' must be one of \(names)")
            }
        }
        var cache = try value("BAKSTORE_CACHE_DIR")
        if let named = cache {
            cache = Array(
                try Self.text(try Self.place(named, "BAKSTORE_CACHE_DIR"), "BAKSTORE_CACHE_DIR").utf8)
        }
        isCacheFolderNamed = cache != nil
        let usersCache = try Self.userFolder(variable, "XDG_CACHE_HOME", ".cache")
        cacheFolder = cache ?? usersCache
        stateFolder = try Self.userFolder(variable, "XDG_STATE_HOME", ".local/state")
        if let data = try Self.userFolder(variable, "XDG_DATA_HOME", ".local/share") {
            defaultRepository = data + Array("/default".utf8)
        }
        if let config = try Self.userFolder(variable, "XDG_CONFIG_HOME", ".config") {
            configFile = config + Array("/config.toml".utf8)
        }
        password = try Self.password("BAKSTORE_PASSWORD", value)
        sourcePassword = try Self.password("BAKSTORE_FROM_PASSWORD", value)
        home = variable("HOME").flatMap { $0.first == UInt8(ascii: "/") ? $0 : nil }
    }

    /// A value without the end of a line at its end.
    private static func withoutLineEnd(_ value: [UInt8]) -> [UInt8] {
        var value = value
        if value.last == UInt8(ascii: "\n") { value.removeLast() }
        if value.last == UInt8(ascii: "\r") { value.removeLast() }
        return value
    }

    /// True if the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set names a locale without UTF-8. False if none is
    /// set, because then the user has chosen no locale.
    static func isASCII(_ variable: (String) -> [UInt8]?) -> Bool {
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            guard let value = variable(name), !value.isEmpty else { continue }
            let locale = String(decoding: value, as: UTF8.self).lowercased()
            return !locale.hasSuffix("utf-8") && !locale.hasSuffix("utf8") && !locale.contains("utf-8@")
                && !locale.contains("utf8@")
        }
        return false
    }

    /// Reads the path of a file or folder of this machine. `origin` names the place where it was written, for messages.
    static func place(
        _ text: [UInt8], _ origin: String, _ rule: PlaceRule = .path
    ) throws(UsageError) -> [UInt8] {
        if let complaint = rule.objection(to: text) {
            throw UsageError("\(origin) '\(Formatting.name(text))': \(complaint)")
        }
        return rule.meaning(of: text)
    }

    /// Returns the bytes as text. Throws if they are not valid text: if invalid bytes were replaced, the text would
    /// name another path or command.
    private static func text(_ bytes: [UInt8], _ origin: String) throws(UsageError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw UsageError("\(origin) '\(Formatting.name(bytes))': \(PlaceName.notText)")
        }
        return text
    }

    /// The source of a password; nil if no variable names one.
    private static func password(
        _ name: String, _ value: (String) throws(UsageError) -> [UInt8]?
    ) throws(UsageError) -> PasswordSource? {
        var sources: [PasswordSource] = []
        if let text = try value(name) { sources.append(.text(SecretBytes(copying: text))) }
        if let path = try value(name + "_FILE") {
            sources.append(.file(try text(try place(path, name + "_FILE"), name + "_FILE")))
        }
        if let command = try value(name + "_COMMAND") {
            sources.append(.command(try text(command, name + "_COMMAND")))
        }
        guard sources.count <= 1 else {
            throw UsageError("only one of \(name), \(name)_FILE and \(name)_COMMAND may be set")
        }
        return sources.first
    }

    /// The `bakstore` folder in an XDG base folder. The XDG specification says to ignore a base folder whose path is
    /// relative. This method throws instead: if it ignored the folder, the program would silently use another one.
    private static func userFolder(
        _ variable: (String) -> [UInt8]?, _ name: String, _ beneathHome: String
    ) throws(UsageError) -> [UInt8]? {
        if let base = variable(name).map(withoutLineEnd), !base.isEmpty {
            let folder = try place(base, name)
            guard folder.first == UInt8(ascii: "/") else {
                throw UsageError(
                    "\(name) '\(Formatting.name(base))': must begin with /. Unset it or correct it"
                )
            }
            return Array("\(try text(folder, name))/bakstore".utf8)
        }
        guard let home = variable("HOME"), home.first == UInt8(ascii: "/") else { return nil }
        guard let home = String(validating: home, as: UTF8.self) else {
            throw UsageError(
                "HOME '\(Formatting.name(home))' is not UTF-8. Set \(name) to a folder whose path is")
        }
        return Array("\(home)/\(beneathHome)/bakstore".utf8)
    }

    /// The repository that a command works on: that of `--repo` or the profile, else the environment's, else the
    /// default one.
    ///
    /// - Parameter readFile: reads the file that `BAKSTORE_REPOSITORY_FILE` names.
    func repository(
        for invocation: Invocation, readFile: ([UInt8]) throws(SourceError) -> [UInt8]
    ) throws(UsageError) -> RepositoryLocation {
        var text = invocation.bytes(.repo)
        if text == nil, let named = repository {
            text = try Self.place(named, "BAKSTORE_REPOSITORY", .repository)
        }
        if text == nil, let file = repositoryFile {
            let name = "BAKSTORE_REPOSITORY_FILE"
            let path = try Self.place(file, name)
            let bytes: [UInt8]
            do throws(SourceError) {
                bytes = try readFile(path)
            } catch {
                throw UsageError("\(name): \(error)")
            }
            let lines: [TextLine]
            do throws(TextFault) {
                lines = try TextLines.split(bytes)
            } catch {
                throw UsageError("\(name): \(Formatting.name(file)): \(error)")
            }
            guard let line = lines.first(where: { !$0.bytes.isEmpty }) else {
                throw UsageError("\(name): \(Formatting.name(file)) names no repository: it is empty")
            }
            text = try Self.place(
                line.bytes, "\(name): \(Formatting.name(file)):\(line.number)", .repository)
        }
        let isDefault = text == nil
        guard let text = text ?? defaultRepository else {
            throw UsageError(
                "HOME is not set to an absolute path, so there is no default repository. "
                    + "Name one with --repo")
        }
        guard let place = StoreSchemes.location(text) else {
            throw UsageError("the repository's path \(Formatting.name(text)) is not UTF-8")
        }
        return RepositoryLocation(place: place, isDefault: isDefault)
    }
}

/// Where the repository of a command lies.
struct RepositoryLocation: Equatable, CustomStringConvertible {
    /// The place of the repository.
    var place: StoreLocation
    /// True if this is the default repository, because the user named none. It is made on first use.
    var isDefault: Bool

    /// The folder's path; nil for an address.
    var folder: String? { place.folder }
    /// The place as a user writes it.
    var description: String { place.description }
}
