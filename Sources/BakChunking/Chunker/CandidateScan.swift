// CandidateScan: finds the positions that may become cuts. It looks at every byte of every file, so its loops are in
// CKernels, in the widest form that the processor has.

import CKernels

/// The candidate test: `w &* multiplier &+ addend < threshold`, where `w` is the little-endian word of the
/// four bytes before a position.
struct CandidateScan: Sendable {
    private let test: ck_test
    private let kernel: ScanKernel

    /// A kernel returns candidates in a list on the stack. The list is almost always long enough for all candidates of
    /// a chunk.
    private static let listCapacity = 256

    init(multiplier: UInt32, addend: UInt32, threshold: UInt32, kernel: ScanKernel) {
        test = ck_test(multiplier: multiplier, addend: addend, threshold: threshold)
        self.kernel = kernel
    }

    init(key: ChunkerKey, densityExponent: Int, kernel: ScanKernel) {
        self.init(
            multiplier: key.multiplier, addend: key.addend, threshold: 1 << (32 - UInt32(densityExponent)),
            kernel: kernel)
    }

    /// Calls `body` with each candidate, ascending.
    ///
    /// - Parameters:
    ///   - bytes: the address of position 0; at least `last` bytes must be readable there.
    ///   - first: the first position to test, at least 4.
    ///   - last: the last position to test, which fits in 32 bits.
    @inline(__always)
    func forEachCandidate(
        in bytes: UnsafeRawPointer, from first: Int, through last: Int, _ body: (Int) -> Void
    ) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Self.listCapacity) { list in
            withUnsafePointer(to: test) { test in
                let start = bytes.assumingMemoryBound(to: UInt8.self)
                var position = first
                while position <= last {
                    let count = kernel.scan(test, start, &position, last, list.baseAddress, list.count)
                    for index in 0..<count { body(Int(list[index])) }
                }
            }
        }
    }
}
