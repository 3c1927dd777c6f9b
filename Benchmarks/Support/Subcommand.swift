// Subcommand: what `bakstore-benchmark` can be asked to do, and how it reads its arguments.

import BakCore

/// One entry of the table in Benchmark.swift.
struct Subcommand: Sendable {
    /// The word that chooses it.
    var name: String
    /// Its arguments, as the usage shows them behind the name.
    var arguments: String
    /// What it does and what its options mean, a line each.
    var explanation: [String]
    /// Does it. Throws `UsageError` for arguments that it cannot use.
    var run: @Sendable (inout Arguments) throws -> Void

    /// Its part of the usage.
    var usage: String {
        (["  \(name) \(arguments)"] + explanation.map { "      \($0)" }).joined(separator: "\n")
    }
}

/// Arguments that the program cannot use.
struct UsageError: Error {
    var message: String
}

/// The words after a subcommand. Every option is taken out by asking for it; `expectEnd` refuses what is left.
struct Arguments {
    private var words: [String]

    init(_ words: some Sequence<String>) { self.words = Array(words) }

    /// Whether `name` is there.
    mutating func flag(_ name: String) -> Bool {
        guard let place = words.firstIndex(of: name) else { return false }
        words.remove(at: place)
        return true
    }

    /// The word after `name`; nil without `name`.
    mutating func value(_ name: String) throws -> String? {
        guard let place = words.firstIndex(of: name) else { return nil }
        guard place + 1 < words.count else { throw UsageError(message: "\(name) needs a value") }
        defer { words.removeSubrange(place...place + 1) }
        return words[place + 1]
    }

    /// A positive number after `name`.
    mutating func count(_ name: String, default standard: Int) throws -> Int {
        guard let text = try value(name) else { return standard }
        guard let count = Int(text), count > 0 else { throw UsageError(message: "\(name) '\(text)'") }
        return count
    }

    /// A size after `name`, such as `64M`, in bytes.
    mutating func size(_ name: String, default standard: Int) throws -> Int {
        guard let text = try value(name) else { return standard }
        guard let size = ByteSize.parse(text), size > 0, size < 1 << 62 else {
            throw UsageError(message: "\(name) '\(text)'")
        }
        return Int(size)
    }

    /// The next word that is no option. Ask after the options.
    mutating func operand(_ what: String) throws -> String {
        guard let first = words.first, !first.hasPrefix("--") else {
            throw UsageError(message: "\(what) is missing")
        }
        return words.removeFirst()
    }

    /// Throws when a word was not understood.
    func expectEnd() throws {
        if let word = words.first { throw UsageError(message: "'\(word)' is not understood") }
    }
}
