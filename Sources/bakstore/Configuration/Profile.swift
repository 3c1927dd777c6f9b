// Profile: defaults that the user need not type. Each key except two is the name of a flag without its dashes.
//
// Always holds: a flag on the command line replaces the profile's value of the same name.

import BakStorage

/// A table `[profile.NAME]`.
struct Profile: Equatable, Sendable {
    var name: String
    /// The repository.
    var repository: [UInt8]?
    /// The paths that a backup without a PATH backs up.
    var paths: [[UInt8]] = []
    /// Flags with their values.
    var uses: [FlagUse] = []

    /// The profile's value for a flag.
    subscript<Value>(_ flag: Flag<Value>) -> Value {
        flag.value(of: uses.filter { $0.flag == flag }.map(\.value))
    }
}

/// The keys that a profile may have.
enum ProfileKey {
    static let repository = "repository"
    static let paths = "paths"

    /// The flags that are keys, each as described by the first command that takes it from a profile.
    static let flags: [AnyFlag] = {
        var flags: [AnyFlag] = []
        let all = CommandSpec.backup.profileFlags + Flags.ofProfiles
        for flag in all + CommandTable.commands.flatMap(\.profileFlags) where !flags.contains(flag) {
            flags.append(flag)
        }
        return flags
    }()

    /// Every key.
    static var all: [String] { [repository, paths] + flags.map(\.word) }

    /// The flag with the name of a key.
    static func flag(_ key: String) -> AnyFlag? { flags.first { $0.word == key } }
}

extension Environment {
    /// Every profile of this user; nil if there is no configuration.
    func profiles(
        readFile: (_ path: String) throws(SourceError) -> [UInt8]
    ) throws(UsageError) -> [Profile]? {
        guard let configFile else { return nil }
        let path = String(decoding: configFile, as: UTF8.self)
        let bytes: [UInt8]
        do throws(SourceError) {
            bytes = try readFile(path)
        } catch {
            guard error.isNotFound else { throw UsageError(error.description) }
            return nil
        }
        return try ConfigFile(bytes, path: path, home: home).profiles
    }

    /// The profile that completes an invocation: the profile that the invocation names, or else the profile `default`.
    /// Nil if there is none. Also nil if the invocation names no profile and the user names a repository, because the
    /// rules of a profile belong to the profile's own repository.
    func profile(
        for invocation: Invocation, readFile: (_ path: String) throws(SourceError) -> [UInt8]
    ) throws(UsageError) -> Profile? {
        let wanted = invocation[.profile]
        if wanted == nil, invocation.has(.repo) || repository != nil || repositoryFile != nil { return nil }
        guard let configFile else {
            if wanted == nil { return nil }
            throw UsageError(
                "HOME is not set to an absolute path, so there is no configuration with a profile")
        }
        let path = String(decoding: configFile, as: UTF8.self)
        guard let profiles = try profiles(readFile: readFile) else {
            guard let wanted else { return nil }
            throw UsageError(
                "there is no profile '\(wanted)', because there is no file \(path). Make it, with a table [profile.\(wanted)]"
            )
        }
        if let profile = profiles.first(where: { $0.name == wanted ?? "default" }) { return profile }
        guard let wanted else { return nil }
        let names = profiles.map(\.name)
        let near = Suggestion.nearest(to: wanted, among: names).map { "Did you mean \($0)?" }
        let known = names.isEmpty ? "It has none" : "It has \(names.joined(separator: ", "))"
        throw UsageError("\(path) has no profile '\(wanted)'. \(near ?? known)")
    }
}

extension Invocation {
    /// Returns the invocation completed with a profile's values.
    func completed(by profile: Profile) -> Invocation {
        var result = self
        result.profile = profile
        if let repository = profile.repository, !has(.repo) {
            result.take(FlagUse(flag: .repo, value: repository))
        }
        if command == .backup, operands.isEmpty, !has(.stdin), !has(.filesFrom), !has(.filesFromRaw) {
            result.operands = profile.paths
        }
        let taken = command.spec.profileFlags + Flags.ofProfiles
        for use in profile.uses where taken.contains(use.flag) && !has(use.flag) {
            let conflicts = command.spec.conflicts + Flags.conflicts
            let isContradicted = conflicts.contains { flag, others in
                flag == use.flag && others.contains(where: has) || others.contains(use.flag) && has(flag)
            }
            if !isContradicted { result.take(use) }
        }
        return result
    }

    private mutating func take(_ use: FlagUse) {
        uses.append(use)
        profileFlags.insert(use.flag)
    }
}
