// OpenFileBudget: how many files this process may have open, and what each of its parts may take of them. A container or
// a service may be allowed 64 or fewer; then fewer folders, files and packs are open at a time, and nothing else changes.
//
// Always holds: what runs out of numbers waits for another thread to give one back. The limit is the process's, so it
// never becomes the failure of the entry that happened to be next.

import BakStorage
import CLinux
import Glibc

enum OpenFileBudget {
    /// How many files may be open, as allowed when it is first asked for.
    static let limit = Machine.openFileLimit

    /// What belongs to no part: the standard streams, the repository's folders, and what is open for a moment.
    private static let reserved = 24
    /// The walk, files that are read, files that are written, staged packs.
    private static let parts = 4

    /// How many files a part may keep open that would like to have `most`.
    static func share(_ most: Int, limit: Int = limit) -> Int {
        max(1, min(most, (limit - reserved) / parts))
    }

    /// True if a walk may keep folders open for entries that are still to be looked at.
    static var isAmple: Bool { limit >= 1024 }

    /// So long a caller waits for a number, in steps.
    private static let waitSteps = 2000
    private static let stepMicroseconds: UInt32 = 5000

    /// Opens with `call`; waits while the process or the system has no number left.
    static func open(_ call: () -> Int32) throws(Errno) -> Int32 {
        var steps = 0
        while true {
            do throws(Errno) {
                return try system(call)
            } catch {
                guard error.isOutOfNumbers, steps < waitSteps else { throw error }
                steps += 1
                usleep(stepMicroseconds)
            }
        }
    }
}

extension Errno {
    /// True if no more files may be opened, by this process or by the whole system.
    var isOutOfNumbers: Bool { code == EMFILE || code == ENFILE }
}
