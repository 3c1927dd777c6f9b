// Paths that are compared as memory come in the order that the definition says.

import BakCore
import Testing

@Suite struct PathOrderMemoryTests {
    /// The definition: byte by byte, '/' below all others.
    private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.lexicographicallyPrecedes(right) { ($0 == 47 ? 0 : $0) < ($1 == 47 ? 0 : $1) }
    }

    @Test func itIsTheDefinition() {
        let start = [UInt8](repeating: 97, count: 40)
        var paths: [[UInt8]] = [[]]
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 40] {
            for end: [UInt8] in [[], [47], [46], [48], [47, 97], [255], [1], [97, 47], [98]] {
                paths.append(start[..<length] + end)
                paths.append(start[..<length] + end + start)
            }
        }
        for left in paths {
            for right in paths {
                let expected = precedes(left, right)
                #expect(PathOrder.precedes(left, right) == expected)
                // Parts of arrays, and what is no memory.
                #expect(PathOrder.precedes(([1, 2, 3] + left)[3...], right) == expected)
                #expect(PathOrder.precedes(left.lazy.map { $0 }, right) == expected)
            }
        }
    }
}
