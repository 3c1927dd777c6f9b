// OpenFileBudget: how many files this process may have open, and what each of its parts may take of them. A container
// or a service may be allowed 64 or fewer; then fewer folders, files and packs are open at a time, and nothing else
// changes.
//
// Always holds: what runs out of numbers waits for another thread to give one back. The limit is the process's, so it
// never becomes the failure of the entry that happened to be next. Nothing waits once a wait was in vain, nor after the
// user's wish to stop: a process of which every thread waits for the others would never end.

import BakCore
import BakStorage
import CLinux
import Glibc
import Synchronization

enum OpenFileBudget {
    /// How many files may be open, as allowed when it is first asked for.
    static let limit = Machine.openFileLimit

    /// What belongs to no part, for each repository: its folders, and what is open for a moment; the standard streams.
    private static let reserved = 24
    /// How many repositories the command works on.
    private static let repositories = Atomic<Int>(1)
    /// The walk, files that are read, files that are written, staged packs.
    private static let parts = 4

    /// How many files a part may keep open that would like to have `most`.
    static func share(_ most: Int, limit: Int = limit) -> Int {
        max(1, min(most, (limit - reserved * repositories.load(ordering: .relaxed)) / parts))
    }

    /// True if a walk may keep folders open for entries that are still to be looked at.
    static var isAmple: Bool { limit >= 1024 }

    /// So long a caller waits for a number, in steps.
    private static let waitSteps = 2000
    private static let stepMicroseconds: UInt32 = 5000

    /// True once a wait was in vain.
    private static let isHopeless = Atomic<Bool>(false)

    /// Opens with `call`; waits while the process or the system has no number left.
    ///
    /// - Parameter stop: true once nothing is worth waiting for.
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

    /// So many numbers the work on a repository takes at least, whatever the command: a check takes 22, which is the
    /// most. With fewer a thread may wait for a number that no other one can give back.
    private static let fewest = 24

    /// Says how many repositories there will be, before anything is opened.
    static func expect(repositories count: Int) {
        repositories.store(max(1, count), ordering: .relaxed)
    }

    /// True if enough numbers are free: a process may be started with files open. This is asked before a command does
    /// anything, and is the only rule: with enough it is not stopped by the limit later.
    static func suffices(repositories: Int) -> Bool {
        var missing = fewest * repositories
        for number in 0..<Int32(clamping: limit) where missing > 0 && fcntl(number, F_GETFD) < 0 {
            missing -= 1
        }
        return missing <= 0
    }
}

extension Machine {
    /// Why a command cannot do its work on so many repositories, in the user's words: too few files may be open. Nil if
    /// enough may be.
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
