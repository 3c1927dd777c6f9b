// The flags in the manual must exist. The reference lists all flags, and is generated.

import Foundation
import Testing

@testable import bakstore

@Suite struct ManualTests {
    private let manual: String

    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        manual = try String(contentsOf: root.appendingPathComponent("docs/manual.md"), encoding: .utf8)
    }

    /// Returns the full flags in a text.
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

    @Test func theManualNamesOnlyFlagsThatExist() {
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
