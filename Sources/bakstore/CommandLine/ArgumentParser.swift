// ArgumentParser: turns the words of a command line into an Invocation. It uses only the command's specification.
//
// It accepts `--flag value` and `--flag=value`, short flags such as `-n` and bundles such as `-vn`, and values of short
// flags as `-rX`, `-r X` and `-r=X`. `--` ends the flags. Global flags may come before the command. A lone `-` is an
// operand.

/// Reads one command line.
struct ArgumentParser {
    private let words: [[UInt8]]
    private var position = 0
    private var command: CommandSpec?
    private var uses: [FlagUse] = []
    private var operands: [[UInt8]] = []

    /// Parses the words after the program's name. `complete` may add values that the words do not give. The parser
    /// calls it before it checks the command line as a whole.
    static func parse(
        _ words: [[UInt8]], complete: (Invocation) throws(UsageError) -> Invocation = { $0 }
    ) throws(UsageError) -> Invocation {
        var parser = ArgumentParser(words: words)
        try parser.readWords()
        return try parser.finish(complete)
    }

    private init(words: [[UInt8]]) { self.words = words }

    private var flags: [AnyFlag] { command?.allFlags ?? Flags.global }

    private mutating func readWords() throws(UsageError) {
        var areFlagsOver = false
        while position < words.count {
            let word = words[position]
            position += 1
            if areFlagsOver || word.first != UInt8(ascii: "-") || word.count == 1 {
                try readOperand(word)
            } else if word.elementsEqual("--".utf8) {
                areFlagsOver = true
            } else if word[1] == UInt8(ascii: "-") {
                try readLongFlag(word)
            } else {
                try readShortFlags(word)
            }
        }
    }

    private mutating func readOperand(_ word: [UInt8]) throws(UsageError) {
        if command != nil {
            operands.append(word)
            return
        }
        let name = String(decoding: word, as: UTF8.self)
        guard let found = CommandTable.find(name) else {
            let known = CommandTable.commands.flatMap(\.spellings)
            throw UsageError(
                "unknown command \(quoted(word))" + hint(Suggestion.nearest(to: name, among: known)))
        }
        command = found
    }

    private mutating func readLongFlag(_ word: [UInt8]) throws(UsageError) {
        let equals = word.firstIndex(of: UInt8(ascii: "="))
        let name = String(decoding: word[2..<(equals ?? word.count)], as: UTF8.self)
        guard let flag = flags.first(where: { $0.word == name }) else {
            throw unknownFlag("--" + name, name: name)
        }
        try use(flag, as: flag.spelling, attached: equals.map { Array(word[($0 + 1)...]) })
    }

    private mutating func readShortFlags(_ word: [UInt8]) throws(UsageError) {
        var index = 1
        while index < word.count {
            let letter = Character(UnicodeScalar(word[index]))
            index += 1
            guard let flag = flags.first(where: { $0.short == letter }) else {
                // A user who writes `-json` means `--json`.
                let name = String(decoding: word.dropFirst(), as: UTF8.self)
                throw unknownFlag("-" + (letter.isASCII ? String(letter) : name), name: name)
            }
            let spelling = "-\(letter)"
            if flag.value == nil {
                if index < word.count, word[index] == UInt8(ascii: "=") {
                    throw error("\(spelling) takes no value")
                }
                try use(flag, as: spelling, attached: nil)
            } else {
                if index < word.count, word[index] == UInt8(ascii: "=") { index += 1 }
                let attached = index < word.count ? Array(word[index...]) : nil
                return try use(flag, as: spelling, attached: attached)
            }
        }
    }

    /// Records a flag. Its value is `attached`, or else the next word.
    private mutating func use(
        _ flag: AnyFlag, as spelling: String, attached: [UInt8]?
    ) throws(UsageError) {
        if !flag.isRepeatable, uses.contains(where: { $0.flag == flag }) {
            throw error("\(flag.spelling) is given more than once")
        }
        guard let form = flag.value else {
            guard attached == nil else { throw error("\(spelling) takes no value") }
            uses.append(FlagUse(flag: flag, value: []))
            return
        }
        var value = attached
        if value == nil, position < words.count {
            let next = words[position]
            // If the next word is a flag, the user has most likely forgotten the value.
            if next.starts(with: "--".utf8),
                flags.contains(where: { next.elementsEqual($0.spelling.utf8) })
            {
                let name = String(decoding: next, as: UTF8.self)
                throw error(
                    "\(spelling) needs a value (\(form.placeholder)), but \(name) follows. "
                        + "If that is the value, write \(flag.spelling)=\(name)")
            }
            value = next
            position += 1
        }
        guard let value else {
            let choices = form.choices.map { ". It \($0)" } ?? ""
            throw error("\(spelling) needs a value (\(form.placeholder))\(choices)")
        }
        if let complaint = form.complaint(value) {
            throw error("\(spelling) \(quoted(value)): \(complaint)")
        }
        uses.append(FlagUse(flag: flag, value: form.meaning(of: value)))
    }

    private func finish(
        _ complete: (Invocation) throws(UsageError) -> Invocation
    ) throws(UsageError) -> Invocation {
        let isAsked = { (flag: AnyFlag) in uses.contains { $0.flag == flag } }
        if isAsked(.help) || command == nil && !isAsked(.version) {
            guard command != nil || isAsked(.help) else {
                throw UsageError("no command given", command: .help)
            }
            let subject = command.map { [Array($0.name.rawValue.utf8)] } ?? []
            // `help` may name its subject itself: `bakstore help backup --help`.
            let operands = command?.name == .help && !operands.isEmpty ? operands : subject
            return Invocation(command: .help, uses: uses, operands: operands)
        }
        guard let command, !isAsked(.version) else { return Invocation(command: .version, uses: uses) }
        let invocation = Invocation(command: command.name, uses: uses, operands: operands)
        let whole = command.usesRepository ? try complete(invocation) : invocation
        try check(whole, command)
        return whole
    }

    /// Checks the command line as a whole.
    private func check(_ invocation: Invocation, _ command: CommandSpec) throws(UsageError) {
        for flag in command.requiredFlags where !invocation.has(flag) {
            throw error(
                "\(command.name.rawValue) needs \(flag.spelling) \(flag.value?.placeholder ?? "")")
        }
        for (flag, others) in command.conflicts + Flags.conflicts where invocation.has(flag) {
            if let other = others.first(where: invocation.has) {
                throw error("\(flag.spelling) and \(other.spelling) cannot be combined")
            }
        }
        guard command.operandCount.contains(invocation.operands.count) else {
            let operands = command.operands
            let usage = "Usage: bakstore \(command.name.rawValue)" + (operands.isEmpty ? "" : " \(operands)")
            // If there are several subcommands, only the usage line lists them.
            let missing = operands.contains("|") ? "" : ": " + operands.replacing("...", with: "")
            let surplus =
                invocation.operands.isEmpty ? "missing argument\(missing)" : "too many or wrong arguments"
            throw error("\(surplus). \(usage)")
        }
        let choosing = Flags.choosing.first { invocation.has($0) }
        if let choosing, command.choosesSnapshots, !invocation.operands.isEmpty {
            throw error(
                "\(choosing.spelling) chooses among all snapshots and cannot be combined with a SNAPSHOT")
        }
        if let complaint = command.complaint(invocation) { throw error(complaint) }
    }

    private func unknownFlag(_ spelling: String, name: String) -> UsageError {
        if name == "password" {
            return error(
                "unknown flag --password: other users could see a password that is an argument. "
                    + "Use --password-file FILE, --password-command COMMAND or BAKSTORE_PASSWORD")
        }
        let names = flags.map(\.word)
        if let near = Suggestion.nearest(to: name, among: names) {
            return error("unknown flag \(quoted(Array(spelling.utf8)))" + hint("--" + near))
        }
        if command == nil,
            CommandTable.commands.contains(where: { command in
                command.flags.contains { $0.word == name || "-\($0.short ?? "-")" == spelling }
            })
        {
            return error("\(spelling) must come after the command")
        }
        return error("unknown flag \(quoted(Array(spelling.utf8)))")
    }

    private func hint(_ near: String?) -> String { near.map { ". Did you mean \($0)?" } ?? "" }

    private func error(_ message: String) -> UsageError { UsageError(message, command: command?.name) }

    private func quoted(_ value: [UInt8]) -> String { "'\(Formatting.name(value))'" }
}
