// Milestones: moments at which a process reports everything that it still knows from earlier reads. Two runs that reach
// a milestone with equal knowledge continue in the same way, so a test that searches all interleavings follows only one
// of them. Only tests listen.

import BakCore

/// Reports milestones to a listener.
struct Milestones: Sendable {
    /// Called at each milestone. The listener may ask for the process's knowledge.
    typealias Listener = @Sendable (_ name: String, _ knowledge: () -> [String]) -> Void

    private let listener: Listener?
    /// The knowledge of the callers.
    private var context: [String] = []

    init(_ listener: Listener? = nil) { self.listener = listener }

    /// Reports a milestone and the knowledge at it.
    func reached(_ name: String, _ knowledge: @autoclosure () -> [String] = []) {
        listener?(name) { [name] + context + knowledge() }
    }

    /// Returns milestones for a callee whose caller still uses `knowledge` after the call.
    func inside(_ knowledge: @autoclosure () -> [String]) -> Milestones {
        guard listener != nil else { return self }
        var inner = self
        inner.context += knowledge()
        return inner
    }
}
