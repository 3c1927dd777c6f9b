// StopSignal: a request to end work early. The request may come from Ctrl-C, a deadline, or a caller that needs no more
// results.

/// A request to end early, which long work checks between its steps.
public struct StopSignal: Sendable {
    @usableFromInline let ask: @Sendable () -> Bool

    /// Makes a signal that is on as long as `ask` returns true. `ask` is called often and from any thread.
    @inlinable
    public init(_ ask: @escaping @Sendable () -> Bool) { self.ask = ask }

    /// A signal that is never on.
    public static let never = StopSignal { false }

    /// True if the work must end as soon as it can.
    @inlinable
    public var isRequested: Bool { ask() }
}
