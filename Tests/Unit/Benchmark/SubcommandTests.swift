import Testing

@testable import bakstore_benchmark

/// A benchmark that nobody runs stops working. These tests run each benchmark on small data, and check what does not
/// depend on the machine.
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

    @Test func macroMeasuresEveryOperation() throws {
        let bench = try Bench()
        let report = try runMacro(
            .tiny, bakstore: Bench.program("bakstore"), generator: Bench.program("bakstore-benchmark"),
            scratch: bench.folder, comparesPeers: false)
        #expect(report.results.count == 2)
        for result in report.results {
            for operation in Operation.allCases {
                let measured = result.measurements[operation]?["bakstore"]
                #expect(measured?.costs.count == 1, "\(operation)")
                #expect(result.ratios(operation, "bakstore") != nil, "\(operation)")
            }
            #expect(result.weekGrowth("bakstore") ?? 0 > 0)
        }
        #expect(report.text.split(separator: "\n").filter { $0.hasPrefix("| media | ") }.count == 8)
        #expect(report.json.text().contains("\"operation\": \"first backup\""))
        try report.chart.write(bench.folder + "/chart")
        let chart = String(decoding: Files.contents(bench.folder + "/chart.svg") ?? [], as: UTF8.self)
        #expect(chart.components("<rect") == 1 + 1 + 14, "the page, the legend, a bar for every row")
        #expect(!Files.exists(bench.folder + "/bakstore-macro"))
    }

    @Test func hintsAreWeighedInWholeBackups() throws {
        let bench = try Bench()
        let library = try bench.library("library", LibraryTests.media)
        let table = try HintBackup.run(folder: library.path, scratch: bench.folder, rounds: 1).text
        let rows = table.split(separator: "\n").dropFirst(2)
        #expect(rows.count == 3 && rows.allSatisfy { $0.split(separator: "|").count == 5 })
        let megabytes = rows.prefix(2).map { Double($0.split(separator: "|")[2].dropFirst().dropLast()) ?? 0 }
        #expect(megabytes.allSatisfy { $0 > 2.5 && $0 < 3.5 }, "\(megabytes)")
        #expect(!Files.exists(bench.folder + "/hint-backup"))
    }

    @Test func everyWayToTheLimitWritesTheWholeLibrary() throws {
        let bench = try Bench()
        let library = try bench.library(
            "library", LibraryDescription(kind: .media, fileCount: 30, byteCount: 3_000_000, seed: 5))
        let limit = try MachineLimit(source: library.path, threadCount: 2)
        let bytes = Files.totalBytes(beneath: library.path)
        for way in LimitWay.allCases {
            let target = "\(bench.folder)/\(way.rawValue)"
            do {
                #expect(try limit.seconds(way, target: target, keeps: true) > 0)
            } catch let failure as FileFailure {
                #expect(way.mayBeMissing, "\(failure)")
                continue
            }
            #expect(Files.totalBytes(beneath: target) == (way == .read ? 0 : bytes), "\(way)")
            guard way != .read, way != .packed else { continue }
            for path in Files.paths(beneath: library.path) {
                let copy = target + path.dropFirst(library.path.count)
                #expect(Files.contents(copy) == Files.contents(path), "\(copy)")
            }
        }
        let rounds = try limitRounds(limit, folder: bench.folder + "/rounds", rounds: 1)
        #expect(rounds.count >= LimitWay.allCases.count - 2)
        #expect(Files.totalBytes(beneath: bench.folder + "/rounds") == 0, "what it wrote is removed")
        let noise = Noise.measure(rounds: 3, others: { 0 }) { [9, 1, 2, 4][$0] }
        #expect(noise.spread == 1.5 && noise.isTooMuch && noise.text.contains("do not believe"))
    }

    @Test func metadataEditsAreMeasured() throws {
        let bench = try Bench()
        let library = try bench.library(
            "library", LibraryDescription(kind: .media, fileCount: 60, byteCount: 4_000_000, seed: 5))
        let program = try Bench.program("bakstore")
        let contender = try #require(Contender.bakstore(program, log: bench.folder + "/log"))
        // A comment is inserted after the first bytes of the image, which moves all other bytes.
        let comment = #"{ printf '\377\330\377\376\000\012comments'; tail -c +3 "$f"; } >../new"#
        let edit = MetadataEdit(
            name: "comments", endings: ["jpg"], leastBytes: 16384,
            script: "for f in *; do \(comment) && mv ../new \"$f\"; done", tool: "printf", goal: 1)
        let nothing = MetadataEdit(name: "nothing", endings: ["jpg"], script: "true", tool: "true")
        let absent = MetadataEdit(name: "absent", endings: ["jpg"], script: "true", tool: "no-such-tool")
        let rows = try MetadataEditBenchmark(
            corpus: library.path, bakstore: program, contenders: [contender], folder: bench.folder + "/edit"
        ).run([edit, nothing, absent])
        #expect(rows.count == 1)
        let row = try #require(rows.first)
        #expect(row.fileCount > 3 && row.editedBytes > row.fileCount * 16384)
        #expect(try #require(row.percent("bakstore")) < 10)
        #expect(MetadataEditRow.table(rows, [contender]).rows.count == 1)
        #expect(row.json.text().contains("\"stored_bytes\""))
    }

    @Test func hintsOfHostileContainersAreFew() {
        let rows = HintCost.run(megabytes: 1, rounds: 1)
        #expect(rows.count == 10)
        for row in rows {
            #expect(row.chunks.with <= row.chunks.without + 2 * row.byteCount >> 16 + 40, "\(row.name)")
        }
        #expect(HintCostRow.table(rows).rows.count == rows.count)
    }

    @Test func growthFindsMetadataOfAConstantSize() throws {
        let bench = try Bench()
        let rows = try GrowthBenchmark(
            steps: GrowthBenchmark.steps(files: 50, bytes: 300_000), rounds: 1,
            folder: bench.folder + "/growth",
            bakstore: Bench.program("bakstore"), generator: Bench.program("bakstore-benchmark")
        ).run()
        #expect(rows.count == 5)
        for row in rows {
            // A file needs an entry, a row in the index for its chunk, and a share of the folders' entries.
            let perFile = Double(row.metadataBytes) / Double(row.step.library.fileCount)
            #expect((60..<400).contains(perFile), "\(row.step.name): \(perFile) bytes a file")
            // At least a session record and a commit record are added. More is added if other programs change the times
            // of the folders above. CountTests shows that an unchanged tree adds nothing else.
            #expect(row.secondMetadataBytes > row.metadataBytes, "\(row.step.name)")
        }
        #expect(GrowthRow.table(rows).rows.count == 5)
    }

    @Test func prunesAreMeasured() throws {
        let bench = try Bench()
        let program = try Bench.program("bakstore")
        let contender = try #require(Contender.bakstore(program, log: bench.folder + "/log"))
        let histories = [4, 8].map { PruneHistory(files: 60, snapshots: $0, hasPeers: false) }
        let rows = try PruneBenchmark(
            contenders: [contender], rounds: 1, folder: bench.folder + "/prune", bakstore: program,
            generator: Bench.program("bakstore-benchmark")
        ).run(histories)
        #expect(rows.map(\.history.snapshots) == [4, 8])
        for row in rows {
            #expect(row.prune.costs.count == 1 && row.again.costs.count == 1)
            // The edited part of the first half was stored twice. A pack of which a tenth is needed is repacked.
            #expect(row.bytesAfter < row.bytesBefore && row.bytesWritten > 0)
        }
        #expect(PruneRow.table(rows).rows.count == 2)
        #expect(rows[0].json.text().contains("\"bytes_written\""))
    }

    @Test func everyOperationIsMeasuredAtEachSize() throws {
        let bench = try Bench()
        let program = try Bench.program("bakstore")
        let folder = bench.folder + "/scale"
        let results = try ScaleBenchmark(
            bakstore: program, benchmark: Bench.program("bakstore-benchmark"), folder: folder, keeps: true
        ).run([1000, 4000])
        #expect(results.map(\.entryCount) == [1000, 4000])
        for result in results {
            #expect(result.costs.count == ScaleOperation.allCases.count)
            var counts = try #require(result.counts[.first])
            let files = counts.files
            #expect(files + counts.folders == result.entryCount && counts.newFiles == files)
            (counts.newFiles, counts.unmodifiedFiles) = (0, files)
            #expect(result.counts[.unchanged] == counts)
            let edited = (0..<files).count { GeneratedFile(number: $0, isLater: true).isEdited }
            (counts.changedFiles, counts.unmodifiedFiles) = (edited, files - edited)
            #expect(result.counts[.edited] == counts)
            #expect(edited > 0 && edited < files / 50)
            let home = "\(folder)/\(result.entryCount)"
            #expect(Files.paths(beneath: home + "/restored").count == 100)
            let list = Command(
                program, "ls", "-R", "latest", "--repo", home + "/repository",
                variables: ["BAKSTORE_CACHE_DIR": home + "/cache"])
            _ = try list.run(log: folder + "/log", keepsOutput: true)
            let lines = (Files.contents(folder + "/log") ?? []).count { $0 == UInt8(ascii: "\n") }
            #expect(lines == result.entryCount - 1, "all but the folder that was backed up")
        }
        #expect(ScaleResult.table(results).rows.count == 2 * ScaleOperation.allCases.count)
        #expect(results[0].json.text().contains("\"peak_anonymous_bytes\""))
    }

    @Test func theIndexAnswersRightAndIsSmall() throws {
        let bench = try Bench()
        let result = try IndexBenchmark(entryCount: 20_000, stepCount: 6000, folder: bench.folder + "/index")
            .run()
        #expect(result.wrongAnswers == 0)
        #expect(result.fileBytes <= 32 * result.entryCount)
        #expect(result.hits.values.count == 5 && result.table.rows.count == 9)
    }

    @Test func everyStageIsMeasured() throws {
        let rows = try MicroBenchmark(byteCount: 1 << 20, passes: 1, entryCount: 500).run()
        #expect(rows.count == 4 + 4 + 6 + 4)
        #expect(
            rows.filter { $0.stage.hasPrefix("look-up") }.map(\.remark) == [
                "500 found", "0 found", "500 found", "0 found",
            ])
        let compressed = rows.filter { $0.stage.hasPrefix("compress") }
        #expect(compressed.filter { $0.content.hasPrefix("random") }.allSatisfy { $0.remark == "to 1.000" })
        #expect(compressed.filter { $0.content.hasPrefix("text") }.allSatisfy { $0.remark < "to 0.9" })
    }

    @Test func textFormsAreExact() {
        #expect([0.0, 1, -1.25, 1234.5678].map { fixed($0, 2) } == ["0.00", "1.00", "-1.25", "1234.57"])
        #expect(Samples(values: [3, 1, 2]).text(1) == "2.0 [1.0-3.0]")
        #expect(Samples(values: [4, 1]).median == 2.5)
        let value: JSONValue = ["a": "quo\"te\n", "b": .array([1, .null, .bool(true)]), "c": .object([])]
        #expect(value.text() == "{\n  \"a\": \"quo\\\"te\\n\",\n  \"b\": [1, null, true],\n  \"c\": {}\n}")
    }
}

extension String {
    /// Returns the number of positions at which `part` occurs.
    fileprivate func components(_ part: String) -> Int {
        indices.count { self[$0...].hasPrefix(part) }
    }
}
