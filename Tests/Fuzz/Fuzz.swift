// The coverage-guided fuzzers' one program, built by `tools/fuzz` alone. BAKSTORE_FUZZ_TARGET says which of them runs,
// and BAKSTORE_FUZZ_CORPUS the folder that is filled with its samples.

import Glibc

/// What inputs are given to, and what it begins with.
struct FuzzTarget {
    /// Takes an input, which is not empty; it traps where something is wrong.
    var run: @Sendable (UnsafeRawBufferPointer) -> Void
    /// The corpus to start from, by names of files.
    var samples: @Sendable () -> [(name: String, bytes: [UInt8])]

    /// The one that this process fuzzes.
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

// libFuzzer's own entry, as a library has it. SwiftPM wants an executable's main under the name below.
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
