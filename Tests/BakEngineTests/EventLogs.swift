// EventLogs: what a backup or a restore told, kept for a test to look at.

import BakEngine
import Synchronization

/// Collects a backup's events from its threads.
final class EventLog: Sendable {
    private let events = Mutex<[BackupEvent]>([])

    @Sendable func note(_ event: BackupEvent) { events.withLock { $0.append(event) } }

    var all: [BackupEvent] { events.withLock { $0 } }

    /// What could not be read, or not as a whole, as "path: reason".
    var failures: [String] {
        all.compactMap {
            switch $0 {
            case .failed(let path, let reason), .incomplete(let path, let reason):
                "\(String(decoding: path, as: UTF8.self)): \(reason)"
            default: nil
            }
        }
    }
}

/// Collects a restore's events from its threads.
final class RestoreLog: Sendable {
    private let events = Mutex<[RestoreEvent]>([])

    @Sendable func note(_ event: RestoreEvent) { events.withLock { $0.append(event) } }

    /// Failures as "path: reason".
    var failures: [String] {
        events.withLock { $0 }.compactMap {
            if case .failed(let path, let reason) = $0 {
                return "\(String(decoding: path, as: UTF8.self)): \(reason)"
            }
            return nil
        }
    }
}
