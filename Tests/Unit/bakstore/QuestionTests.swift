import BakCore
import TestSupport
import Testing

@testable import bakstore

/// Questions at the terminal, and the effect of an interruption during a question.
struct QuestionTests {
    private func context(_ typed: [String]?, stop: Bool) throws -> CommandContext {
        let terminal = RecordingTerminal()
        terminal.typed = typed
        return CommandContext(
            terminal: terminal, plainTerminal: terminal, environment: try Environment { _ in nil },
            clock: SimulatedTime(),
            localOffset: { _ in 0 }, keyCache: MemoryKeyCache(), stop: StopSignal { stop })
    }

    @Test func anAnswerAndAnAbsentTerminalAreTold() throws {
        #expect(try context(["y"], stop: false).agrees(to: "Go on?") == true)
        #expect(try context(["n"], stop: false).agrees(to: "Go on?") == false)
        #expect(try context(nil, stop: false).agrees(to: "Go on?") == nil)
        #expect(try context(nil, stop: false).askPassword("password: ") == nil)
        #expect(try context(["word"], stop: false).askPassword("password: ") != nil)
    }

    @Test(arguments: [nil, ["y"]]) func anInterruptionIsNoAnswer(typed: [String]?) throws {
        let context = try context(typed, stop: true)
        let end = #expect(throws: CommandFailure.self) { try context.agrees(to: "Go on?") }
        #expect(end?.code == .interrupted && end?.message.contains("--yes") == false)
    }
}
