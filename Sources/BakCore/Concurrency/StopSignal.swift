// StopSignal: a wish that work ends, from whoever began it: a person's Ctrl-C, a deadline, a caller that has seen
// enough.

/// Asked by work that takes long, between its steps, whether to end early.
public struct StopSignal: Sendable {
    @usableFromInline let ask: @Sendable () -> Bool

    /// Makes a signal that is given as long as `ask` returns true. It is asked often, and from any thread.
    @inlinable
    public init(_ ask: @escaping @Sendable () -> Bool) { self.ask = ask }

    /// The signal that is never given.
    public static let never = StopSignal { false }

    /// True if the work is to end as soon as it can.
    @inlinable
    public var isRequested: Bool { ask() }
}
