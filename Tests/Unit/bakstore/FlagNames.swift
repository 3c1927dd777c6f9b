// Access to flags by name and to values as text, for tests. The program itself uses typed values.

import BakEngine

@testable import bakstore

typealias FlagName = AnyFlag

extension AnyFlag {
    var name: AnyFlag { self }
    var rawValue: String { word }
}

extension FlagUse {
    var name: AnyFlag { flag }
}

extension Invocation {
    func text(_ flag: AnyFlag) -> String? { bytes(flag).map { String(decoding: $0, as: UTF8.self) } }
    func allTexts(_ flag: AnyFlag) -> [String] { allBytes(flag).map { String(decoding: $0, as: UTF8.self) } }
    func size(_ flag: Flag<UInt64?>) -> UInt64? { self[flag] }
    func count(_ flag: Flag<Int?>) -> Int? { self[flag] }
    var compression: CompressionMode? { self[.compression] }
}
