// Codec: the codings of stored bytes, and the compression modes that a user may choose.

/// The coding of a blob's stored bytes. The raw values are stored.
public enum Codec: UInt8, Sendable, CaseIterable {
    /// The content itself.
    case raw = 0
    /// One zstd frame (RFC 8878) with its content size and without a dictionary.
    case zstd = 1
    /// One LZ4 block, without the LZ4 frame format.
    case lz4 = 2
}

/// The user's choice of compression. Every mode stores content raw if coding saves less than 3 %.
public enum CompressionMode: Equatable, Sendable {
    /// zstd level 3, after a probe that skips incompressible content.
    case auto
    /// No compression.
    case off
    /// zstd level 1, after the same probe as `auto`.
    case fast
    /// zstd level 19 for all content.
    case max
    /// LZ4 for all content.
    case lz4
    /// zstd at a level in 1...19, for all content.
    case zstd(level: Int)

    /// The zstd levels that a user may choose.
    public static let zstdLevels = 1...19

    /// Parses `auto`, `off`, `fast`, `max`, `lz4` or `zstd:N` with N in 1...19; nil for anything else.
    public init?(_ text: some StringProtocol) {
        switch text {
        case "auto": self = .auto
        case "off": self = .off
        case "fast": self = .fast
        case "max": self = .max
        case "lz4": self = .lz4
        default:
            // Accept only the spelling of `description`: no sign, no leading zero.
            guard let level = Self.zstdLevels.first(where: { "zstd:\($0)" == text }) else { return nil }
            self = .zstd(level: level)
        }
    }

    /// True if content is probed first and stored raw if it looks incompressible.
    var probes: Bool { self == .auto || self == .fast }
}

extension CompressionMode: CustomStringConvertible {
    /// The mode's name on the command line.
    public var description: String {
        switch self {
        case .auto: "auto"
        case .off: "off"
        case .fast: "fast"
        case .max: "max"
        case .lz4: "lz4"
        case .zstd(let level): "zstd:\(level)"
        }
    }
}

/// Stored bytes that do not decode to their content.
public struct CodecError: Error, Equatable, CustomStringConvertible {
    /// The codec of the stored bytes, as recorded.
    public var codec: Codec
    /// The fault, in one line.
    public var reason: String

    /// Makes the error.
    public init(_ codec: Codec, _ reason: String) {
        self.codec = codec
        self.reason = reason
    }

    /// The error as one line for the user.
    public var description: String { "\(codec) data: \(reason)" }
}
