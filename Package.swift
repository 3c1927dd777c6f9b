// swift-tools-version: 6.0
// The targets of bakstore, bottom-up. A target lists every module it may import; the test command
// builds with `--explicit-target-dependency-import-check error`, so the list is the import rule.
import PackageDescription

/// One set of compiler settings for every Swift target.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    // A command that takes milliseconds looks up hundreds of types once each: by name that costs it 2 to 3 %.
    .unsafeFlags(
        ["-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors"],
        .when(configuration: .release)),
]

func library(_ name: String, uses dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// The tests of one module, target or set of helpers.
func tests(_ subject: String, of dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: subject + "Tests", dependencies: dependencies, path: "Tests/Unit/" + subject,
        swiftSettings: settings)
}

// libipsec-mb, which there is for x86-64 only, and without a description for pkg-config.
#if arch(x86_64)
    let multiBuffer: [Target.Dependency] = ["CIPsecMB"]
    let multiBufferLinks: [LinkerSetting] = [.linkedLibrary("IPSec_MB")]
    let multiBufferTargets: [Target] = [
        .systemLibrary(name: "CIPsecMB", providers: [.apt(["libipsec-mb-dev"])])
    ]
#else
    let multiBuffer: [Target.Dependency] = []
    let multiBufferLinks: [LinkerSetting] = []
    let multiBufferTargets: [Target] = []
#endif

let package = Package(
    name: "bakstore",
    products: [
        .executable(name: "bakstore", targets: ["bakstore"]),
        .library(name: "BakstoreKit", targets: ["BakstoreKit"]),
    ],
    targets: [
        // System libraries, from Debian's -dev packages.
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
        // Calls of the C library that Swift's Glibc module leaves out.
        .systemLibrary(name: "CLinux"),

        // The loops over all bytes, in C, for the vector instructions of each processor.
        .target(
            name: "CKernels", dependencies: ["CXXHash"] + multiBuffer, linkerSettings: multiBufferLinks),

        library("BakCore", uses: []),
        library("BakChunking", uses: ["BakCore", "CKernels", "CXXHash"]),
        library(
            "BakCodec", uses: ["BakCore", "CKernels", "CLZ4", "CZstd", "CXXHash", "COpenSSL", "CArgon2"]),
        library("BakStorage", uses: ["BakCore"]),
        library("BakFormat", uses: ["BakStorage", "BakCodec", "BakCore"]),
        library("BakPosix", uses: ["BakStorage", "BakCore", "CLinux"]),
        library("BakRepository", uses: ["BakFormat", "BakCodec", "BakStorage", "BakCore"]),
        library(
            "BakEngine",
            uses: ["BakRepository", "BakFormat", "BakChunking", "BakCodec", "BakStorage", "BakCore"]),
        library(
            "BakAnalysis",
            uses: [
                "BakEngine", "BakRepository", "BakFormat", "BakChunking", "BakCodec", "BakStorage", "BakCore",
            ]),
        // What an embedding program imports, and programs that show how.
        library(
            "BakstoreKit",
            uses: [
                "BakEngine", "BakRepository", "BakFormat", "BakCodec", "BakPosix", "BakStorage", "BakCore",
            ]),
        .executableTarget(
            name: "back-up-and-restore", dependencies: ["BakstoreKit"],
            path: "docs/examples/back-up-and-restore", swiftSettings: settings),
        .executableTarget(
            name: "find-pictures", dependencies: ["BakstoreKit"],
            path: "docs/examples/find-pictures", swiftSettings: settings),

        .executableTarget(
            name: "bakstore",
            dependencies: [
                "BakAnalysis", "BakEngine", "BakRepository", "BakFormat", "BakChunking", "BakCodec",
                "BakStorage",
                "BakPosix", "BakCore",
            ],
            swiftSettings: settings),

        .executableTarget(
            name: "bakstore-benchmark",
            dependencies: [
                "BakEngine", "BakRepository", "BakPosix", "BakStorage", "BakFormat", "BakCodec",
                "BakChunking", "BakCore", "CLinux", "CXXHash", "SeededNumbers",
            ],
            path: "Benchmarks",
            swiftSettings: settings),

        .systemLibrary(name: "CProcessor", path: "Tests/CProcessor"),
        .target(name: "SeededNumbers", path: "Tests/Numbers", swiftSettings: settings),
        .target(
            name: "TestSupport",
            dependencies: ["SeededNumbers", "BakStorage", "BakFormat", "BakCodec", "BakCore"],
            path: "Tests/Support", swiftSettings: settings),
        // A repository in memory to back up to, to restore from and to check.
        .target(
            name: "TestBench",
            dependencies: [
                "TestSupport", "BakEngine", "BakRepository", "BakFormat", "BakStorage", "BakCore",
            ],
            path: "Tests/Bench", swiftSettings: settings),
        // Repositories whose checksums are right and nothing else need be, for a test and for a fuzzer.
        .target(
            name: "HostileRepositories",
            dependencies: [
                "TestSupport", "BakEngine", "BakRepository", "BakFormat", "BakChunking", "BakCodec",
                "BakStorage", "BakCore",
            ],
            path: "Tests/Hostile", swiftSettings: settings),
        tests("Hostile", of: ["HostileRepositories", "TestSupport", "BakCore"]),
        tests("BakCore", of: ["BakCore"]),
        tests(
            "BakCodec",
            of: ["SeededNumbers", "BakCodec", "BakCore", "CKernels", "CProcessor", "CXXHash", "CZstd"]),
        tests("BakChunking", of: ["SeededNumbers", "BakChunking", "BakCore", "CKernels", "CXXHash"]),
        tests("BakStorage", of: ["TestSupport", "BakStorage", "BakCore"]),
        tests("BakPosix", of: ["TestSupport", "BakPosix", "BakStorage", "BakCore", "CLinux"]),
        tests("BakFormat", of: ["TestSupport", "BakFormat", "BakCodec", "BakCore"]),
        tests(
            "BakRepository",
            of: ["TestSupport", "BakRepository", "BakFormat", "BakCodec", "BakStorage", "BakCore"]),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "TestSupport", "BakRepository", "BakFormat", "BakCodec", "BakStorage", "BakCore",
            ],
            path: "Tests/Simulation", swiftSettings: settings),
        tests(
            "BakEngine",
            of: [
                "TestBench", "TestSupport", "BakEngine", "BakRepository", "BakFormat", "BakPosix",
                "BakCodec", "BakStorage", "BakCore",
            ]),
        tests(
            "BakAnalysis",
            of: [
                "TestBench", "TestSupport", "BakAnalysis", "BakEngine", "BakRepository", "BakFormat",
                "BakChunking", "BakCodec", "BakStorage", "BakCore",
            ]),
        tests("BakstoreKit", of: ["BakstoreKit"]),
        tests(
            "Benchmark",
            of: [
                "bakstore-benchmark", "bakstore", "TestSupport", "BakChunking", "BakEngine", "BakRepository",
                "BakPosix",
                "BakStorage", "BakCore",
            ]),
        tests(
            "bakstore",
            of: [
                "TestSupport", "bakstore", "BakAnalysis", "BakEngine", "BakRepository", "BakFormat",
                "BakChunking", "BakCodec", "BakStorage", "BakPosix", "BakCore",
            ]),
    ]
)

package.targets += multiBufferTargets

// The fuzzers have no main of their own: libFuzzer brings it. `tools/fuzz` sets the variable and the sanitizers.
if Context.environment["BAKSTORE_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "fuzz", dependencies: ["TestSupport", "HostileRepositories", "BakChunking"],
            path: "Tests/Fuzz",
            swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]))
}
