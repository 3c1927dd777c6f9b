// ReplyLosingStore: a store behind a network that loses replies. The object is stored, but the reply is lost. Then the
// writer gets an error, or the transport repeats the put and finds the name taken by the writer's own object.

import BakCore
import BakStorage

/// Loses the replies to puts.
public final class ReplyLosingStore: ForwardingStore, @unchecked Sendable {
    /// What happens after the reply to a put is lost.
    public enum Loss: Sendable, Equatable {
        /// The put fails with an error of this kind.
        case fails(StoreError.Kind)
        /// The transport repeats the put.
        case isRepeated
    }

    private let loss: Loss
    private let prefix: String
    private let monitor = Monitor()
    private var losses = 0
    private var isLosing = true

    /// Loses the replies to puts of objects whose names begin with `prefix`.
    public init(_ base: SimulatedStore, _ loss: Loss, of prefix: String = "") {
        (self.loss, self.prefix) = (loss, prefix)
        super.init(base)
    }

    /// How many replies were lost.
    public var lossCount: Int { monitor.locked { losses } }
    /// Lets all replies through from now on.
    public func stopLosing() { monitor.locked { isLosing = false } }

    public override func put(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer
    ) throws(StoreError) -> PutOutcome {
        let outcome = try base.put(key, bytes)
        guard key.description.hasPrefix(prefix), monitor.locked({ isLosing }) else { return outcome }
        monitor.locked { losses += 1 }
        switch loss {
        case .isRepeated: return try base.put(key, bytes)
        case .fails(let kind):
            throw StoreError(
                kind: kind, operation: "put", object: key.description, message: "timed out")
        }
    }
}
