// RestoreLog: collects what a restore reported, so that a test can look at it.

import BakEngine
import Synchronization

/// Collects a restore's events from its threads.
public final class RestoreLog: Sendable {
    private let events = Mutex<[RestoreEvent]>([])

    /// Makes an empty log.
    public init() {}

    /// Adds an event.
    @Sendable public func note(_ event: RestoreEvent) { events.withLock { $0.append(event) } }

    /// The paths of the entries that were restored.
    public var restored: Set<[UInt8]> {
        Set(
            events.withLock { $0 }.compactMap {
                if case .restored(let entry) = $0 { return entry.path }
                return nil
            })
    }

    /// The paths of the entries whose items at the target were kept.
    public var kept: Set<[UInt8]> {
        Set(
            events.withLock { $0 }.compactMap {
                if case .kept(let path, _) = $0 { return path }
                return nil
            })
    }

    /// The paths of the entries that could not be restored.
    public var failed: Set<[UInt8]> {
        Set(
            events.withLock { $0 }.compactMap {
                if case .failed(let path, _) = $0 { return path }
                return nil
            })
    }

    /// The failures as "path: reason".
    public var failures: [String] {
        events.withLock { $0 }.compactMap {
            if case .failed(let path, let reason) = $0 {
                return "\(String(decoding: path, as: UTF8.self)): \(reason)"
            }
            return nil
        }
    }
}
