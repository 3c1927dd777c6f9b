// The manual and the command table know the same flags.

import Foundation
import Testing

@testable import bakstore

@Suite struct ManualTests {
    private let manual: String
    /// The manual's section on each command.
    private let sections: [String: String]

    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        manual = try String(contentsOf: root.appendingPathComponent("docs/manual.md"), encoding: .utf8)
        var sections: [String: String] = [:]
        for part in manual.components(separatedBy: "\n### ") {
            let title = part.prefix { $0 != "\n" }.split { " ,(".contains($0) }
            let end = part.range(of: "\n## ")?.lowerBound ?? part.endIndex
            for name in title { sections[String(name), default: ""] += part[..<end] }
        }
        self.sections = sections
    }

    /// The flags that a text names in full.
    private func flags(in text: String) -> Set<String> {
        let isOfFlag = { (character: Character) in
            character.isASCII && (character.isLetter || character == "-")
        }
        var flags: Set<String> = []
        for piece in text.components(separatedBy: "--").dropFirst() {
            let name = piece.prefix(while: isOfFlag)
            if name.first?.isLetter == true { flags.insert(String(name)) }
        }
        return flags
    }

    /// Each flag stands in the section of its command, or in that of another command which this one refers to.
    @Test(arguments: CommandTable.commands.map(\.name.rawValue)) func everyFlagIsInTheManual(name: String)
        throws
    {
        let command = try #require(CommandTable.find(name))
        let section = try #require(sections[name])
        // What several commands have alike stands before the first of them.
        let common = try #require(manual.components(separatedBy: "\n## The commands\n").last)
        var known = flags(in: section).union(flags(in: common.components(separatedBy: "\n### ")[0]))
        for other in CommandTable.commands {
            let reference = "`\(other.name.rawValue)`"
            guard
                section.contains("as in \(reference)") || section.contains("as for \(reference)")
                    || section.contains("as \(reference) does")
            else { continue }
            known.formUnion(flags(in: sections[other.name.rawValue] ?? ""))
        }
        let missing = command.flags.map(\.name.rawValue).filter { !known.contains($0) }
        #expect(missing.isEmpty, "the manual's section \(name) lacks \(missing)")
    }

    @Test func theManualInventsNoFlag() {
        let known = Set((CommandTable.commands.flatMap(\.allFlags)).map(\.name.rawValue))
        let ofOthers: Set = ["vfs-cache-mode", "dir-cache-time", "flag"]
        let invented = flags(in: manual).subtracting(known).subtracting(ofOthers)
        #expect(invented.isEmpty)
        #expect(
            Flags.global.allSatisfy {
                manual.contains("`\($0.spelling)") || manual.contains(" `\($0.spelling)")
            })
    }
}
