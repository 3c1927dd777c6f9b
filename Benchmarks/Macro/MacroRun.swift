// MacroRun: whole programs on a whole library, the contenders in turns.
//
// A round gives every contender a folder of its own and goes through the operations; in each, the contenders
// take turns, beginning with another one in every round. Round 0 warms the disk and the page cache and does
// not count. Then the library becomes its second state and every repository is given that as well. Ratios
// are of measurements of one round.
//
// Files are in the page cache: this measures programs, not the disk's reading. Creating files is slow on
// ext4 for minutes after many were deleted, so nothing is deleted before the end where there is room.

/// What was measured of one operation of one contender.
struct Measurement: Sendable {
    /// One cost a round, by round.
    var costs: [Int: Command.Cost] = [:]

    func samples(_ value: (Command.Cost) -> Double) -> Samples {
        Samples(values: costs.sorted { $0.key < $1.key }.map { value($0.value) })
    }
    var seconds: Samples { samples(\.seconds) }
    var peakBytes: Int { costs.values.map(\.peakBytes).max() ?? 0 }
}

/// Everything that was measured on one library.
struct MacroResult: Sendable {
    var library: LibraryDescription
    /// What the library's files take, in bytes.
    var libraryBytes: Int
    /// By operation and contender.
    var measurements: [Operation: [String: Measurement]] = [:]
    /// What a repository took after an operation of the contender's last round, by contender.
    var repositoryBytes: [String: [Operation: Int]] = [:]

    /// How much a repository grew by the second state's backup.
    func weekGrowth(_ contender: String) -> Int? {
        guard let sizes = repositoryBytes[contender], let before = sizes[.list], let after = sizes[.week]
        else { return nil }
        return after - before
    }

    /// The contender's seconds over the yardstick's of the same rounds; nil where one was not measured.
    func ratios(_ operation: Operation, _ contender: String) -> Samples? {
        let yardstick = measurements[operation]?["yardstick"] ?? measurements[.firstBackup]?["yardstick"]
        guard let yardstick, let measured = measurements[operation]?[contender] else { return nil }
        let values = measured.costs.sorted { $0.key < $1.key }.compactMap { round, cost in
            yardstick.costs[round].map { cost.seconds / $0.seconds }
        }
        return values.isEmpty ? nil : Samples(values: values)
    }
}

/// Measures one library.
struct MacroRun {
    let library: LibraryDescription
    let contenders: [Contender]
    /// Rounds that count, of all contenders and of peers.
    let rounds: Int
    let peerRounds: Int
    /// A folder that does not exist yet; made and left behind.
    let folder: String
    /// The program that makes libraries.
    let generator: String

    /// How often a short operation is repeated in a round; a peer's is not short enough to do so.
    private static let repetitions = 5
    private var source: String { folder + "/library" }
    private var log: String { folder + "/log" }

    func run() throws -> MacroResult {
        try Files.makeFolder(folder)
        try generate(isSecondState: false)
        var result = MacroResult(library: library, libraryBytes: Files.totalBytes(beneath: source))
        // Some hundred files may be removed at once.
        let keepsTargets = library.fileCount > 5000 && hasRoom(for: result.libraryBytes)
        if library.fileCount > 5000, !keepsTargets {
            Benchmark.complain("too little room to keep all files: what makes many of them will seem slow")
        }
        for round in 0...rounds {
            Benchmark.complain("\(library.kind.rawValue): round \(round) of \(rounds)")
            for operation in Operation.allCases where operation != .week {
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

    /// Whether all that is written in all rounds fits in nine tenths of what is free.
    private func hasRoom(for bytes: Int) -> Bool {
        let peers = contenders.count(where: \.isPeer)
        // A repository and what was restored; the yardstick has only copies.
        let libraries = (rounds + 1) * ((contenders.count - peers) * 2 - 1) + peers * peerRounds * 2
        return libraries * (bytes + library.fileCount * 4096) < Files.freeBytes(folder) / 10 * 9
    }

    /// Has every contender of the round do an operation.
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
                costs.append(try cost(of: steps))
            }
            if round == (contender.isPeer ? peerRounds : rounds), Files.exists(place.repository) {
                result.repositoryBytes[contender.name, default: [:]][operation] =
                    Files.totalBytes(beneath: place.repository)
            }
            if !keepsTargets { _ = try Command("rm", "-rf", place.target).run(log: log) }
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
