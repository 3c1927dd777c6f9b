// MacroReport: macro results as tables, as JSON and as a chart.

/// The goal for an operation, as docs/performance.md promises it.
struct Goal: Sendable {
    var text: String
    /// The goal as a ratio to the yardstick, if it is a ratio.
    var ratio: Double?
    /// The goal as a ratio to the machine's limit, if there is one.
    var toLimit: Double?

    /// The most that a restore of media may take, as a ratio to the first backup of the same round.
    static let restoreToFirstBackup = 1.15

    /// The goals in words.
    var words: String { toLimit.map { "\(text); \(rounded($0)) of the limit" } ?? text }

    static func of(_ operation: Operation, _ kind: LibraryPlan.Kind) -> Goal? {
        switch (operation, kind) {
        case (.firstBackup, .media): Goal(text: "<= 0.60", ratio: 0.60, toLimit: 1.1)
        case (.firstBackup, .small): Goal(text: "<= 0.20", ratio: 0.20)
        case (.unchanged, .media): Goal(text: "<= 30 ms")
        case (.unchanged, .small): Goal(text: "<= 1.0", ratio: 1.0)
        case (.restore, .media): Goal(text: "<= 0.60", ratio: 0.60, toLimit: 1.25)
        case (.restore, .small): Goal(text: "<= 0.80", ratio: 0.80, toLimit: 1.5)
        case (.reread, .media), (.check, .media): Goal(text: ">= 8 GB/s")
        case (.list, _): Goal(text: "<= 15 ms")
        default: nil
        }
    }
}

/// The results of all libraries.
struct MacroReport {
    let machine: MachineDescription
    let contenders: [Contender]
    let results: [MacroResult]

    private var programs: [Contender] { contenders.filter { $0.name != "yardstick" } }

    /// The report in Markdown: times and ratios, then memory and sizes.
    var text: String {
        let versions = programs.map { "\($0.name): \($0.version)" }.joined(separator: "; ")
        let libraries = results.map {
            "\($0.library.kind.rawValue): \($0.library.fileCount) files, \(rounded(Double($0.libraryBytes) / 1e9)) GB"
        }
        return """
            \(machine.text)
            \(versions)
            \(libraries.joined(separator: "; ")); files in the page cache
            \(noises)

            Seconds are medians with minimum and maximum. A ratio is to the yardstick of the same round: `cp -a` \
            and `sync` of the same files, or `find -printf` for unchanged files and the second state, or starting \
            `true` for the list. A ratio to the limit is to the best of several ways in which threads only read and \
            write the same bytes in the same round (see `bakstore-benchmark limit`).

            \(timeTable.text)

            \(restores)

            \(sizeTable.text)
            """
    }

    private var restores: String {
        results.flatMap { result in
            programs.compactMap { program in
                result.restoreToFirstBackup(program.name).map {
                    "A restore of \(result.library.kind.rawValue) by \(program.name) took \($0.text(2)) of its first "
                        + "backup in the same round."
                }
            }
        }.joined(separator: "\n")
            + "\nGoal for media: <= \(rounded(Goal.restoreToFirstBackup))."
    }

    private var noises: String {
        results.compactMap { result in result.noise.map { "\(result.library.kind.rawValue): \($0.text)" } }
            .joined(separator: "\n")
    }

    private var timeTable: MarkdownTable {
        var table = MarkdownTable(
            ["library", "operation", "goal", "yardstick, s", "limit, s"]
                + programs.flatMap { ["\($0.name), s", "ratio", "to the limit"] } + ["bakstore, GB/s"])
        for result in results {
            for operation in Operation.allCases {
                guard let measured = result.measurements[operation] else { continue }
                var cells = [result.library.kind.rawValue, operation.rawValue]
                cells.append(Goal.of(operation, result.library.kind)?.words ?? "")
                cells.append(measured["yardstick"].map { Self.seconds($0.seconds) } ?? "")
                let limits = result.limits[operation].map { Samples(values: Array($0.values)) }
                cells.append(limits.map(Self.seconds) ?? "")
                for program in programs {
                    cells.append(measured[program.name].map { Self.seconds($0.seconds) } ?? "")
                    cells.append(result.ratios(operation, program.name).map { rounded($0.median) } ?? "")
                    let toLimit = result.ratiosToLimit(operation, program.name)
                    cells.append(toLimit.map { rounded($0.median) } ?? "")
                }
                let speed = measured["bakstore"].map { Double(result.libraryBytes) / $0.seconds.median / 1e9 }
                cells.append(operation.isThroughput ? speed.map { fixed($0, 2) } ?? "" : "")
                table.append(cells)
            }
        }
        return table
    }

    private var sizeTable: MarkdownTable {
        var table = MarkdownTable(
            ["library", "program", "peak memory, first backup, MB", "unchanged", "restore", "repository, MB"]
                + ["growth by the week, MB"])
        for result in results {
            for program in programs {
                func peak(_ operation: Operation) -> String {
                    result.measurements[operation]?[program.name].map { fixed(Double($0.peakBytes) / 1e6, 0) }
                        ?? ""
                }
                func megabytes(_ bytes: Int?) -> String { bytes.map { fixed(Double($0) / 1e6, 1) } ?? "" }
                table.append([
                    result.library.kind.rawValue, program.name, peak(.firstBackup), peak(.unchanged),
                    peak(.restore), megabytes(result.repositoryBytes[program.name]?[.firstBackup]),
                    megabytes(result.weekGrowth(program.name)),
                ])
            }
        }
        return table
    }

    private static func seconds(_ samples: Samples) -> String {
        guard samples.values.count > 1 else { return rounded(samples.median) }
        return "\(rounded(samples.median)) [\(rounded(samples.minimum))-\(rounded(samples.maximum))]"
    }

    var json: JSONValue {
        [
            "machine": machine.json,
            "programs": .array(
                contenders.map { ["name": .string($0.name), "version": .string($0.version)] }),
            "libraries": .array(results.map(Self.json)),
        ]
    }

    private static func json(_ result: MacroResult) -> JSONValue {
        var rows: [JSONValue] = []
        for operation in Operation.allCases {
            for (name, measurement) in (result.measurements[operation] ?? [:]).sorted(by: { $0.key < $1.key })
            {
                rows.append([
                    "operation": .string(operation.rawValue), "program": .string(name),
                    "seconds": measurement.seconds.json,
                    "processor_seconds": .number(measurement.samples(\.processorSeconds).median),
                    "peak_memory_bytes": .integer(measurement.peakBytes),
                    "ratio": result.ratios(operation, name)?.json ?? .null,
                    "ratio_to_limit": result.ratiosToLimit(operation, name)?.json ?? .null,
                    "repository_bytes": result.repositoryBytes[name]?[operation].map(JSONValue.integer)
                        ?? .null,
                ])
            }
        }
        return [
            "kind": .string(result.library.kind.rawValue), "files": .integer(result.library.fileCount),
            "bytes": .integer(result.libraryBytes), "seed": .integer(Int(result.library.seed)),
            "noise": result.noise?.json ?? .null, "measurements": .array(rows),
        ]
    }

    /// The ratios to the yardstick, with a group of bars for each operation.
    var chart: BarChart {
        var chart = BarChart(
            title: "Time as a multiple of cp -a + sync (or find, or true) in the same run; less is better",
            series: programs.map(\.name))
        for result in results {
            for operation in Operation.allCases {
                let values = programs.map { result.ratios(operation, $0.name)?.median }
                guard values.contains(where: { $0 != nil }) else { continue }
                chart.groups.append(
                    BarChart.Group(
                        label: "\(result.library.kind.rawValue): \(operation.rawValue)", values: values,
                        goal: Goal.of(operation, result.library.kind)?.ratio))
            }
        }
        return chart
    }
}
