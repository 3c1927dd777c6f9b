// The entry point of the coverage-guided fuzzer: the first byte chooses what the rest is decoded as and
// whether its checksums are made right. Built by `tools/fuzz` alone.

import Glibc
import TestSupport

/// Called by libFuzzer with each input (https://llvm.org/docs/LibFuzzer.html).
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let data, count > 0 else { return 0 }
    let kinds = FormatSpecimen.allCases
    let kind = kinds[Int(data[0] >> 1) % kinds.count]
    var bytes = Array(UnsafeBufferPointer(start: data + 1, count: count - 1))
    if data[0] & 1 == 1 { kind.repair(&bytes) }
    bytes.withUnsafeBytes { _ = kind.challenge($0) }
    return 0
}

/// Called by libFuzzer before the first input: fills an empty corpus with a few samples of every kind.
@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>?,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
    guard let folder = getenv("BAKSTORE_FUZZ_CORPUS").map({ String(cString: $0) }) else { return 0 }
    let random = TestSeed.random("fuzzer")
    for (number, kind) in FormatSpecimen.allCases.enumerated() {
        for sample in 0..<8 {
            let bytes = [UInt8(number << 1 | 1)] + kind.sample(random)
            guard let file = fopen("\(folder)/\(kind)-\(sample)", "w") else { continue }
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
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
@_cdecl("fuzz_format_main")
public func fuzzMain(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt
{
    var (count, arguments) = (count, arguments)
    return runFuzzer(&count, &arguments) { fuzzOneInput($0, $1) }
}
