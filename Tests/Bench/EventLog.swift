// EventLog: collects what a backup reported, so that a test can look at it.

import BakEngine
import Synchronization

/// Collects a backup's events from its threads.
public final class EventLog: Sendable {
    private let events = Mutex<[BackupEvent]>([])

    /// Makes an empty log.
    public init() {}

    /// Adds an event.
    @Sendable public func note(_ event: BackupEvent) { events.withLock { $0.append(event) } }

    /// All events so far.
    public var all: [BackupEvent] { events.withLock { $0 } }

    /// The paths that could not be read completely, as "path: reason".
    public var failures: [String] {
        all.compactMap {
            switch $0 {
            case .failed(let path, let reason), .incomplete(let path, let reason):
                "\(String(decoding: path, as: UTF8.self)): \(reason)"
            default: nil
            }
        }
    }
}
