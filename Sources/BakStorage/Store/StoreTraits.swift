// StoreTraits: how a store is used best, and how it guards names.

/// The mechanism that lets exactly one of several puts of one name win, whichever programs make them.
public enum NameGuard: Sendable {
    /// The store itself, even if a program that puts is killed.
    case always
    /// Locks. A user has to remove a lock that a killed program left.
    case locks
    /// Nothing. The store checks that a name is free before it uses it, so two puts at the same time may both succeed.
    case never
}

/// Hints on how to use a store well. They do not limit what it can do. The defaults suit a disk.
public struct StoreTraits: Equatable, Sendable {
    /// The number of parallel requests that suits the store. Readers always make at least one request for each
    /// computing thread.
    public var requestsInFlight = 1
    /// The largest gap, in bytes, between two ranges of an object that are better read as one.
    public var coalescingGapBytes = 128 << 10
    /// The largest pack that suits the store, in bytes.
    public var mostPackBytes = Int.max
    /// The number of objects that the store removes in one request.
    public var deletesAtOnce = 1

    /// Makes the traits of a disk.
    public init() {}
}
