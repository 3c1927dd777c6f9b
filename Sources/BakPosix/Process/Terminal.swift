// Terminal: tells what the standard streams are, reads lines and writes.

import BakCore
import CLinux
import Glibc

/// The failure of a write to a standard stream.
public struct StreamError: Error, Equatable {
    /// The system's words for the error.
    public let message: String
    /// True if the stream has no reader any more, as with `| head` or on a closed terminal.
    public let isClosed: Bool
}

/// A standard stream of the process.
public enum Terminal: Int32, Sendable {
    /// The standard output, for results.
    case output = 1
    /// The standard error, for messages and progress.
    case messages = 2

    /// True if the stream is a terminal, so a person may watch it.
    public var isInteractive: Bool { isatty(rawValue) == 1 }

    /// True if the stream is a character device, as a terminal is.
    private var isDevice: Bool {
        var status = stat()
        return fstat(rawValue, &status) == 0 && status.format == S_IFCHR
    }

    /// True if the standard input is a terminal, so a person may type.
    public static var inputIsInteractive: Bool { isatty(STDIN_FILENO) == 1 }

    /// Reads a line that a person types; nil at the end of input, on an error, or after `stop` is requested.
    public static func readLine(stop: StopSignal) -> String? {
        var line: [UInt8] = []
        while !stop.isRequested {
            var wait = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            // Poll in short steps, so that a signal to stop is noticed within a fraction of a second.
            guard poll(&wait, 1, 200) > 0 else { continue }
            var byte: UInt8 = 0
            let count = read(STDIN_FILENO, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1, line.count < 1024 else { return nil }
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }

    /// The width in columns; nil if the stream is not a terminal or the width is unknown.
    public var columns: Int? {
        let columns = linux_terminal_columns(rawValue)
        return columns > 0 ? Int(columns) : nil
    }

    /// Writes all of `bytes`. Throws `StreamError` if the stream is closed or the write fails.
    public func write(_ bytes: [UInt8]) throws(StreamError) {
        do throws(Errno) {
            try bytes.withUnsafeBytes { bytes in
                Result { () throws(Errno) in try writeAll(rawValue, bytes) }
            }.get()
        } catch {
            // A terminal that has hung up answers EIO. `isatty` is false for it, so ask whether it is a character
            // device.
            throw StreamError(
                message: error.message, isClosed: error.code == EPIPE || error.code == EIO && isDevice)
        }
    }

    /// Opens /dev/null for each standard stream that the caller left closed. So no other file gets the number of a
    /// standard stream and, with it, the program's output. It opens /dev/null for the wrong direction, so that a read
    /// of the input or a write of output fails.
    public static func reserveNumbers() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // `open` returns the lowest free number, which is this one.
            _ = open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
