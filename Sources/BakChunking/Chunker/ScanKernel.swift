// ScanKernel: the forms of the candidate scan that this processor can run. They all find the same candidates and differ
// only in speed, so a repository does not depend on the form.

import CKernels
import Synchronization

/// A form of the candidate scan. It is Sendable because copies share only the address of a pure function.
public struct ScanKernel: @unchecked Sendable {
    /// Its name: "avx512", "avx2", "sse4.1", "neon" or "scalar".
    public let name: String
    let scan:
        @convention(c) (
            UnsafePointer<ck_test>?, UnsafePointer<UInt8>?, UnsafeMutablePointer<Int>?, Int,
            UnsafeMutablePointer<UInt32>?, Int
        ) -> Int

    /// The kernels that this processor can run, the fastest first and "scalar" last.
    public static let available: [ScanKernel] = {
        var kernels = [ck_kernel](repeating: ck_kernel(), count: ck_most_kernels)
        let count = ck_kernels(&kernels)
        return kernels.prefix(count).map { ScanKernel(name: String(cString: $0.name), scan: $0.scan) }
    }()

    private static let chosen = Atomic<Int>(0)

    /// The kernel that chunkers use by default: the fastest, or the one that `force` chose.
    public static var current: ScanKernel { available[chosen.load(ordering: .relaxed)] }

    /// Makes a kernel current for chunkers that are made later.
    ///
    /// - Returns: false if `available` has no kernel of that name. Then nothing changes.
    public static func force(_ name: String) -> Bool {
        guard let index = available.firstIndex(where: { $0.name == name }) else { return false }
        chosen.store(index, ordering: .relaxed)
        return true
    }
}
