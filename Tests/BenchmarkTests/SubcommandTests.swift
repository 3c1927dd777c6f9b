import Testing

@testable import bakstore_benchmark

/// Benchmarks that nobody runs rot: this runs each small and checks what does not depend on the machine.
@Suite struct SubcommandTests {
    @Test func everySubcommandRefusesWhatItDoesNotUnderstand() {
        #expect(Set(Benchmark.subcommands.map(\.name)).count == Benchmark.subcommands.count)
        for subcommand in Benchmark.subcommands {
            #expect(Benchmark.usage.contains("  \(subcommand.name) "))
            var arguments = Arguments([
                "--scratch", "/nowhere", "--bakstore", "/nowhere", "/nowhere", "--what",
            ])
            #expect(throws: UsageError.self, "\(subcommand.name)") { try subcommand.run(&arguments) }
        }
    }

    @Test func argumentsAreTakenOutOnce() throws {
        var arguments = Arguments(["--files", "12", "folder", "--bytes", "3K", "--week"])
        #expect(try arguments.count("--files", default: 1) == 12)
        #expect(try arguments.size("--bytes", default: 1) == 3072)
        #expect(arguments.flag("--week") && !arguments.flag("--week"))
        #expect(try arguments.operand("FOLDER") == "folder")
        try arguments.expectEnd()
        for words in [["--files", "0"], ["--files"], ["--files", "many"]] {
            var arguments = Arguments(words)
            #expect(throws: UsageError.self) { try arguments.count("--files", default: 1) }
        }
    }

    @Test func textFormsAreExact() {
        #expect([0.0, 1, -1.25, 1234.5678].map { fixed($0, 2) } == ["0.00", "1.00", "-1.25", "1234.57"])
        #expect(Samples(values: [3, 1, 2]).text(1) == "2.0 [1.0-3.0]")
        #expect(Samples(values: [4, 1]).median == 2.5)
        let value: JSONValue = ["a": "quo\"te\n", "b": .array([1, .null, .bool(true)]), "c": .object([])]
        #expect(value.text() == "{\n  \"a\": \"quo\\\"te\\n\",\n  \"b\": [1, null, true],\n  \"c\": {}\n}")
    }
}
