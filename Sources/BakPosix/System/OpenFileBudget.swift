// OpenFileBudget: divides the number of files that this process may have open among the parts of the program. A
// container or a service may be allowed 64 or fewer. Then fewer folders, files and packs are open at a time, and
// nothing else changes.
//
// Always holds: a call that finds no free descriptor waits until another thread closes one. So an entry does not fail
// only because other entries use all descriptors at that moment. If one call has waited its full time in vain, or the
// user has asked the program to stop, no call waits any longer. Without this rule, the process would hang forever once
// each thread waits for a descriptor that another waiting thread holds.

import BakCore
import BakStorage
import CLinux
import Glibc
import Synchronization

enum OpenFileBudget {
    /// How many files may be open: the limit when this is first read.
    static let limit = Machine.openFileLimit

    /// Descriptors that belong to no part, for each repository: its folders, files that are open for a moment, and the
    /// standard streams.
    private static let reserved = 24
    /// The number of repositories that the command works on.
    private static let repositories = Atomic<Int>(1)
    /// The number of parts: the walk, files being read, files being written, and staged packs.
    private static let parts = 4

    /// How many files a part may keep open if it could use `most`.
    static func share(_ most: Int, limit: Int = limit) -> Int {
        max(1, min(most, (limit - reserved * repositories.load(ordering: .relaxed)) / parts))
    }

    /// True if so many files may be open that a walk may run ahead: it reports entries before their status is known,
    /// and keeps their folders open until then.
    static var isAmple: Bool { limit >= 1024 }

    /// The longest wait for a descriptor: the number of steps, and the length of a step.
    private static let waitSteps = 2000
    private static let stepMicroseconds: UInt32 = 5000

    /// True once a call has waited its full time in vain.
    private static let isHopeless = Atomic<Bool>(false)

    /// Opens with `call`, and waits while the process or the system has no descriptor left.
    ///
    /// - Parameter stop: true once waiting is useless.
    static func open(
        stop: StopSignal = StopSignal { Interruption.isRequested || isHopeless.load(ordering: .relaxed) },
        _ call: () -> Int32
    ) throws(Errno) -> Int32 {
        var steps = 0
        while true {
            do throws(Errno) {
                return try system(call)
            } catch {
                guard error.isOutOfNumbers, !stop.isRequested else { throw error }
                steps += 1
                if steps > waitSteps { isHopeless.store(true, ordering: .relaxed) }
                usleep(stepMicroseconds)
            }
        }
    }

    /// The number of descriptors that the work on a repository needs, whatever the command: a check needs the most, 22.
    /// With fewer, a thread may wait for a descriptor that no other thread can close.
    private static let fewest = 24

    /// Sets the number of repositories. Call it before anything is opened.
    static func expect(repositories count: Int) {
        repositories.store(max(1, count), ordering: .relaxed)
    }

    /// True if enough descriptors are free for a command. A process may start with files already open, so this counts
    /// the free descriptors one by one. Call it before the command opens anything. If the result is true, the limit
    /// does not stop the command later.
    static func suffices(repositories: Int) -> Bool {
        var missing = fewest * repositories
        for number in 0..<Int32(clamping: limit) where missing > 0 && fcntl(number, F_GETFD) < 0 {
            missing -= 1
        }
        return missing <= 0
    }
}

extension Machine {
    /// The message for the user if too few files may be open for work on so many repositories; nil if enough may be.
    public static func lackOfOpenFiles(repositories: Int) -> String? {
        OpenFileBudget.expect(repositories: repositories)
        return OpenFileBudget.suffices(repositories: repositories) ? nil : Errno(code: EMFILE).message
    }

    /// How many threads should work on packs and files at once: one for each processor, if enough files may be open.
    public static var workerCount: Int { max(2, OpenFileBudget.share(processorCount)) }
}

extension Errno {
    /// True if no more files may be opened, by this process or by the whole system.
    var isOutOfNumbers: Bool { code == EMFILE || code == ENFILE }
}
