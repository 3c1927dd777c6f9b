// Claims: put-if-absent on media that have neither RENAME_NOREPLACE nor link(2), as exFAT over FUSE or SFTP.
//
// What is left there is that a folder is never renamed onto one that is not empty. A claim on a name is such a folder,
// `claims/NAME`, with one empty file in it: the token, the name that the claimed content has in `tmp/`. So a claim is
// made in one step and says what it is for, and whoever finds it can finish what its holder began:
//
//   1. write and sync tmp/TOKEN; make a folder with the entry TOKEN; rename it to claims/NAME
//   2. whoever has made or found the claim: if NAME is free, rename tmp/TOKEN to it, else remove tmp/TOKEN
//   3. make NAME durable, then remove the claim: its entry by its name, the folder if it is empty then
//
// Always holds: while tmp/TOKEN exists, its claim exists (if it ever did), so that no other content can be claimed for
// NAME. One who reads the claim first and looks at NAME then renames onto a free name, or finds no tmp/TOKEN any more.
// Hence nothing is ever overwritten, whoever stops where. ClaimTests.swift runs this code in all interleavings.

import BakCore
import BakStorage
import Glibc

/// The calls that claims and locks are made of. Each is one step, which others see as a whole or not at all. Paths are
/// relative to the store's folder.
protocol ClaimFolder {
    /// True if there is something at the path.
    func exists(_ path: String) throws(Errno) -> Bool
    /// Makes a folder.
    func makeFolder(_ path: String) throws(Errno)
    /// Makes an empty file.
    func makeFile(_ path: String) throws(Errno)
    /// Gives what is at `path` another name; a file replaces a file there.
    func rename(_ path: String, to other: String) throws(Errno)
    /// Removes a file.
    func remove(_ path: String) throws(Errno)
    /// Removes a folder if it is empty.
    func removeFolder(_ path: String) throws(Errno)
    /// The names in a folder; nil when there is none.
    func names(in path: String) throws(Errno) -> [String]?
    /// Makes the names in the folder of `path` durable, and that `token` is no longer in `tmp/`.
    func makeDurable(_ path: String, without token: String) throws(Errno)
}

/// Where claims lie.
enum ClaimNames {
    /// The folder of claims. Where it is there, everyone who puts objects claims their names.
    static let folder = "claims"
    /// The folder of locks. Where it is there, everyone who puts objects locks their names.
    static let locks = "locks"
    /// The folder of what is not yet published.
    static let temporaries = "tmp"

    /// The claim on a key: a plus sign, which no key has, stands for the slash.
    static func claim(on key: String) -> String {
        folder + "/" + key.split(separator: "/", omittingEmptySubsequences: false).joined(separator: "+")
    }

    /// The lock on a key.
    static func lock(on key: String) -> String { locks + claim(on: key).dropFirst(folder.utf8.count) }

    /// The key that a claim is on; nil when the name is none of a claim.
    static func key(ofClaim name: String) -> String? {
        let key = name.split(separator: "+", omittingEmptySubsequences: false).joined(separator: "/")
        return ObjectKey.isValid(key) ? key : nil
    }

    /// Where the content of a token lies.
    static func content(_ token: String) -> String { temporaries + "/" + token }
}

/// A rule of claims. A test leaves one out to see that it is needed.
enum ClaimRule: CaseIterable {
    /// A name is claimed before it is looked at for the last time.
    case claimFirst
    /// After a claim was found or made, the name is looked at.
    case lookAgain
    /// A helper reads the claim first and looks at the name then.
    case readThenLook
    /// What lost the name is removed before its claim.
    case contentGoesFirst
    /// A claim's entry is removed by its own name and no other.
    case removeByToken
    /// Who finds its content gone reads what has the name.
    case compareWhenGone
}

/// Publishes under names that are claimed first.
struct Claims<Folder: ClaimFolder> {
    let folder: Folder
    private let omitted: ClaimRule?
    private let makeName: () -> String

    /// Claims in a folder; a test leaves out a rule and names what is made.
    init(
        _ folder: Folder, omitting rule: ClaimRule? = nil,
        makeName: @escaping () -> String = Temporary.name
    ) {
        self.folder = folder
        omitted = rule
        self.makeName = makeName
    }

    /// So often in a row a claim may fail for no reason that can be seen.
    private static var failureLimit: Int { 16 }

    private enum Claim {
        case own
        case other(token: String)
        case gone
    }

    /// Gives the durable file tmp/`token` the name `key` unless that is taken. The file is gone from `tmp/` when this
    /// returns.
    ///
    /// - Parameter isOwn: true if what has the name now has the content of `token`.
    func publish(_ token: String, as key: String, isOwn: () throws(Errno) -> Bool) throws(Errno)
        -> NamingResult
    {
        let (claim, maker) = (ClaimNames.claim(on: key), ClaimNames.content(makeName()))
        var (hasMaker, hasClaimed, failures) = (false, false, 0)
        defer {
            if hasMaker {
                try? folder.remove(maker + "/" + token)
                try? folder.removeFolder(maker)
            }
        }
        if omitted == .claimFirst {
            if try folder.exists(key) { return try outcome(token, hasClaimed: false, isOwn) }
            try folder.rename(ClaimNames.content(token), to: key)
            return .named
        }
        while true {
            if try folder.exists(key) { return try outcome(token, hasClaimed: hasClaimed, isOwn) }
            if !hasMaker {
                try folder.makeFolder(maker)
                hasMaker = true
                try folder.makeFile(maker + "/" + token)
            }
            var found = Claim.own
            do throws(Errno) {
                hasClaimed = true
                try folder.rename(maker, to: claim)
                hasMaker = false
            } catch {
                // Media differ in what they answer here, and a network may lose the reply to what was done.
                found = try self.claim(at: claim, wantedBy: token)
                if case .gone = found, error.code != ENOTEMPTY, error.code != EEXIST {
                    failures += 1
                    if failures > Self.failureLimit { throw error }
                }
            }
            switch found {
            case .gone: continue
            case .other(let other):
                failures = 0
                _ = try settle(other, claim, key, isHelper: true)
            case .own:
                hasMaker = false
                if try settle(token, claim, key, isHelper: false) { return .named }
                guard try folder.exists(key) else { throw Errno(code: ENOENT) }
                return try outcome(token, hasClaimed: true, isOwn)
            }
        }
    }

    /// Finishes or clears an old claim of a holder that is gone, if the name is decided or the content is.
    func tidy(_ claim: String, on key: String) throws(Errno) {
        let path = ClaimNames.folder + "/" + claim
        guard case .other(let token) = try self.claim(at: path, wantedBy: "") else { return }
        if try !folder.exists(key), try folder.exists(ClaimNames.content(token)) { return }
        _ = try settle(token, path, key, isHelper: true)
    }

    /// What became of `token` where something has the name.
    private func outcome(
        _ token: String, hasClaimed: Bool, _ isOwn: () throws(Errno) -> Bool
    ) throws(Errno) -> NamingResult {
        do throws(Errno) {
            try folder.remove(ClaimNames.content(token))
            return .taken
        } catch {
            guard error.code == ENOENT else { throw error }
        }
        // It was published by one who found its claim, or lost the name and was removed; only the content tells.
        guard hasClaimed else { return .taken }
        if omitted == .compareWhenGone { return .named }
        return try isOwn() ? .named : .taken
    }

    /// Whose claim there is. What is no claim, such as one half removed or a file that some system leaves in every
    /// folder, is cleared away.
    private func claim(at path: String, wantedBy token: String) throws(Errno) -> Claim {
        guard let names = try folder.names(in: path) else { return .gone }
        if names.contains(token) { return .own }
        if let other = names.first(where: { Temporary.isTemporary(ArraySlice($0.utf8)) }) {
            return .other(token: other)
        }
        for name in names { try? folder.remove(path + "/" + name) }
        try? folder.removeFolder(path)
        return .gone
    }

    /// Decides a claim that was made or found: its content takes the name if that is free. True if this call has done
    /// it.
    private func settle(
        _ token: String, _ claim: String, _ key: String, isHelper: Bool
    ) throws(Errno) -> Bool {
        var isDone = false
        let content = ClaimNames.content(token)
        // A helper looked before it read the claim, too: but what it saw then may be out of date.
        let isTaken =
            omitted == (isHelper ? .readThenLook : .lookAgain) ? false : try folder.exists(key)
        if omitted == .contentGoesFirst { try release(claim, token) }
        do throws(Errno) {
            if isTaken {
                try folder.remove(content)
            } else {
                try folder.rename(content, to: key)
                isDone = true
            }
        } catch {
            // Another has done this before.
            guard error.code == ENOENT else { throw error }
        }
        try folder.makeDurable(key, without: token)
        try release(claim, token)
        return isDone
    }

    /// Removes a claim.
    private func release(_ claim: String, _ token: String) throws(Errno) {
        do throws(Errno) {
            if omitted == .removeByToken {
                for name in try folder.names(in: claim) ?? [] { try folder.remove(claim + "/" + name) }
            } else {
                try folder.remove(claim + "/" + token)
            }
        } catch {
            guard error.isNotFound else { throw error }
        }
        // Not while another's claim is in its place; media differ in how they refuse that.
        try? folder.removeFolder(claim)
    }
}
