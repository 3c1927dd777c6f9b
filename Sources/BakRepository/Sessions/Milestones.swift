// Milestones: moments at which a process says all that it still knows of what it read before. Two runs of one process
// that come to a milestone with the same knowledge go on in the same way, so that a search of all interleavings need
// not tell them apart. Nobody listens outside of tests.

import BakCore

/// Where milestones are told.
struct Milestones: Sendable {
    /// Told of each; may ask what is known.
    typealias Listener = @Sendable (_ name: String, _ knowledge: () -> [String]) -> Void

    private let listener: Listener?
    /// What the callers still know.
    private var context: [String] = []

    init(_ listener: Listener? = nil) { self.listener = listener }

    /// Says what is still known.
    func reached(_ name: String, _ knowledge: @autoclosure () -> [String] = []) {
        listener?(name) { [name] + context + knowledge() }
    }

    /// For a part whose caller goes on with `knowledge` after it.
    func inside(_ knowledge: @autoclosure () -> [String]) -> Milestones {
        guard listener != nil else { return self }
        var inner = self
        inner.context += knowledge()
        return inner
    }
}
