// PasswordInput: reads a password from a terminal that does not show it, from a file, or from another program's output.
// It writes the password to the caller's memory, which the caller wipes.

import BakCore
import BakStorage
import CLinux
import Glibc

/// Reads passwords.
public enum PasswordInput {
    /// Asks the person at the terminal and writes the typed password to `buffer`. The terminal does not show it.
    /// Returns its length; nil if there is no terminal.
    ///
    /// Throws `SourceError` if the person gives up (Ctrl-C, Ctrl-D), if `stop` is requested, or if the password does
    /// not fit.
    public static func ask(
        _ question: String, into buffer: UnsafeMutableRawBufferPointer, stop: StopSignal
    ) throws(SourceError) -> Int? {
        guard let terminal = try? Descriptor.open("/dev/tty", O_RDWR | O_NOCTTY) else { return nil }
        var before = termios()
        guard tcgetattr(terminal.number, &before) == 0 else { return nil }
        var quiet = before
        // Take keys one by one. Without ISIG, Ctrl-C arrives as a key and cannot end the program before the terminal is
        // set back.
        quiet.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        withUnsafeMutableBytes(of: &quiet.c_cc) { keys in
            keys[Int(VMIN)] = 1
            keys[Int(VTIME)] = 0
        }
        guard tcsetattr(terminal.number, TCSAFLUSH, &quiet) == 0 else { return nil }
        defer { tcsetattr(terminal.number, TCSAFLUSH, &before) }
        do throws(Errno) {
            try write(question, to: terminal)
            defer { try? write("\n", to: terminal) }
            return try readLine(terminal, into: buffer, stop: stop)
        } catch {
            if error.code == ECANCELED {
                throw SourceError(operation: "read the password", message: "it was not given")
            }
            throw SourceError(error, "read the password")
        }
    }

    private static func write(_ text: String, to terminal: Descriptor) throws(Errno) {
        let bytes = Array(text.utf8)
        try bytes.withUnsafeBytes { bytes in
            Result { () throws(Errno) in try writeAll(terminal.number, bytes) }
        }.get()
    }

    /// Reads keys up to the end of the line.
    private static func readLine(
        _ terminal: Descriptor, into buffer: UnsafeMutableRawBufferPointer, stop: StopSignal
    ) throws(Errno) -> Int {
        var count = 0
        while true {
            var wait = pollfd(fd: terminal.number, events: Int16(POLLIN), revents: 0)
            if stop.isRequested { throw Errno(code: ECANCELED) }
            // Poll in short steps, so that a signal to stop is noticed within a fraction of a second.
            guard poll(&wait, 1, 200) > 0 else { continue }
            var key: UInt8 = 0
            guard try system({ Glibc.read(terminal.number, &key, 1) }) == 1 else {
                throw Errno(code: ECANCELED)
            }
            switch key {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): return count
            case 0x03:
                // Send the signal that the terminal would have sent, so that the interruption is noticed elsewhere,
                // too.
                raise(SIGINT)
                throw Errno(code: ECANCELED)
            case 0x04:
                if count == 0 { throw Errno(code: ECANCELED) }
                return count
            case 0x08, 0x7f:
                // Remove a whole character, which may have several bytes.
                while count > 0 {
                    count -= 1
                    if buffer[count] & 0xc0 != 0x80 { break }
                }
            case 0x15: count = 0
            default:
                guard count < buffer.count else { throw Errno(code: EFBIG) }
                buffer[count] = key
                count += 1
            }
        }
    }

    /// Reads a file into `buffer` and returns its length. If the file is a FIFO, its writer gets as much time as a
    /// password command. Throws `SourceError` if the file cannot be read, does not fit or does not end in time, and
    /// after `stop` is requested.
    public static func read(
        path: String, into buffer: UnsafeMutableRawBufferPointer, stop: StopSignal
    ) throws(SourceError) -> Int {
        try read(path: path, into: buffer, seconds: seconds, stop: stop)
    }

    static func read(
        path: String, into buffer: UnsafeMutableRawBufferPointer, seconds: Int,
        stop: StopSignal
    ) throws(SourceError) -> Int {
        let operation = "read the password file \(path)"
        do throws(Errno) {
            // O_NONBLOCK: a FIFO without a writer must not block the open.
            let file = try Descriptor.open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK)
            return try readToEnd(file, into: buffer, Patience(stop: stop, seconds: seconds))
        } catch {
            guard error.code == ETIMEDOUT else { throw failure(error, operation) }
            throw SourceError(
                operation: operation,
                message: "it did not end within \(seconds) seconds. Is a program writing to it?")
        }
    }

    /// Runs a command line with the shell, reads its output into `buffer` and returns the length. If there is a
    /// terminal, the command may ask there and gets more time. Throws `SourceError` if the command fails, prints more
    /// than fits or takes too long, and after `stop` is requested.
    public static func run(
        _ command: String, into buffer: UnsafeMutableRawBufferPointer, stop: StopSignal
    ) throws(SourceError) -> Int {
        try run(
            command, into: buffer, isAlone: !isWatched, seconds: seconds, stop: stop)
    }

    /// True if a person may be at a terminal.
    private static var isWatched: Bool { (try? Descriptor.open("/dev/tty", O_RDWR | O_NOCTTY)) != nil }

    /// How long another program may take. It gets more time if a person may have to answer it.
    private static var seconds: Int { isWatched ? 300 : 30 }

    static func run(
        _ command: String, into buffer: UnsafeMutableRawBufferPointer, isAlone: Bool, seconds: Int,
        stop: StopSignal
    ) throws(SourceError) -> Int {
        let operation = "get the password from the command"
        let (count, status): (Int, Int32)
        do throws(Errno) {
            (count, status) = try output(
                of: command, into: buffer, isAlone: isAlone,
                Patience(stop: stop, seconds: seconds))
        } catch {
            switch error.code {
            case EFBIG:
                throw SourceError(
                    operation: operation,
                    message: "it prints more than a password. It must print only the password and end")
            case ETIMEDOUT:
                throw SourceError(operation: operation, message: "it did not end within \(seconds) seconds")
            default: throw failure(error, operation)
            }
        }
        guard status == 0 else {
            let code = status & 0x7f == 0 ? "code \(status >> 8 & 0xff)" : "signal \(status & 0x7f)"
            throw SourceError(operation: operation, message: "it ended with \(code)")
        }
        return count
    }

    private static func failure(_ error: Errno, _ operation: String) -> SourceError {
        error.code == ECANCELED
            ? SourceError(operation: operation, message: "it was interrupted") : SourceError(error, operation)
    }

    /// How long to wait for another program.
    private struct Patience {
        private let stop: StopSignal
        private let end: UInt64

        /// - Parameter seconds: the longest wait.
        init(stop: StopSignal, seconds: Int) {
            self.stop = stop
            end = SystemTime().monotonicNanoseconds() + UInt64(seconds) * 1_000_000_000
        }

        /// Throws ECANCELED after `stop` is requested and ETIMEDOUT after the longest wait.
        func check() throws(Errno) {
            if stop.isRequested { throw Errno(code: ECANCELED) }
            if SystemTime().monotonicNanoseconds() > end { throw Errno(code: ETIMEDOUT) }
        }

        /// Waits until the file has bytes to read or has ended, and returns true then. Returns false if `isOver` says
        /// that the program that writes the file has ended, and there is nothing to read.
        func wait(for file: Descriptor, _ isOver: () throws(Errno) -> Bool) throws(Errno) -> Bool {
            var wait = pollfd(fd: file.number, events: Int16(POLLIN), revents: 0)
            while true {
                try check()
                // Ask `isOver` before the poll. The poll then finds everything that the program printed before it
                // ended.
                let isLast = try isOver()
                if poll(&wait, 1, isLast ? 0 : 100) > 0 { return true }
                if isLast { return false }
            }
        }
    }

    /// Reads to the end of the file. Once `isOver` says that the program that writes it has ended, reads only the bytes
    /// that are there already.
    private static func readToEnd(
        _ file: Descriptor, into buffer: UnsafeMutableRawBufferPointer, _ patience: Patience,
        _ isOver: () throws(Errno) -> Bool = { () throws(Errno) in false }
    ) throws(Errno) -> Int {
        var count = 0
        while true {
            guard try patience.wait(for: file, isOver) else { return count }
            // The buffer is full, so another byte means that the content does not fit.
            if count == buffer.count {
                var more: UInt8 = 0
                guard try system({ Glibc.read(file.number, &more, 1) }) == 0 else { throw Errno(code: EFBIG) }
                return count
            }
            let part = try system {
                Glibc.read(file.number, buffer.baseAddress! + count, buffer.count - count)
            }
            if part == 0 { return count }
            count += part
        }
    }

    private static func output(
        of command: String, into buffer: UnsafeMutableRawBufferPointer, isAlone: Bool, _ patience: Patience
    ) throws(Errno) -> (count: Int, status: Int32) {
        var ends: [Int32] = [0, 0]
        try system { linux_pipe2(&ends, O_CLOEXEC) }
        let output = Descriptor(ends[0])
        let input = Descriptor(ends[1])
        let process = try spawn(command, output: input.number, isAlone: isAlone)
        var status: Int32?
        func hasEnded() throws(Errno) -> Bool {
            if status == nil { status = try endStatus(of: process) }
            return status != nil
        }
        do throws(Errno) {
            // Close this process's writing end, or the reader never sees the end of the output. A background process of
            // the command may keep its own writing end open for as long as it runs. So the end of the command,
            // `hasEnded`, also ends the reading.
            try input.close()
            let count = try readToEnd(output, into: buffer, patience, hasEnded)
            while try !hasEnded() {
                try patience.check()
                usleep(2000)
            }
            return (count, status ?? 0)
        } catch {
            // Kill the command only if its status is unknown. Otherwise it has ended, and its number may belong to
            // another process.
            if status == nil {
                kill(isAlone ? -process : process, SIGKILL)
                waitpid(process, nil, 0)
            }
            throw error
        }
    }

    /// A process's exit status; nil while it runs.
    private static func endStatus(of process: pid_t) throws(Errno) -> Int32? {
        var status: Int32 = 0
        return try system({ waitpid(process, &status, WNOHANG) }) == 0 ? nil : status
    }

    /// Starts the shell. If `isAlone`, it gets a process group of its own: it can be killed with all its children, but
    /// cannot ask at the terminal.
    private static func spawn(_ command: String, output: Int32, isAlone: Bool) throws(Errno) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        if isAlone { posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP)) }
        let words: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", command].map { (word: String) in strdup(word)
        }
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, "/bin/sh", &actions, &attributes, words + [nil], linux_environment())
        guard code == 0 else { throw Errno(code: code) }
        return process
    }
}
