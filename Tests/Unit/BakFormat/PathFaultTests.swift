// The fault of a path is the same whatever path was checked before it.

import BakCore
import BakFormat
import Testing

@Suite struct PathFaultTests {
    private static func fault(_ path: [UInt8], after possible: [UInt8]) -> String? {
        ManifestEntry(
            path: path, stat: FileStat(type: .directory), attributes: FileAttributes(), content: nil
        ).fault(after: possible)
    }

    @Test func whatIsSharedNeedsNoSecondLook() {
        let long = [UInt8](repeating: 97, count: FormatLimits.nameBytes)
        let names: [[UInt8]] = [
            [97], [46], [46, 46], [46, 97], [], [97, 0], [46, 46, 46], long, long + [97],
        ]
        var paths: [[UInt8]] = names
        for first in names {
            for second in names { paths.append(first + [47] + second) }
        }
        paths += paths.map { [98, 47] + $0 } + paths.map { $0 + [47, 98] }
        paths.append([UInt8](repeating: 97, count: FormatLimits.pathBytes + 1))
        let possible = paths.filter { Self.fault($0, after: []) == nil }
        #expect(possible.count > 40 && possible.count < paths.count)
        for path in paths {
            let expected = Self.fault(path, after: [])
            for before in possible {
                #expect(
                    Self.fault(path, after: before) == expected, "\(path.prefix(9)) after \(before.prefix(9))"
                )
            }
        }
    }
}
