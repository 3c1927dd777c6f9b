// A cursor has the components of its path, whatever its earlier paths were.

import Testing

@testable import BakEngine

@Suite struct PathCursorTests {
    @Test func itHasTheComponentsOfThePath() {
        let names = ["a", "ab", "b", "a.b", "longer than eight bytes", "longer than eight"]
        var state: UInt64 = 1
        func draw(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        var (cursor, before) = (PathCursor(), [String]())
        for _ in 0..<20_000 {
            let path =
                Array(before.prefix(draw(before.count + 1))) + (0...draw(3)).map { _ in names[draw(6)] }
            let kept = cursor.move(to: Array(path.joined(separator: "/").utf8))
            #expect(cursor.components.map { String(decoding: $0, as: UTF8.self) } == path)
            #expect(cursor.ends == path.indices.map { path[...$0].joined(separator: "/").utf8.count })
            let folders = zip(before.dropLast(), path.dropLast()).prefix { $0 == $1 }.count
            #expect(kept == folders)
            before = path
        }
    }
}
