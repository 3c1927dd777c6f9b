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

    /// The paths of what is in its place.
    var restored: Set<[UInt8]> {
        Set(
            events.withLock { $0 }.compactMap {
                if case .restored(let entry) = $0 { return entry.path }
                return nil
            })
    }

    /// The paths of what was kept.
    var kept: Set<[UInt8]> {
        Set(
            events.withLock { $0 }.compactMap {
                if case .kept(let path, _) = $0 { return path }
                return nil
            })
    }

    /// The paths of what could not be restored.
    var failed: Set<[UInt8]> {
        Set(
            events.withLock { $0 }.compactMap {
                if case .failed(let path, _) = $0 { return path }
                return nil
            })
    }

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
