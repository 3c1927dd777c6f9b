// ScanKernel: the forms of the candidate scan that this processor can run. They all find the same candidates,
// so which one runs is a matter of speed and nothing that a repository could depend on.

import CKernels
import Synchronization

/// A form of the candidate scan. A copy shares nothing but the address of a pure function, hence Sendable.
public struct ScanKernel: @unchecked Sendable {
    /// Its name: "avx512", "avx2", "sse4.1", "neon" or "scalar".
    public let name: String
    let scan:
        @convention(c) (
            UnsafePointer<ck_test>?, UnsafePointer<UInt8>?, UnsafeMutablePointer<Int>?, Int,
            UnsafeMutablePointer<UInt32>?, Int
        ) -> Int

    /// What this processor can run, the fastest first and "scalar" last.
    public static let available: [ScanKernel] = {
        var kernels = [ck_kernel](repeating: ck_kernel(), count: ck_most_kernels)
        let count = ck_kernels(&kernels)
        return kernels.prefix(count).map { ScanKernel(name: String(cString: $0.name), scan: $0.scan) }
    }()

    private static let chosen = Atomic<Int>(0)

    /// What chunkers use unless they are told otherwise: the fastest, or what was forced.
    public static var current: ScanKernel { available[chosen.load(ordering: .relaxed)] }

    /// Makes a kernel current, for chunkers that are made from now on.
    ///
    /// - Returns: false, with nothing changed, when `available` has none of that name.
    public static func force(_ name: String) -> Bool {
        guard let index = available.firstIndex(where: { $0.name == name }) else { return false }
        chosen.store(index, ordering: .relaxed)
        return true
    }
}
