// LimitCommand: the subcommand `limit`, which measures every way in turns and prints how much its results vary.

/// How much the same work varies on this machine at the moment, and what else the machine does.
struct Noise: Sendable {
    /// The seconds that the same work took.
    let samples: Samples
    /// How many processors other programs kept busy while the benchmark waited.
    let others: Double

    /// The difference between the most and the least, as a part of the median.
    var spread: Double { (samples.maximum - samples.minimum) / samples.median }

    /// True if the results of the run are not to be believed.
    var isTooMuch: Bool { spread > 0.25 || others > 0.1 }

    /// Waits a second to see what others do. Then does the same work `rounds` times, after one time that does not
    /// count. `work` returns its seconds.
    static func measure(
        rounds: Int, others: () -> Double = MachineDescription.busyProcessors, _ work: (Int) throws -> Double
    ) rethrows -> Noise {
        let others = others()
        _ = try work(0)
        return Noise(samples: Samples(values: try (1...rounds).map(work)), others: others)
    }

    var text: String {
        let warning = isTooMuch ? ". The machine is busy or unsteady: do not believe these figures" : ""
        return "noise: the same work took \(samples.text(3)) s, which differ by \(fixed(spread * 100, 0)) %; "
            + "before it, others kept \(fixed(others, 2)) of a processor busy\(warning)"
    }

    var json: JSONValue {
        [
            "seconds": samples.json, "spread": .number(spread), "others": .number(others),
            "believable": .bool(!isTooMuch),
        ]
    }
}

extension Subcommand {
    static let limit = Subcommand(
        name: "limit", arguments: "SOURCE TARGET [--rounds N] [--way NAME [--keep]] [--json FILE]",
        explanation: [
            "what the machine can do at best: threads that only read SOURCE's files and write them beneath TARGET",
            "TARGET         a folder; every run makes its own in it and removes it",
            "--rounds N     rounds of all ways in turns (5)",
            "--way NAME     does it once, in one way, into TARGET itself, and prints the seconds: early, late,",
            "               reserved, direct, large, packed, files or read; --keep leaves what it wrote",
            "--json FILE    also as JSON",
        ]
    ) { arguments in
        let rounds = try arguments.count("--rounds", default: 5)
        let only = try arguments.value("--way").map { name in
            guard let way = LimitWay(rawValue: name) else { throw UsageError(message: "--way '\(name)'") }
            return way
        }
        let keeps = arguments.flag("--keep")
        let json = try arguments.value("--json")
        let source = try arguments.operand("SOURCE")
        let target = try arguments.operand("TARGET")
        try arguments.expectEnd()
        let machine = MachineDescription(folder: target)
        let limit = try MachineLimit(source: source)
        if let only { return print(fixed(try limit.seconds(only, target: target, keeps: keeps), 4)) }
        let noise = try Noise.measure(rounds: rounds) { round in
            MachineMemory.warm(limit.memoryToWarm)
            return try limit.seconds(.packed, target: "\(target)/noise-\(round)")
        }
        let results = try limitRounds(limit, folder: target, rounds: rounds)
        var table = MarkdownTable(["way", "seconds", "to the best that writes"])
        let best = results.filter { $0.way != .read }.map(\.seconds.median).min()!
        for (way, seconds) in results {
            table.append([way.rawValue, seconds.text(3), rounded(seconds.median / best)])
        }
        print("\(machine.text)\n\(noise.text)\n\n\(table.text)")
        guard let json else { return }
        let value: JSONValue = [
            "machine": machine.json, "noise": noise.json,
            "ways": .object(results.map { ($0.way.rawValue, $0.seconds.json) }),
        ]
        try Files.write(json, Array((value.text() + "\n").utf8))
    }
}

/// Measures every way in each round, another one first each time. A way that the file system lacks is left out.
func limitRounds(
    _ limit: MachineLimit, folder: String, rounds: Int
) throws -> [(way: LimitWay, seconds: Samples)] {
    var samples: [LimitWay: Samples] = [:]
    let ways = LimitWay.allCases
    for round in 1...rounds {
        for turn in ways.indices {
            let way = ways[(turn + round) % ways.count]
            do {
                MachineMemory.warm(limit.memoryToWarm)
                let seconds = try limit.seconds(way, target: "\(folder)/\(round)-\(way.rawValue)")
                samples[way, default: Samples()].values.append(seconds)
            } catch let failure as FileFailure {
                guard way.mayBeMissing else { throw failure }
            }
        }
    }
    return ways.compactMap { way in samples[way].map { (way, $0) } }
}
