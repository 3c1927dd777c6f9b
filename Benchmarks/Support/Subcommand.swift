// Subcommand: the subcommands of `bakstore-benchmark`, and the parsing of their arguments.

import BakCore

/// An entry of the table in Benchmark.swift.
struct Subcommand: Sendable {
    /// The word that selects the subcommand.
    var name: String
    /// The arguments, as the usage shows them after the name.
    var arguments: String
    /// The subcommand's purpose and the meaning of each option, a line for each.
    var explanation: [String]
    /// Runs the subcommand. Throws `UsageError` for arguments that the subcommand cannot use.
    var run: @Sendable (inout Arguments) throws -> Void

    /// The subcommand's part of the usage.
    var usage: String {
        (["  \(name) \(arguments)"] + explanation.map { "      \($0)" }).joined(separator: "\n")
    }
}

/// Arguments that the program cannot use.
struct UsageError: Error {
    var message: String
}

/// The words after a subcommand. Each call removes the option that it returns. `expectEnd` rejects all words that are
/// left.
struct Arguments {
    private var words: [String]

    init(_ words: some Sequence<String>) { self.words = Array(words) }

    /// Removes the flag `name`. Returns true if it was given.
    mutating func flag(_ name: String) -> Bool {
        guard let place = words.firstIndex(of: name) else { return false }
        words.remove(at: place)
        return true
    }

    /// Removes and returns the word after `name`; nil without `name`.
    mutating func value(_ name: String) throws -> String? {
        guard let place = words.firstIndex(of: name) else { return nil }
        guard place + 1 < words.count else { throw UsageError(message: "\(name) needs a value") }
        defer { words.removeSubrange(place...place + 1) }
        return words[place + 1]
    }

    /// Removes and returns a positive number after `name`.
    mutating func count(_ name: String, default standard: Int) throws -> Int {
        guard let text = try value(name) else { return standard }
        guard let count = Int(text), count > 0 else { throw UsageError(message: "\(name) '\(text)'") }
        return count
    }

    /// Removes and returns a size after `name`, such as `64M`, in bytes.
    mutating func size(_ name: String, default standard: Int) throws -> Int {
        guard let text = try value(name) else { return standard }
        guard let size = ByteSize.parse(text), size > 0, size < 1 << 62 else {
            throw UsageError(message: "\(name) '\(text)'")
        }
        return Int(size)
    }

    /// Removes and returns the next word, which must not be an option. Call it after all options have been read.
    mutating func operand(_ what: String) throws -> String {
        guard let first = words.first, !first.hasPrefix("--") else {
            throw UsageError(message: "\(what) is missing")
        }
        return words.removeFirst()
    }

    /// Throws `UsageError` if there is a word left.
    func expectEnd() throws {
        if let word = words.first { throw UsageError(message: "'\(word)' is not understood") }
    }
}
