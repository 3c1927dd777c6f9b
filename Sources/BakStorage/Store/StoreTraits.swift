// StoreTraits: what a store says of itself, for whoever wants to use it well.

/// What sees to it that of several puts of one name exactly one wins, whoever makes them.
public enum NameGuard: Sendable {
    /// The store, whatever happens to those who put.
    case always
    /// Locks: one that a killed program left has to be removed by its user.
    case locks
    /// Nothing: a name is looked at before it is given, and two who do so at once may both take it.
    case never
}

/// What suits a store: how it is used best, not what it can do. The defaults are a disk's.
public struct StoreTraits: Equatable, Sendable {
    /// How many requests it should have at a time; at least as many are made as there are threads that compute.
    public var requestsInFlight = 1
    /// Two ranges of an object that are no farther from each other, in bytes, are better read as one.
    public var coalescingGapBytes = 128 << 10
    /// The largest pack that it takes well, in bytes.
    public var mostPackBytes = Int.max
    /// How many objects it removes in one request.
    public var deletesAtOnce = 1

    /// Makes the traits of a disk.
    public init() {}
}
