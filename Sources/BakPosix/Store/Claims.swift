// Claims: put-if-absent on media that have neither RENAME_NOREPLACE nor link(2), such as exFAT over FUSE, or SFTP.
//
// Such media still refuse to rename a folder onto a folder that is not empty. A claim on the object name NAME is a
// folder `claims/NAME` with one empty file in it. The name of that file is the token: the name of the claimed content
// in `tmp/`. A writer makes a claim with one rename. The claim says which content is to get NAME, so any writer that
// finds the claim can finish it:
//
//   1. Write and sync tmp/TOKEN. Make a folder with the entry TOKEN and rename it to claims/NAME.
//   2. The writer that made or found the claim renames tmp/TOKEN to NAME if NAME is free, else removes tmp/TOKEN.
//   3. The same writer makes NAME durable, then removes the claim: first the entry TOKEN, then the folder if it is
//      empty.
//
// Always holds: once a claim for TOKEN was made, the claim exists for as long as tmp/TOKEN does. So no other content
// can be claimed for NAME meanwhile. A writer first reads the claim and then looks at NAME. If NAME is free at that
// moment, only a rename of tmp/TOKEN can take it. So the writer's own rename of tmp/TOKEN either finds NAME still free,
// or fails because tmp/TOKEN is gone. Hence no writer ever overwrites an object, even if another writer stops at any
// step. ClaimTests.swift runs this code in all interleavings.

import BakCore
import BakStorage
import Glibc

/// The calls that claims and locks use. Each call is atomic for other programs. Paths are relative to the store's
/// folder.
protocol ClaimFolder {
    /// True if something exists at the path.
    func exists(_ path: String) throws(Errno) -> Bool
    /// Makes a folder.
    func makeFolder(_ path: String) throws(Errno)
    /// Makes an empty file.
    func makeFile(_ path: String) throws(Errno)
    /// Renames the file or folder at `path`. A file replaces a file that has the other name.
    func rename(_ path: String, to other: String) throws(Errno)
    /// Removes a file.
    func remove(_ path: String) throws(Errno)
    /// Removes a folder if it is empty.
    func removeFolder(_ path: String) throws(Errno)
    /// The names in a folder; nil if the folder does not exist.
    func names(in path: String) throws(Errno) -> [String]?
    /// Makes the names in the folder of `path` durable, and the removal of `token` from `tmp/`.
    func makeDurable(_ path: String, without token: String) throws(Errno)
}

/// The paths of claims, locks and claimed content.
enum ClaimNames {
    /// The folder of claims. If it exists, every writer claims names.
    static let folder = "claims"
    /// The folder of locks. If it exists, every writer locks names.
    static let locks = "locks"
    /// The folder of files that are not yet published.
    static let temporaries = "tmp"

    /// The path of the claim on a key. A plus sign, which no key contains, stands for the slash.
    static func claim(on key: String) -> String {
        folder + "/" + key.split(separator: "/", omittingEmptySubsequences: false).joined(separator: "+")
    }

    /// The path of the lock on a key.
    static func lock(on key: String) -> String { locks + claim(on: key).dropFirst(folder.utf8.count) }

    /// The key that a claim is on; nil if the name is not a claim's.
    static func key(ofClaim name: String) -> String? {
        let key = name.split(separator: "+", omittingEmptySubsequences: false).joined(separator: "/")
        return ObjectKey.isValid(key) ? key : nil
    }

    /// The path of a token's content.
    static func content(_ token: String) -> String { temporaries + "/" + token }
}

/// A rule of claims. A test leaves one out to show that it is needed.
enum ClaimRule: CaseIterable {
    /// A writer claims a name before it looks at the name for the last time.
    case claimFirst
    /// A writer looks at the name after it has made its claim.
    case lookAgain
    /// A helper, which is a writer that finishes another writer's claim, reads the claim first and then looks at the
    /// name.
    case readThenLook
    /// A writer renames or removes the claimed content before it removes the claim.
    case contentGoesFirst
    /// To remove a claim, a writer removes the entry with the token that it read, and no other entry.
    case removeByToken
    /// If a writer's content is gone from `tmp/`, the writer compares that content with the object that has the name.
    case compareWhenGone
}

/// Publishes files under names that it claims first.
struct Claims<Folder: ClaimFolder> {
    let folder: Folder
    private let omitted: ClaimRule?
    private let makeName: () -> String

    /// Prepares claims in a folder. Tests may leave out a rule and choose the names of new folders.
    init(
        _ folder: Folder, omitting rule: ClaimRule? = nil,
        makeName: @escaping () -> String = Temporary.name
    ) {
        self.folder = folder
        omitted = rule
        self.makeName = makeName
    }

    /// How often in a row a claim may fail for no visible reason.
    private static var failureLimit: Int { 16 }

    private enum Claim {
        case own
        case other(token: String)
        case gone
    }

    /// Gives the durable file tmp/`token` the name `key` unless the name is taken. The file is gone from `tmp/` when
    /// this returns.
    ///
    /// - Parameter isOwn: true if the file that now has the name has the content of `token`.
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
                // Read the claim instead of trusting the error: media give different errors here, and a network may
                // lose the reply to a rename that succeeded.
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

    /// Removes an old claim whose maker is gone, if the claim is decided: the name is taken or the content is gone.
    func tidy(_ claim: String, on key: String) throws(Errno) {
        let path = ClaimNames.folder + "/" + claim
        guard case .other(let token) = try self.claim(at: path, wantedBy: "") else { return }
        if try !folder.exists(key), try folder.exists(ClaimNames.content(token)) { return }
        _ = try settle(token, path, key, isHelper: true)
    }

    /// Returns the result for `token` when the name is taken.
    private func outcome(
        _ token: String, hasClaimed: Bool, _ isOwn: () throws(Errno) -> Bool
    ) throws(Errno) -> NamingResult {
        do throws(Errno) {
            try folder.remove(ClaimNames.content(token))
            return .taken
        } catch {
            guard error.code == ENOENT else { throw error }
        }
        // Another writer found the claim: it published the content, or removed it because the name was taken. Only the
        // content under the name tells which.
        guard hasClaimed else { return .taken }
        if omitted == .compareWhenGone { return .named }
        return try isOwn() ? .named : .taken
    }

    /// Returns the claim at `path`. Removes anything else there, such as a half-removed claim or a file that some
    /// systems leave in every folder.
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

    /// Decides a claim that this writer made or found: gives the claimed content the name if the name is free, else
    /// removes the content. Then removes the claim. Returns true if this call gave the name.
    private func settle(
        _ token: String, _ claim: String, _ key: String, isHelper: Bool
    ) throws(Errno) -> Bool {
        var isDone = false
        let content = ClaimNames.content(token)
        // A helper looked at the name before it read the claim, but another writer may have taken the name since.
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
            // Another writer has done this already.
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
        // Ignore a failure: another writer may have made its claim here meanwhile, and media give different errors for
        // that.
        try? folder.removeFolder(claim)
    }
}
