// Command: a program run from beginning to end, with what it took.
//
// A program's peak memory as the kernel reports it is never below that of the process which started it,
// because both share the memory until the program is loaded. So whatever measures stays small itself: it
// leaves the making of libraries to a process of its own.

import Glibc

/// A program to run.
struct Command: Sendable {
    /// The program, looked for on PATH, and its arguments.
    var words: [String]
    /// Variables to set besides those of this process.
    var variables: [String: String] = [:]
    /// Where it runs; nil for this process's folder.
    var folder: String?

    /// What running it took.
    struct Cost: Sendable {
        var seconds = 0.0
        var processorSeconds = 0.0
        var peakBytes = 0

        /// The cost of one program after another.
        static func + (one: Cost, other: Cost) -> Cost {
            Cost(
                seconds: one.seconds + other.seconds,
                processorSeconds: one.processorSeconds + other.processorSeconds,
                peakBytes: max(one.peakBytes, other.peakBytes))
        }
    }

    /// A program that could not be started or did not succeed.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    init(_ words: String..., variables: [String: String] = [:], folder: String? = nil) {
        self.words = words
        self.variables = variables
        self.folder = folder
    }

    /// Runs it. What it says on its standard error is kept in the file `log`, to be shown when it fails; what
    /// it prints as well when `keepsOutput` is set, and else nowhere.
    func run(log: String, keepsOutput: Bool = false) throws -> Cost {
        var usage = rusage()
        let start = Stopwatch.now()
        let status = try spawn(log: log, output: keepsOutput ? log : "/dev/null", &usage)
        let seconds = Stopwatch.now() - start
        guard status == 0 else {
            let output = Files.contents(log).map { String(decoding: $0.suffix(2000), as: UTF8.self) } ?? ""
            throw Failure(description: "\(words.joined(separator: " ")): status \(status)\n\(output)")
        }
        func duration(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return Cost(
            seconds: seconds, processorSeconds: duration(usage.ru_utime) + duration(usage.ru_stime),
            peakBytes: usage.ru_maxrss << 10)
    }

    /// Runs it and returns the first line that it prints; nil when it is not there or fails.
    func firstLine(log: String) -> String? {
        guard (try? run(log: log, keepsOutput: true)) != nil, let output = Files.contents(log) else {
            return nil
        }
        return String(decoding: output.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    private func spawn(log: String, output: String, _ usage: inout rusage) throws -> Int32 {
        // `env` goes to the folder and then becomes the program, so the cost is the program's own and a
        // millisecond.
        let words = (folder.map { ["env", "-C", $0] } ?? []) + words
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(
            &actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o644)
        posix_spawn_file_actions_addopen(
            &actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        let arguments = words.map { strdup($0) } + [nil]
        let environment = variables.map { strdup("\($0.key)=\($0.value)") } + inheritedVariables + [nil]
        defer { for text in arguments + environment { free(text) } }
        var process: pid_t = 0
        let failure = posix_spawnp(&process, words[0], &actions, nil, arguments, environment)
        guard failure == 0 else {
            throw Failure(description: "cannot run \(words[0]): \(String(cString: strerror(failure)))")
        }
        var status: Int32 = 0
        while wait4(process, &status, 0, &usage) < 0 {
            guard errno == EINTR else { throw Failure(description: "lost \(words[0])") }
        }
        return status
    }

    /// This process's variables that are not set anew.
    private var inheritedVariables: [UnsafeMutablePointer<CChar>?] {
        var inherited: [UnsafeMutablePointer<CChar>?] = []
        var place = environ
        while let text = place.pointee {
            let assignment = String(cString: text)
            let name = String(assignment.prefix { $0 != "=" })
            if variables[name] == nil { inherited.append(strdup(text)) }
            place += 1
        }
        return inherited
    }
}
