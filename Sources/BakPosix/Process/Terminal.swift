// Terminal: what is known of the standard streams, and writing to them.

import BakCore
import CLinux
import Glibc

/// A write to a standard stream that failed.
public struct StreamError: Error, Equatable {
    /// The system's words.
    public let message: String
    /// Whether nobody reads any more what is written, as behind `| head` or on a terminal that was closed.
    public let isClosed: Bool
}

/// A standard stream of the process.
public enum Terminal: Int32, Sendable {
    /// Where results go.
    case output = 1
    /// Where messages and progress go.
    case messages = 2

    /// Whether a person watches it.
    public var isInteractive: Bool { isatty(rawValue) == 1 }

    /// Whether it leads to a device of characters, as a terminal is one.
    private var isDevice: Bool {
        var status = stat()
        return fstat(rawValue, &status) == 0 && status.format == S_IFCHR
    }

    /// Whether a person types what is read.
    public static var inputIsInteractive: Bool { isatty(STDIN_FILENO) == 1 }

    /// Reads a line that a person types; nil at the end of input, on an error, or when `stop` is given.
    public static func readLine(stop: StopSignal) -> String? {
        var line: [UInt8] = []
        while !stop.isRequested {
            var wait = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            // A signal that asks to stop is noticed within a part of a second.
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

    /// Its width in columns; nil when it is no terminal or does not say.
    public var columns: Int? {
        let columns = linux_terminal_columns(rawValue)
        return columns > 0 ? Int(columns) : nil
    }

    /// Writes all of `bytes`. Throws `StreamError` if the stream is closed or does not take them.
    public func write(_ bytes: [UInt8]) throws(StreamError) {
        do throws(Errno) {
            try bytes.withUnsafeBytes { bytes in
                Result { () throws(Errno) in try writeAll(rawValue, bytes) }
            }.get()
        } catch {
            // A terminal that has hung up is none any more, and answers EIO.
            throw StreamError(
                message: error.message, isClosed: error.code == EPIPE || error.code == EIO && isDevice)
        }
    }

    /// Opens what the caller left closed of the three standard streams, so that no other file takes its number
    /// and with it what is printed. The stand-ins refuse what the stream is for: reading or writing.
    public static func reserveNumbers() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is given out, and that is this one.
            _ = open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
