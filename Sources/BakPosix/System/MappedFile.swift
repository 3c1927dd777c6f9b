// MappedFile: maps files for reading. If a file is truncated or its medium fails, touching the lost pages raises
// SIGBUS. A handler for that signal then maps zeros in place of the whole file, and the reader continues.
//
// Always holds: readers verify all bytes that they use from a mapped file, and zeros never pass that check.
// `MappedBytes.isIntact` is false after a SIGBUS. A SIGBUS at an address outside mapped files ends the process as
// usual. The handler uses only atomics and mmap, which are safe in a signal handler.

import BakStorage
import CLinux
import Glibc
import Synchronization

enum MappedFile {
    /// The addresses of one mapped file.
    private struct Slot: ~Copyable {
        let isTaken = Atomic(false)
        /// The first address, and the one after the last; `end` is 0 while nothing is mapped.
        let start = Atomic<UInt>(0)
        let end = Atomic<UInt>(0)
        let isLost = Atomic(false)
    }

    /// The number of files that can be mapped at a time. A command maps only a few: one index table, or two while it
    /// writes a new one.
    private static let slotCount = 64
    private nonisolated(unsafe) static let slots: UnsafeMutablePointer<Slot> = {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: slotCount)
        for number in 0..<slotCount { (slots + number).initialize(to: Slot()) }
        return slots
    }()

    /// Installs the handler once, after the slots exist.
    private static let handler: Void = {
        _ = slots
        var action = sigaction()
        action.__sigaction_handler.sa_sigaction = { signal, about, _ in
            MappedFile.replaceLostPages(signal, about)
        }
        action.sa_flags = SA_SIGINFO
        sigaction(SIGBUS, &action, nil)
    }()

    /// Maps a regular file with that status; nil if the system refuses or no slot is free.
    static func map(_ file: Descriptor, _ status: stat) -> MappedBytes? {
        let count = Int(status.st_size)
        if count == 0 { return MappedBytes(copying: []) }
        _ = handler
        guard let slot = takeSlot() else { return nil }
        guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, file.number, 0), start != MAP_FAILED else {
            slots[slot].isTaken.store(false, ordering: .releasing)
            return nil
        }
        slots[slot].isLost.store(false, ordering: .relaxed)
        slots[slot].start.store(UInt(bitPattern: start), ordering: .relaxed)
        slots[slot].end.store(UInt(bitPattern: start + count), ordering: .sequentiallyConsistent)
        return MappedBytes(
            UnsafeRawBufferPointer(start: start, count: count),
            isIntact: {
                guard !slots[slot].isLost.load(ordering: .sequentiallyConsistent),
                    let now = try? file.status()
                else { return false }
                // Do not compare the ctime, which changes when another file takes the name.
                return now.st_size == status.st_size && now.st_mtim.tv_sec == status.st_mtim.tv_sec
                    && now.st_mtim.tv_nsec == status.st_mtim.tv_nsec
            },
            release: {
                slots[slot].end.store(0, ordering: .sequentiallyConsistent)
                munmap(UnsafeMutableRawPointer(mutating: $0.baseAddress!), $0.count)
                slots[slot].isTaken.store(false, ordering: .releasing)
            })
    }

    private static func takeSlot() -> Int? {
        (0..<slotCount).first {
            slots[$0].isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        }
    }

    private static func replaceLostPages(_ signal: Int32, _ about: UnsafeMutablePointer<siginfo_t>?) {
        let (code, address) = (errno, UInt(bitPattern: linux_fault_address(about)))
        for number in 0..<slotCount {
            let start = slots[number].start.load(ordering: .relaxed)
            let end = slots[number].end.load(ordering: .sequentiallyConsistent)
            guard end != 0, address >= start, address < end else { continue }
            slots[number].isLost.store(true, ordering: .sequentiallyConsistent)
            let zeros = mmap(
                UnsafeMutableRawPointer(bitPattern: start), Int(end - start), PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
            guard zeros != MAP_FAILED else { break }
            errno = code
            return
        }
        // The address is in no mapped file: let the signal do what it would have done without the handler.
        var action = sigaction()
        action.__sigaction_handler.sa_handler = SIG_DFL
        sigaction(signal, &action, nil)
        errno = code
    }
}
