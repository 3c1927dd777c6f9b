// Command: runs a program to its end and measures its cost.
//
// The kernel never reports a lower peak memory for a program than for the process that started it, because both share
// the memory until the program is loaded. So the benchmark must stay small itself: it starts a separate process to
// generate libraries.

import Glibc

/// A program to run.
struct Command: Sendable {
    /// The program, which is looked up on PATH, and its arguments.
    var words: [String]
    /// Variables that are set in addition to those of this process.
    var variables: [String: String] = [:]
    /// The folder to run in; nil for this process's folder.
    var folder: String?
    /// True if `Cost.peakAnonymousBytes` is measured. The time is then exact to some milliseconds only.
    var watchesMemory = false

    /// The cost of running a program.
    struct Cost: Sendable {
        var seconds = 0.0
        var processorSeconds = 0.0
        var peakBytes = 0
        /// The peak of the memory that is not a part of a file, from samples. The kernel can drop parts of files, such
        /// as of a mapped table, at any time. Zero unless the command watches it.
        var peakAnonymousBytes = 0

        /// Adds the costs of two programs that run one after the other.
        static func + (one: Cost, other: Cost) -> Cost {
            Cost(
                seconds: one.seconds + other.seconds,
                processorSeconds: one.processorSeconds + other.processorSeconds,
                peakBytes: max(one.peakBytes, other.peakBytes),
                peakAnonymousBytes: max(one.peakAnonymousBytes, other.peakAnonymousBytes))
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

    /// Runs the program. The file `log` receives the program's standard error. If the program fails, this text is
    /// shown. With `keepsOutput`, `log` also receives the standard output; otherwise that output is discarded.
    func run(log: String, keepsOutput: Bool = false) throws -> Cost {
        let start = Stopwatch.now()
        let process = try spawn(log: log, output: keepsOutput ? log : "/dev/null")
        let (status, usage, peakAnonymousBytes) = try wait(for: process)
        let seconds = Stopwatch.now() - start
        guard status == 0 else {
            let output = Files.contents(log).map { String(decoding: $0.suffix(2000), as: UTF8.self) } ?? ""
            throw Failure(description: "\(words.joined(separator: " ")): status \(status)\n\(output)")
        }
        return Cost(
            seconds: seconds, processorSeconds: usage.ru_utime.seconds + usage.ru_stime.seconds,
            peakBytes: usage.ru_maxrss << 10, peakAnonymousBytes: peakAnonymousBytes)
    }

    /// Runs the program and returns the first line of its output; nil if it is missing or fails.
    func firstLine(log: String) -> String? {
        guard (try? run(log: log, keepsOutput: true)) != nil, let output = Files.contents(log) else {
            return nil
        }
        return String(decoding: output.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    private func spawn(log: String, output: String) throws -> pid_t {
        // `env` changes to the folder and then becomes the program. So the cost is the program's own, plus a
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
        return process
    }

    private func wait(for process: pid_t) throws -> (status: Int32, rusage, peakAnonymousBytes: Int) {
        var (status, usage, peakAnonymousBytes) = (Int32(0), rusage(), 0)
        while true {
            switch wait4(process, &status, watchesMemory ? WNOHANG : 0, &usage) {
            case process: return (status, usage, peakAnonymousBytes)
            case 0:
                let bytes = MachineDescription.memoryBytes("RssAnon", of: "\(process)")
                peakAnonymousBytes = max(peakAnonymousBytes, bytes)
                usleep(2000)
            default: guard errno == EINTR else { throw Failure(description: "lost \(words[0])") }
            }
        }
    }

    /// The variables of this process that `variables` does not replace.
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

extension timeval {
    fileprivate var seconds: Double { Double(tv_sec) + Double(tv_usec) / 1e6 }
}
