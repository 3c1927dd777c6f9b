// Comparing paths as memory gives the same order as the definition.

import BakCore
import Testing

@Suite struct PathOrderMemoryTests {
    /// The definition: byte by byte, with '/' before all other bytes.
    private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.lexicographicallyPrecedes(right) { ($0 == 47 ? 0 : $0) < ($1 == 47 ? 0 : $1) }
    }

    /// Paths with long common beginnings, and with bytes below, at and above a slash at the end.
    private var paths: [[UInt8]] {
        let start = [UInt8](repeating: 97, count: 40)
        var paths: [[UInt8]] = [[]]
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 40] {
            for end: [UInt8] in [[], [47], [46], [48], [47, 97], [255], [1], [97, 47], [98]] {
                paths.append(start[..<length] + end)
                paths.append(start[..<length] + end + start)
            }
        }
        return paths
    }

    @Test func theFirstThatIsNotBeforeIsFound() {
        let all = paths
        // Lists of all lengths, with some paths twice, because segments may begin with the same path.
        for step in 1...9 {
            let sorted = stride(from: 0, to: all.count, by: step).map { all[$0] }.sorted(by: precedes)
            for path in all {
                let expected = sorted.firstIndex { !precedes($0, path) } ?? sorted.count
                #expect(PathOrder.firstIndex(of: sorted.count, notBefore: path) { sorted[$0] } == expected)
            }
        }
        #expect(PathOrder.firstIndex(of: 0, notBefore: all[3]) { all[$0] } == 0)
    }

    @Test func itIsTheDefinition() {
        let paths = paths
        for left in paths {
            for right in paths {
                let expected = precedes(left, right)
                #expect(PathOrder.precedes(left, right) == expected)
                // Parts of arrays, and collections that are not contiguous in memory.
                #expect(PathOrder.precedes(([1, 2, 3] + left)[3...], right) == expected)
                #expect(PathOrder.precedes(left.lazy.map { $0 }, right) == expected)
            }
        }
    }
}
