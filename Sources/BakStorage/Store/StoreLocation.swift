// StoreLocation: where a store lies. It is made once from what a user wrote and never parsed again.

/// Where a store lies: in a folder of this machine, or at an address that its scheme understands.
public enum StoreLocation: Hashable, Sendable {
    /// A folder of this machine, by its path.
    case folder(String)
    /// An address, such as `s3:bucket/name`: the scheme before its first colon, and the rest.
    case address(scheme: String, rest: String)

    /// The folder's path; nil for an address.
    public var folder: String? {
        guard case .folder(let path) = self else { return nil }
        return path
    }
}

extension StoreLocation: CustomStringConvertible {
    /// The location as a user writes it, for messages and flags.
    public var description: String {
        switch self {
        case .folder(let path): path
        case .address(let scheme, let rest): scheme + ":" + rest
        }
    }
}
