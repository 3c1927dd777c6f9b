// Terminal: what is known of the standard streams, and writing to them.

import CLinux
import Glibc

/// A standard stream of the process.
public enum Terminal: Int32, Sendable {
    /// Where results go.
    case output = 1
    /// Where messages and progress go.
    case messages = 2

    /// Whether a person watches it.
    public var isInteractive: Bool { isatty(rawValue) == 1 }

    /// Its width in columns; nil when it is no terminal or does not say.
    public var columns: Int? {
        let columns = linux_terminal_columns(rawValue)
        return columns > 0 ? Int(columns) : nil
    }

    /// Writes all of `text`. False when that failed, as on a pipe that was closed.
    @discardableResult
    public func write(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Writes all of `bytes`. False when that failed, as on a pipe that was closed.
    @discardableResult
    public func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        (try? writeAll(rawValue, bytes)) != nil
    }
}
