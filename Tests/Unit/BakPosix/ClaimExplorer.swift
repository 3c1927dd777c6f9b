// All interleavings of processes that claim names, run by the real code of `Claims`. To find the next call of a
// process, the explorer runs it again from its start with the replies that it has had. It stops the process at the next
// call. So a process's place depends only on its replies. A state consists of the folder and the places of all
// processes. Between any two calls, any other process may act, a process may stop for good, or the power may fail,
// which loses everything that is not durable.

import BakStorage
import Glibc

@testable import BakPosix

/// A call on the folder.
enum ClaimCall: Hashable {
    case exists(String)
    case makeFolder(String)
    case makeFile(String)
    case rename(String, String)
    case remove(String)
    case removeFolder(String)
    case names(String)
    case makeDurable
    case read(String)
}

/// The reply to a call.
enum ClaimReply: Hashable {
    case done
    case truth(Bool)
    case names([String]?)
    case text(String?)
    case failed(Int32)
}

/// The folder: files with their content, and folders.
struct ClaimImage: Hashable {
    var files: [String: String] = [:]
    var folders: Set<String> = ["tmp", "claims", "locks"]
    /// The files outside of `claims` that survive a power cut.
    var durable: [String: String] = [:]

    private func entries(of folder: String) -> [String] {
        (Array(files.keys) + folders).filter { $0.hasPrefix(folder + "/") }
            .map { String($0.dropFirst(folder.utf8.count + 1)) }.filter { !$0.contains("/") }.sorted()
    }

    /// Carries out a call. `replacesEmpty` is true if a folder may replace an empty folder, as in POSIX. `refusal` is
    /// the errno with which the medium refuses to replace or remove a folder that is not empty.
    mutating func apply(_ call: ClaimCall, replacesEmpty: Bool, refusal: Int32) -> ClaimReply {
        switch call {
        case .exists(let path): return .truth(files[path] != nil || folders.contains(path))
        case .read(let path): return .text(files[path])
        case .names(let path): return .names(folders.contains(path) ? entries(of: path) : nil)
        case .makeDurable:
            durable = files.filter { !$0.key.hasPrefix("claims/") }
            return .done
        case .makeFolder(let path):
            guard folders.insert(path).inserted else { return .failed(EEXIST) }
            return .done
        case .makeFile(let path):
            guard files[path] == nil else { return .failed(EEXIST) }
            guard folders.contains(parent(of: path)) else { return .failed(ENOENT) }
            files[path] = ""
            return .done
        case .remove(let path): return files.removeValue(forKey: path) == nil ? .failed(ENOENT) : .done
        case .removeFolder(let path):
            guard folders.contains(path) else { return .failed(ENOENT) }
            guard entries(of: path).isEmpty else { return .failed(refusal) }
            folders.remove(path)
            return .done
        case .rename(let path, let other):
            if let content = files.removeValue(forKey: path) {
                files[other] = content
                return .done
            }
            guard folders.contains(path) else { return .failed(ENOENT) }
            if folders.contains(other), !replacesEmpty || !entries(of: other).isEmpty {
                return .failed(refusal)
            }
            folders.remove(path)
            folders.insert(other)
            for name in files.keys where name.hasPrefix(path + "/") {
                files[other + name.dropFirst(path.utf8.count)] = files.removeValue(forKey: name)
            }
            return .done
        }
    }

    private func parent(of path: String) -> String { String(path[..<path.lastIndex(of: "/")!]) }

    /// Returns the possible states after a power cut: each folder is either as it is or as it was when it was last made
    /// durable.
    func afterPowerCut() -> [ClaimImage] {
        [(false, false), (false, true), (true, false), (true, true)].map { keepsTemporaries, keepsObjects in
            var image = self
            image.files = files.filter { $0.key.hasPrefix("claims/") }
            for source in [(files, true), (durable, false)] {
                for (name, content) in source.0 where !name.hasPrefix("claims/") {
                    let keeps = name.hasPrefix("tmp/") ? keepsTemporaries : keepsObjects
                    if keeps == source.1 { image.files[name] = content }
                }
            }
            image.durable = image.files.filter { !$0.key.hasPrefix("claims/") }
            return image
        }
    }
}

/// Thrown to stop a process at its next call.
private let suspended = Errno(code: Int32.max)

/// The folder as a process sees it. It returns the replies of a history, and stops the process at the next call.
final class ScriptedFolder: ClaimFolder {
    private let replies: [ClaimReply]
    private var position = 0
    private(set) var next: ClaimCall?

    init(_ replies: [ClaimReply]) { self.replies = replies }

    func call(_ call: ClaimCall) throws(Errno) -> ClaimReply {
        guard next == nil else { throw suspended }
        guard position < replies.count else {
            next = call
            throw suspended
        }
        position += 1
        if case .failed(let code) = replies[position - 1] { throw Errno(code: code) }
        return replies[position - 1]
    }

    func exists(_ path: String) throws(Errno) -> Bool { try call(.exists(path)) == .truth(true) }
    func makeFolder(_ path: String) throws(Errno) { _ = try call(.makeFolder(path)) }
    func makeFile(_ path: String) throws(Errno) { _ = try call(.makeFile(path)) }
    func rename(_ path: String, to other: String) throws(Errno) { _ = try call(.rename(path, other)) }
    func remove(_ path: String) throws(Errno) { _ = try call(.remove(path)) }
    func removeFolder(_ path: String) throws(Errno) { _ = try call(.removeFolder(path)) }
    func makeDurable(_ path: String, without token: String) throws(Errno) { _ = try call(.makeDurable) }
    func names(in path: String) throws(Errno) -> [String]? {
        guard case .names(let names) = try call(.names(path)) else { return nil }
        return names
    }
}

/// Explores everything that may happen.
final class ClaimExplorer {
    static let key = "snapshots/x"

    /// A place of a process that puts its number under the key: its next call or its end, and the replies so far.
    private struct Node {
        var call: ClaimCall?
        var end: Result<NamingResult, Errno>?
        var replies: [ClaimReply]
        var children: [ClaimReply: Int] = [:]
    }

    private struct State: Hashable {
        /// The number of the folder's image.
        var image: Int
        var places: [Int]
    }

    private let count: Int
    private let locks: Bool
    private let omitted: ClaimRule?
    private let replacesEmpty: Bool
    private let refusal: Int32
    private let losesReplies: Bool
    private let cutsPower: Bool
    private var nodes: [Node] = []
    private var roots: [Int] = []
    private var images: [ClaimImage] = []
    private var numbers: [ClaimImage: Int] = [:]
    private var visited: Set<State> = []
    /// The images on which the last process has been tried alone.
    private var triedAlone: Set<ClaimImage> = []
    private(set) var fault: String?
    var stateCount: Int { visited.count }

    /// - Parameters:
    ///   - count: the number of processes that put at the same time. One more process puts after they have ended or
    ///     stopped.
    ///   - locks: true if names are locked instead of claimed. A process that finds a lock gives up.
    ///   - replacesEmpty: true if a folder may replace an empty folder, as in POSIX.
    ///   - refusal: the errno with which the medium refuses to replace or remove a folder that is not empty.
    ///   - losesReplies: true if the reply to a request may be lost, so that the request is sent twice.
    ///   - cutsPower: true if the power may fail.
    init(
        count: Int, locks: Bool = false, omitting rule: ClaimRule? = nil, replacesEmpty: Bool = true,
        refusal: Int32 = ENOTEMPTY,
        losesReplies: Bool = false, cutsPower: Bool = false
    ) {
        (self.count, omitted, self.replacesEmpty) = (count, rule, replacesEmpty)
        self.locks = locks
        (self.refusal, self.losesReplies, self.cutsPower) = (refusal, losesReplies, cutsPower)
        for number in 0...count {
            nodes.append(run(number, []))
            roots.append(number)
        }
    }

    static func token(_ number: Int) -> String {
        Temporary.prefix + String(repeating: "\(number)", count: 32)
    }

    /// Returns the folder in which a process makes its claim.
    private static func maker(_ number: Int) -> String {
        Temporary.prefix + String(repeating: "\(number)", count: 31) + "f"
    }

    /// Runs a process with the given replies.
    private func run(_ number: Int, _ replies: [ClaimReply]) -> Node {
        let folder = ScriptedFolder(replies)
        let token = Self.token(number)
        let claims = Claims(folder, omitting: omitted) { Self.maker(number) }
        var node = Node(replies: replies)
        do throws(Errno) {
            let outcome =
                locks
                ? try Locks(folder, omitting: omitted).publish(token, as: Self.key) { false }
                : try claims.publish(token, as: Self.key) { () throws(Errno) in
                    try folder.call(.read(Self.key)) == .text("\(number)")
                }
            try folder.makeDurable(Self.key, without: token)
            if folder.next == nil { node.end = .success(outcome) }
        } catch {
            if folder.next == nil { node.end = .failure(error) }
        }
        node.call = folder.next
        return node
    }

    private func place(_ place: Int, after reply: ClaimReply, of number: Int) -> Int {
        if let known = nodes[place].children[reply] { return known }
        nodes.append(run(number, nodes[place].replies + [reply]))
        nodes[place].children[reply] = nodes.count - 1
        return nodes.count - 1
    }

    private func number(of image: ClaimImage) -> Int {
        if let known = numbers[image] { return known }
        images.append(image)
        numbers[image] = images.count - 1
        return images.count - 1
    }

    /// Explores from a folder in which `tmp/` has the content of each process, except for those in `missing`.
    func explore(missing: Set<Int> = [], junk: [String] = []) {
        var image = ClaimImage()
        for number in 0...count where !missing.contains(number) {
            image.files[ClaimNames.content(Self.token(number))] = "\(number)"
        }
        for path in junk {
            image.folders.insert(String(path[..<path.lastIndex(of: "/")!]))
            image.files[path] = ""
        }
        image.durable = image.files.filter { !$0.key.hasPrefix("claims/") }
        var stack = [State(image: number(of: image), places: Array(roots[..<count]))]
        visited = [stack[0]]
        while fault == nil, let state = stack.popLast() {
            tryAlone(state)
            for number in 0..<count where nodes[state.places[number]].end == nil {
                for next in moves(of: number, state) where visited.insert(next).inserted {
                    stack.append(next)
                }
            }
        }
    }

    /// True if no other process can see the effect of a call. The explorer then makes the call at once, because it does
    /// not matter what happens before it.
    private func isPrivate(_ call: ClaimCall, _ number: Int) -> Bool {
        let maker = ClaimNames.content(Self.maker(number))
        switch call {
        case .makeFolder(let path), .makeFile(let path), .remove(let path), .removeFolder(let path):
            return path.hasPrefix(maker)
        case .makeDurable: return !cutsPower
        default: return false
        }
    }

    private func moves(of number: Int, _ state: State) -> [State] {
        var image = images[state.image]
        let before = image.files[Self.key]
        var place = state.places[number]
        guard let call = nodes[place].call else { return [] }
        let reply = image.apply(call, replacesEmpty: replacesEmpty, refusal: refusal)
        var replies = [reply]
        // The first request was carried out. The reply is the answer to the repeated request.
        if losesReplies, case .rename = call, reply == .done { replies.append(.failed(ENOENT)) }
        if let before, image.files[Self.key] != before { fault = "\(before) was overwritten" }
        return replies.map { reply in
            var image = image
            place = self.place(state.places[number], after: reply, of: number)
            while let call = nodes[place].call, isPrivate(call, number) {
                let reply = image.apply(call, replacesEmpty: replacesEmpty, refusal: refusal)
                place = self.place(place, after: reply, of: number)
            }
            var next = State(image: self.number(of: image), places: state.places)
            next.places[number] = place
            check(next.places, image)
            return next
        }
    }

    /// Checks what must hold in every state.
    private func check(_ places: [Int], _ image: ClaimImage) {
        let content = image.files[Self.key]
        var winners = 0
        for (number, place) in places.enumerated() {
            switch nodes[place].end {
            case .success(.named):
                winners += 1
                if content != "\(number)" { fault = "\(number) has won and \(content ?? "nothing") is there" }
            case .success(.taken):
                if content == nil { fault = "\(number) was told that something is there" }
                if content == "\(number)" { fault = "\(number) was told that it has lost, and it has won" }
            case .failure, nil: break
            }
        }
        if winners > 1 { fault = "\(winners) have won" }
    }

    /// Lets one more process put, as if all others had stopped for good or the power had failed. Whatever the others
    /// have left, this process must succeed, and must not contradict any reply that they got.
    private func tryAlone(_ state: State) {
        let image = images[state.image]
        for found in [image] + (cutsPower ? image.afterPowerCut() : []) {
            check(state.places, found)
            guard triedAlone.insert(found).inserted else { continue }
            var (image, place, calls) = (found, roots[count], 0)
            while let call = nodes[place].call, calls < 100 {
                let reply = image.apply(call, replacesEmpty: replacesEmpty, refusal: refusal)
                place = self.place(place, after: reply, of: count)
                calls += 1
            }
            if let before = found.files[Self.key], image.files[Self.key] != before {
                fault = "\(before) was overwritten by the last"
            }
            let isLocked = found.folders.contains(ClaimNames.lock(on: Self.key))
            if locks, isLocked, nodes[place].end == .failure(Errno(code: EBUSY)) { continue }
            guard case .success = nodes[place].end, image.files[Self.key] != nil else {
                fault = "the last one did not come through: \(String(describing: nodes[place].end))"
                return
            }
            if found.files[Self.key] == nil, image.folders.contains(ClaimNames.claim(on: Self.key)) {
                fault = "a claim is left that the last one should have removed"
            }
        }
    }
}
