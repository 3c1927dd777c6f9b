// The program for all coverage-guided fuzz targets. Only `tools/fuzz` builds it. BAKSTORE_FUZZ_TARGET chooses the
// target. The program first writes the target's samples into the folder that BAKSTORE_FUZZ_CORPUS names.

import Glibc

/// A target: the function that gets the inputs, and its first samples.
struct FuzzTarget {
    /// Runs an input, which is not empty. Traps if something is wrong.
    var run: @Sendable (UnsafeRawBufferPointer) -> Void
    /// Returns the corpus to start from, with a file name for each sample.
    var samples: @Sendable () -> [(name: String, bytes: [UInt8])]

    /// The target that this process fuzzes.
    static let chosen: FuzzTarget = {
        switch getenv("BAKSTORE_FUZZ_TARGET").map({ String(cString: $0) }) {
        case "format": format
        case "hints": hints
        case "repositories": repositories
        case let other: preconditionFailure("no fuzz target \(other ?? "was named")")
        }
    }()
}

/// Called by libFuzzer with each input (https://llvm.org/docs/LibFuzzer.html).
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    if let data, count > 0 { FuzzTarget.chosen.run(UnsafeRawBufferPointer(start: data, count: count)) }
    return 0
}

/// Called by libFuzzer before the first input.
@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>?,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
    guard let folder = getenv("BAKSTORE_FUZZ_CORPUS").map({ String(cString: $0) }) else { return 0 }
    for (name, bytes) in FuzzTarget.chosen.samples() {
        guard let file = fopen("\(folder)/\(name)", "w") else { continue }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
    return 0
}

// libFuzzer's own entry point for callers that have their own main. SwiftPM requires that an executable's main has the
// name `fuzz_main`.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ oneInput: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Hands the command line to libFuzzer.
@_cdecl("fuzz_main")
public func fuzzMain(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt
{
    var (count, arguments) = (count, arguments)
    return runFuzzer(&count, &arguments) { fuzzOneInput($0, $1) }
}
