// Codec: how stored bytes become content again, and what a user may ask for when content is stored.

/// How a blob's stored bytes are coded. The raw values are stored.
public enum Codec: UInt8, Sendable, CaseIterable {
    /// The content itself.
    case raw = 0
    /// One zstd frame (RFC 8878) with its content size and without a dictionary.
    case zstd = 1
    /// One LZ4 block, without the LZ4 frame format.
    case lz4 = 2
}

/// The user's choice of compression. Every mode stores content raw when coding gains under 3 %.
public enum CompressionMode: Equatable, Sendable {
    /// zstd level 3, after a probe that spares incompressible content the attempt.
    case auto
    /// Nothing is compressed.
    case off
    /// zstd level 1, after the same probe.
    case fast
    /// zstd level 19 on everything.
    case max
    /// LZ4 on everything.
    case lz4
    /// zstd at a level in 1...19, on everything.
    case zstd(level: Int)

    /// The zstd levels a user may name.
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
            // Only the spelling that `description` gives: no sign, no leading zero.
            guard let level = Self.zstdLevels.first(where: { "zstd:\($0)" == text }) else { return nil }
            self = .zstd(level: level)
        }
    }

    /// Whether content is probed first and stored raw when it looks incompressible.
    var probes: Bool { self == .auto || self == .fast }
}

extension CompressionMode: CustomStringConvertible {
    /// The mode as the command line spells it.
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

/// Stored bytes that do not decode to the content they stand for.
public struct CodecError: Error, Equatable, CustomStringConvertible {
    /// The codec that the bytes were said to be in.
    public var codec: Codec
    /// What is wrong, in one line.
    public var reason: String

    /// Makes the error.
    public init(_ codec: Codec, _ reason: String) {
        self.codec = codec
        self.reason = reason
    }

    /// One line for people.
    public var description: String { "\(codec) data: \(reason)" }
}
