// MachineMemory: makes the machine's memory ready before a measurement.
//
// The host of a virtual machine takes back memory that has been free for a few seconds, and lends it again page by page
// when it is next used. A program that fills the page cache then takes up to three times the kernel's processor time.
// How much it takes depends on what ran before it, and not on the program. So the benchmark uses as much free memory as
// the program will need just before it starts.

import Glibc

enum MachineMemory {
    /// Returns how many bytes of memory a copy of a library needs.
    static func bytes(forLibraryOf bytes: Int) -> Int { 3 * bytes }

    /// Uses free memory once and gives it back: `bytes` of it, or four fifths of what is free if that is less. Files
    /// stay in the page cache.
    static func warm(_ bytes: Int) {
        let count = min(bytes, MachineDescription.freeMemoryBytes / 5 * 4) & ~4095
        guard count > 0,
            let start = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            start != MAP_FAILED
        else { return }
        for offset in stride(from: 0, to: count, by: 4096) {
            start.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
        }
        munmap(start, count)
    }
}

extension Subcommand {
    static let warmMemory = Subcommand(
        name: "warm-memory", arguments: "[--bytes SIZE]",
        explanation: [
            "uses SIZE of free memory once (4G), so that this virtual machine's host need not lend it again later"
        ]
    ) { arguments in
        let bytes = try arguments.size("--bytes", default: 4 << 30)
        try arguments.expectEnd()
        MachineMemory.warm(bytes)
    }
}
