// PasswordSource: gets the password of a repository from the command line or the profile, else from the environment,
// else from the person at the terminal. A password is never an argument, because every user of the machine can read
// arguments.

import BakCodec
import BakCore
import BakPosix
import BakStorage

/// A password, or the way to get it.
enum PasswordSource: Equatable, Sendable {
    case file(String)
    case command(String)
    case text(SecretBytes)

    /// The longest password, in bytes.
    static let limit = 4096

    /// Returns the password; nil if it is empty.
    func read(stop: StopSignal) throws(SourceError) -> SecretBytes? {
        switch self {
        case .text(let secret): return secret.count > 0 ? secret : nil
        case .file(let path):
            return try Self.withoutNewline { buffer throws(SourceError) in
                try PasswordInput.read(path: path, into: buffer, stop: stop)
            }
        case .command(let command):
            return try Self.withoutNewline { buffer throws(SourceError) in
                try PasswordInput.run(command, into: buffer, stop: stop)
            }
        }
    }

    /// Removes a newline at the end and a byte-order mark at the beginning, which editors add.
    private static func withoutNewline(
        _ fill: (UnsafeMutableRawBufferPointer) throws(SourceError) -> Int
    ) throws(SourceError) -> SecretBytes? {
        var count = 0
        let whole = try SecretBytes(count: limit + 5) { buffer throws(SourceError) in count = try fill(buffer)
        }
        var start = 0
        do throws(TextFault) {
            start = try whole.withBytes { bytes throws(TextFault) in
                try TextLines.markLength(bytes[..<count])
            }
        } catch {
            throw SourceError(operation: "use the password", message: "\(error)")
        }
        whole.withBytes { bytes in
            guard count > 0, bytes[count - 1] == UInt8(ascii: "\n") else { return }
            count -= 1
            if count > 0, bytes[count - 1] == UInt8(ascii: "\r") { count -= 1 }
        }
        guard count - start <= limit else {
            throw SourceError(operation: "use the password", message: "it has more than \(limit) bytes")
        }
        return count > start ? whole.part(start..<count) : nil
    }

    /// Asks the person at the terminal for the password; nil if there is no terminal.
    static func ask(_ question: String, stop: StopSignal) throws(SourceError) -> SecretBytes? {
        var count: Int? = 0
        let whole = try SecretBytes(count: limit) { buffer throws(SourceError) in
            count = try PasswordInput.ask(question, into: buffer, stop: stop)
        }
        return count.map(whole.prefix)
    }
}

/// The repository or slot that a password is for.
enum PasswordPurpose {
    /// The repository that a command works on.
    case repository
    /// The repository that `--from-repo` names.
    case source
    /// A new key slot.
    case addition

    var flags: (file: Flag<String?>, command: Flag<String?>) {
        switch self {
        case .repository: (.passwordFile, .passwordCommand)
        case .source: (.fromPasswordFile, .fromPasswordCommand)
        case .addition: (.newPasswordFile, .newPasswordCommand)
        }
    }
}

extension CommandContext {
    /// The source of a password; nil if the user named none.
    func passwordSource(_ purpose: PasswordPurpose, _ invocation: Invocation) -> PasswordSource? {
        if let path = invocation[purpose.flags.file] { return .file(path) }
        if let command = invocation[purpose.flags.command] { return .command(command) }
        switch purpose {
        case .repository: return environment.password
        case .source: return environment.sourcePassword
        case .addition: return nil
        }
    }

    /// Reads a password; nil if it is empty.
    private func read(_ source: PasswordSource) throws -> SecretBytes? {
        do {
            return try source.read(stop: stop)
        } catch {
            try expectNoInterruption()
            throw error
        }
    }

    /// Returns the password of an existing repository.
    func password(
        _ purpose: PasswordPurpose, of location: StoreLocation, _ invocation: Invocation
    ) throws -> SecretBytes {
        if let source = passwordSource(purpose, invocation) {
            guard let password = try read(source) else {
                throw CommandFailure(code: .wrongPassword, message: "the password is empty")
            }
            return password
        }
        guard
            let password = try askPassword("password for \(Formatting.line(location.description)): ")
        else {
            throw CommandFailure(
                code: .wrongPassword,
                message:
                    "\(location) is encrypted, and there is no terminal to ask for its password. Give it with "
                    + "\(purpose.flags.file.spelling), \(purpose.flags.command.spelling) or the environment"
            )
        }
        return password
    }

    /// Returns a new password. A person must type it twice.
    func newPassword(_ purpose: PasswordPurpose, _ invocation: Invocation) throws -> SecretBytes {
        if let source = passwordSource(purpose, invocation) {
            guard let password = try read(source) else {
                throw CommandFailure(code: .wrongPassword, message: "the new password is empty")
            }
            return password
        }
        guard let first = try askPassword("new password: ") else {
            throw CommandFailure(
                code: .wrongPassword,
                message: "there is no terminal to ask for the new password. Give it with "
                    + "\(purpose.flags.file.spelling) or \(purpose.flags.command.spelling)")
        }
        guard first.count > 0 else {
            throw CommandFailure(code: .wrongPassword, message: "the new password is empty")
        }
        guard try askPassword("again: ") == first else {
            throw CommandFailure(code: .failed, message: "the two passwords differ. Nothing was changed")
        }
        return first
    }
}
