// Flag: the name, value and help of a flag. Each flag is declared once, as a static member of AnyFlag. The declaration
// is in the file of the flag's command, or in `Flags` if several commands share the flag.
//
// Always holds: a flag's name means the same and takes the same kind of value in every command.

/// A flag with any type of value. Two flags are equal if they have the same name.
class AnyFlag: Hashable, @unchecked Sendable {
    /// The long spelling without its dashes.
    let word: String
    /// The letter of the short spelling.
    let short: Character?
    /// The form of its value; nil for a switch.
    let value: ValueForm?
    /// True if the user may give it more than once.
    let isRepeatable: Bool
    /// True if its command cannot run without it.
    let isRequired: Bool
    /// One line for people.
    let help: String

    fileprivate init(
        _ word: String, _ short: Character?, _ value: ValueForm?, isRepeatable: Bool, isRequired: Bool,
        _ help: String
    ) {
        (self.word, self.short, self.value) = (word, short, value)
        (self.isRepeatable, self.isRequired, self.help) = (isRepeatable, isRequired, help)
    }

    /// The long spelling with its dashes.
    final var spelling: String { "--" + word }

    static func == (left: AnyFlag, right: AnyFlag) -> Bool { left.word == right.word }
    func hash(into hasher: inout Hasher) { hasher.combine(word) }
}

/// A flag that gives a `Value`: an optional if it may be left out, an array if it may be repeated, a `Bool` for a
/// switch. `Invocation` reads it, as in `invocation[.target]`.
final class Flag<Value>: AnyFlag, @unchecked Sendable {
    private let fold: @Sendable (_ values: [[UInt8]]) -> Value

    private init(
        _ word: String, _ short: Character?, _ value: ValueForm?, isRepeatable: Bool = false,
        isRequired: Bool = false, _ help: String, _ fold: @escaping @Sendable ([[UInt8]]) -> Value
    ) {
        self.fold = fold
        super.init(word, short, value, isRepeatable: isRepeatable, isRequired: isRequired, help)
    }

    /// Returns the value that all uses of the flag on a command line give together. Each use must be valid.
    func value(of uses: [[UInt8]]) -> Value { fold(uses) }

    /// The same flag with another help text. It is for a command in which the flag is required or has another subject.
    func described(_ help: String, isRequired: Bool = false) -> Flag<Value> {
        Flag(word, short, value, isRepeatable: isRepeatable, isRequired: isRequired, help, fold)
    }
}

extension Flag {
    /// A flag that may be left out.
    convenience init<Item>(
        _ word: String, _ kind: ValueKind<Item>, short: Character? = nil, help: String
    ) where Value == Item? {
        self.init(word, short, kind.form, help) { $0.last.flatMap(kind.read) }
    }

    /// A flag that has a default.
    convenience init(
        _ word: String, _ kind: ValueKind<Value>, short: Character? = nil,
        default standard: @escaping @autoclosure @Sendable () -> Value, help: String
    ) {
        self.init(word, short, kind.form, help) { $0.last.flatMap(kind.read) ?? standard() }
    }

    /// A flag that may be repeated.
    convenience init<Item>(
        _ word: String, each kind: ValueKind<Item>, short: Character? = nil, help: String
    ) where Value == [Item] {
        self.init(word, short, kind.form, isRepeatable: true, help) { $0.compactMap(kind.read) }
    }
}

extension Flag where Value == Bool {
    /// A switch.
    convenience init(_ word: String, _ short: Character? = nil, help: String) {
        self.init(word, short, nil, help) { !$0.isEmpty }
    }
}

extension Flag where Value == Int {
    /// A switch whose uses are counted.
    convenience init(counted word: String, _ short: Character? = nil, help: String) {
        self.init(word, short, nil, isRepeatable: true, help) { $0.count }
    }
}

extension Flag where Value == String {
    /// A required path.
    convenience init(needed word: String, _ kind: ValueKind<String>, short: Character? = nil, help: String) {
        self.init(word, short, kind.form, isRequired: true, help) { $0.last.flatMap(kind.read) ?? "" }
    }
}
