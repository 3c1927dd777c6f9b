// A folder store does what every store must do, whatever its way of giving names.

import BakStorage
import TestSupport
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct StoreConformanceTests {
        @Test(arguments: [Naming.rename, .link, .claim, .lock, .unguarded])
        func aFolderConforms(_ way: Naming) throws {
            var made: [NamingTests] = []
            let faults = try StoreConformance.faults {
                made.append(NamingTests())
                return try made[made.count - 1].store(way)
            }
            #expect(faults == [])
        }
    }
}
