// MacroRun: runs whole programs on a whole library, in turns.
//
// A round gives every contender its own folder and goes through the operations. In each operation the contenders take
// turns, and each round begins with another contender. Round 0 warms up the disk and the page cache and does not count.
// Then the library changes to its second state, and every program backs up that state, too. A ratio compares
// measurements of the same round. In each round, threads that only read and write the same bytes also show what the
// machine can do at best.
//
// Before every measurement the machine's memory is warmed, so that what ran before does not matter
// (MachineMemory.swift). All files are in the page cache, so this measures the programs and not how fast the disk
// reads. After many files are deleted, ext4 creates files slowly for minutes. So if there is room, nothing is deleted
// before the end.

/// The measurements of one operation of one contender.
struct Measurement: Sendable {
    /// The cost in each round.
    var costs: [Int: Command.Cost] = [:]

    func samples(_ value: (Command.Cost) -> Double) -> Samples {
        Samples(values: costs.sorted { $0.key < $1.key }.map { value($0.value) })
    }
    var seconds: Samples { samples(\.seconds) }
    var peakBytes: Int { costs.values.map(\.peakBytes).max() ?? 0 }
}

/// All measurements on one library.
struct MacroResult: Sendable {
    var library: LibraryDescription
    /// The size of the library's files in bytes.
    var libraryBytes: Int
    /// The measurements, by operation and contender.
    var measurements: [Operation: [String: Measurement]] = [:]
    /// The repository's size after each operation of the last round, by contender.
    var repositoryBytes: [String: [Operation: Int]] = [:]

    /// Returns the growth of a repository by the backup of the second state.
    func weekGrowth(_ contender: String) -> Int? {
        guard let sizes = repositoryBytes[contender], let before = sizes[.list], let after = sizes[.week]
        else { return nil }
        return after - before
    }

    /// How much the same work varied before the rounds.
    var noise: Noise?
    /// The least seconds of the machine's limit in each round, for each operation that moves bytes.
    var limits: [Operation: [Int: Double]] = [:]

    /// Returns the contender's seconds divided by those of the machine's limit in the same rounds; nil without both.
    func ratiosToLimit(_ operation: Operation, _ contender: String) -> Samples? {
        ratios(measurements[operation]?[contender], to: limits[operation])
    }

    /// Returns the seconds of a restore divided by those of the first backup in the same rounds; nil without both.
    func restoreToFirstBackup(_ contender: String) -> Samples? {
        let backups = measurements[.firstBackup]?[contender]?.costs.mapValues(\.seconds)
        return ratios(measurements[.restore]?[contender], to: backups)
    }

    private func ratios(_ measured: Measurement?, to seconds: [Int: Double]?) -> Samples? {
        guard let measured, let seconds else { return nil }
        let values = measured.costs.sorted { $0.key < $1.key }.compactMap { round, cost in
            seconds[round].map { cost.seconds / $0 }
        }
        return values.isEmpty ? nil : Samples(values: values)
    }

    /// Returns the contender's seconds divided by the yardstick's seconds in the same rounds; nil if one of them was
    /// not measured.
    func ratios(_ operation: Operation, _ contender: String) -> Samples? {
        let yardstick = measurements[operation]?["yardstick"] ?? measurements[.firstBackup]?["yardstick"]
        return ratios(measurements[operation]?[contender], to: yardstick?.costs.mapValues(\.seconds))
    }
}

/// Measures one library.
struct MacroRun {
    let library: LibraryDescription
    let contenders: [Contender]
    /// The number of rounds that count; and the number in which peers take part.
    let rounds: Int
    let peerRounds: Int
    /// A folder that does not exist yet. The run makes it and leaves it behind.
    let folder: String
    /// The program that generates libraries.
    let generator: String

    /// The number of repetitions of a short operation in a round. Peers are not quick enough for repetitions.
    private static let repetitions = 5
    private var source: String { folder + "/library" }
    private var log: String { folder + "/log" }

    func run() throws -> MacroResult {
        try Files.makeFolder(folder)
        try generate(isSecondState: false)
        var result = MacroResult(library: library, libraryBytes: Files.totalBytes(beneath: source))
        // The targets of a small library may be removed at once, because few deletions do not slow down ext4.
        let keepsTargets = library.fileCount > 5000 && hasRoom(for: result.libraryBytes)
        if library.fileCount > 5000, !keepsTargets {
            Benchmark.complain("too little room to keep all files: what makes many of them will seem slow")
        }
        result.noise = try Noise.measure(rounds: rounds) { round in
            try warmMemory(result.libraryBytes)
            return try limitSeconds(.packed, "\(folder)/noise-\(round)")
        }
        Benchmark.complain("\(library.kind.rawValue): \(result.noise!.text)")
        for round in 0...rounds {
            Benchmark.complain("\(library.kind.rawValue): round \(round) of \(rounds)")
            for operation in Operation.allCases where operation != .week {
                try measureLimit(operation, round: round, &result, keepsTargets: keepsTargets)
                try measure(operation, round: round, &result, keepsTargets: keepsTargets)
            }
        }
        Benchmark.complain("\(library.kind.rawValue): after a week")
        try generate(isSecondState: true)
        for round in 0...rounds { try measure(.week, round: round, &result, keepsTargets: true) }
        return result
    }

    private func generate(isSecondState: Bool) throws {
        var command = Command(generator)
        command.words += library.words(folder: source, isSecondState: isSecondState)
        _ = try command.run(log: log)
    }

    /// True if everything that all rounds write fits in nine tenths of the free space.
    private func hasRoom(for bytes: Int) -> Bool {
        let peers = contenders.count(where: \.isPeer)
        // Each contender has a repository and a restored copy. The yardstick has only copies.
        // The limit has a copy in each round, too.
        let libraries = (rounds + 1) * (contenders.count - peers) * 2 + peers * peerRounds * 2
        return libraries * (bytes + library.fileCount * 4096) < Files.freeBytes(folder) / 10 * 9
    }

    /// Measures the machine's limit for an operation. A way that the file system lacks is left out.
    private func measureLimit(
        _ operation: Operation, round: Int, _ result: inout MacroResult, keepsTargets: Bool
    ) throws {
        var least: Double?
        for way in LimitWay.ways(operation, library.kind) {
            let target = "\(folder)/\(round)-limit-\(operation.rawValue)-\(way.rawValue)"
            do {
                try warmMemory(result.libraryBytes)
                let seconds = try limitSeconds(way, target, keeps: keepsTargets && way == .files)
                least = min(least ?? seconds, seconds)
            } catch let failure as Command.Failure {
                guard way.mayBeMissing else { throw failure }
            }
        }
        if round > 0, let least { result.limits[operation, default: [:]][round] = least }
    }

    /// Warms as much memory as a copy of the library needs. Another process does so, because this one must stay small.
    private func warmMemory(_ libraryBytes: Int) throws {
        let bytes = MachineMemory.bytes(forLibraryOf: libraryBytes)
        _ = try Command(generator, "warm-memory", "--bytes", "\(bytes)").run(log: log)
    }

    /// Copies the library in one way. Another process does so, because this one must stay small.
    private func limitSeconds(_ way: LimitWay, _ target: String, keeps: Bool = false) throws -> Double {
        var command = Command(generator, "limit", source, target, "--way", way.rawValue)
        if keeps { command.words.append("--keep") }
        guard let seconds = command.firstLine(log: log).flatMap({ Double($0) }) else {
            throw Command.Failure(description: "\(command.words.joined(separator: " ")) did not succeed")
        }
        return seconds
    }

    /// Measures an operation of every contender in the round.
    private func measure(
        _ operation: Operation, round: Int, _ result: inout MacroResult, keepsTargets: Bool
    ) throws {
        let present = contenders.filter { !$0.isPeer || (1...peerRounds).contains(round) }
        for turn in present.indices {
            let contender = present[(turn + round) % present.count]
            var place = Place(source: source, folder: "\(folder)/\(round)-\(contender.name)")
            try Files.makeFolder(place.folder)
            var costs: [Command.Cost] = []
            for repetition in 0..<(operation.isShort && !contender.isPeer ? Self.repetitions : 1) {
                place.serial = repetition + (operation == .week ? Self.repetitions : 0)
                guard let steps = contender.steps(operation, place) else { continue }
                if operation.isThroughput { try warmMemory(result.libraryBytes) }
                costs.append(try cost(of: steps))
            }
            if round == (contender.isPeer ? peerRounds : rounds), Files.exists(place.repository) {
                result.repositoryBytes[contender.name, default: [:]][operation] =
                    Files.totalBytes(beneath: place.repository)
            }
            if !keepsTargets { Files.removeForGood(place.target) }
            guard round > 0, !costs.isEmpty else { continue }
            costs.sort { $0.seconds < $1.seconds }
            var cost = costs[costs.count / 2]
            cost.peakBytes = costs.map(\.peakBytes).max()!
            result.measurements[operation, default: [:]][contender.name, default: Measurement()]
                .costs[round] = cost
        }
    }

    private func cost(of steps: [Step]) throws -> Command.Cost {
        var total = Command.Cost()
        for step in steps {
            let cost = try step.command.run(log: log)
            if step.isTimed { total = total + cost }
        }
        return total
    }
}
