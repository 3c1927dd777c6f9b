// Concurrency: threads, a lock and a bounded queue over pthreads. bakstore uses plain threads instead of Swift's
// concurrency pool, because its stages block in reads and writes. In a pool of two threads, blocked stages would leave
// no thread for the others.

import Glibc

/// A mutual-exclusion lock with one condition.
public final class Monitor: @unchecked Sendable {
    // Inlinable, because a lock that is taken for each chunk must not cost a further call.
    @usableFromInline let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Makes an unlocked monitor.
    public init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` with the lock held. Throws what `body` throws.
    @inlinable
    @discardableResult
    public func locked<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Locks, for a scope that does not fit `locked`. Call `unlock` once afterwards.
    @inlinable
    public func lock() { pthread_mutex_lock(mutex) }

    /// Unlocks.
    @inlinable
    public func unlock() { pthread_mutex_unlock(mutex) }

    /// Waits until another thread signals. The lock must be held, and is held again on return.
    public func wait() { pthread_cond_wait(condition, mutex) }

    /// Waits as `wait` does, but no longer than about `milliseconds`.
    public func wait(milliseconds: Int) {
        var until = timespec()
        clock_gettime(CLOCK_REALTIME, &until)
        let nanoseconds = until.tv_nsec + milliseconds % 1000 * 1_000_000
        until.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
        until.tv_nsec = nanoseconds % 1_000_000_000
        pthread_cond_timedwait(condition, mutex, &until)
    }

    /// Wakes every waiting thread. The lock must be held.
    public func signalAll() { pthread_cond_broadcast(condition) }
}

/// A first-in first-out queue of at most `capacity` elements, shared between threads.
public final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
    private let monitor = Monitor()
    private let capacity: Int
    private var elements: [Element?] = []
    private var head = 0
    private var isClosed = false

    /// Makes an empty queue.
    public init(capacity: Int) {
        precondition(capacity > 0)
        self.capacity = capacity
    }

    private var count: Int { elements.count - head }

    /// True if a pop would wait now.
    public var isEmpty: Bool { monitor.locked { count == 0 } }

    /// Appends an element. Waits while the queue is full; a large element waits until the queue is empty. Returns false
    /// if the queue has been closed.
    @discardableResult
    public func push(_ element: Element, isLarge: Bool = false) -> Bool {
        monitor.locked {
            while count >= (isLarge ? 1 : capacity) && !isClosed { monitor.wait() }
            guard !isClosed else { return false }
            elements.append(element)
            monitor.signalAll()
            return true
        }
    }

    /// Takes the oldest element. Waits while the queue is empty. Returns nil if the queue is closed and empty.
    public func pop() -> Element? {
        monitor.locked {
            while count == 0 && !isClosed { monitor.wait() }
            guard count > 0 else { return nil }
            let element = elements[head]
            elements[head] = nil
            head += 1
            if head > 64 && head * 2 > elements.count {
                elements.removeFirst(head)
                head = 0
            }
            monitor.signalAll()
            return element
        }
    }

    /// Closes the queue. Consumers still receive the queued elements, then nil; producers receive false.
    public func close() {
        monitor.locked {
            isClosed = true
            monitor.signalAll()
        }
    }
}

/// A thread that runs one closure and must be joined.
public final class Thread: @unchecked Sendable {
    private var handle = pthread_t()

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread. Every thread must be joined exactly once.
    public init(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Body(body))
        let result = pthread_create(
            &handle, nil,
            { context in
                Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        guard result == 0 else { Memory.exhausted("a further thread") }
    }

    /// Waits until the closure has returned.
    public func join() { pthread_join(handle, nil) }
}
