// Obstructions: items that are not files under the name of an object. Readers do not find an object there, and writers
// do not overwrite it.

import BakCore
import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct InTheWayTests {
        let scratch = Scratch(inMemory: true)

        /// The kinds of obstructions.
        private static let kinds = [
            "a folder", "a full folder", "a link", "a link to a file", "a pipe", "a socket",
        ]

        private func put(_ kind: String, at path: String) {
            switch kind {
            case "a folder": scratch.folder(path)
            case "a full folder":
                scratch.folder(path)
                scratch.write(path + "/file")
            case "a link": symlink("/nowhere", scratch[path])
            case "a link to a file":
                scratch.write("outside", "outside")
                symlink(scratch["outside"], scratch[path])
            case "a pipe": mkfifo(scratch[path], 0o600)
            default: mknod(scratch[path], S_IFSOCK | 0o600, 0)
            }
        }

        private func expectObstructed(_ key: ObjectKey, _ what: String, _ call: () throws -> Void) {
            let error = #expect(throws: StoreError.self, "\(what)") { try call() }
            #expect(error?.kind == .obstructed && error?.object == key.description, "\(what)")
        }

        @Test(arguments: [Naming.rename, .link, .claim, .lock, .unguarded])
        func nothingIsStoredAndNothingIsRead(way: Naming) throws {
            for kind in Self.kinds {
                let what = "\(way), \(kind)"
                let store = try LocalStore.create(path: scratch["\(way) \(kind)"])
                switch way {
                case .claim: scratch.folder("\(way) \(kind)/claims")
                case .lock: scratch.folder("\(way) \(kind)/locks")
                case .unguarded: scratch.write("\(way) \(kind)/unguarded", "")
                case .rename, .link: store.monitor.locked { store.way = way }
                }
                scratch.folder("\(way) \(kind)/forget")
                let key = ObjectKey("forget/x")
                put(kind, at: "\(way) \(kind)/forget/x")
                let before = scratch.status("\(way) \(kind)/forget/x")?.st_ino
                expectObstructed(key, what) { _ = try withBytes("1") { try store.put(key, $0) } }
                expectObstructed(key, what) { _ = try withBytes("1") { try store.putUnsynced(key, $0) } }
                expectObstructed(key, what) { _ = try withBytes("1") { try store.putFromReserve(key, $0) } }
                expectObstructed(key, what) { try publish("1", as: key, in: store) }
                #expect(try store.list("forget").isEmpty, "\(what)")
                #expect(try store.listWithObstructions("forget").obstructions.map(\.key) == [key], "\(what)")
                var bytes = [UInt8](repeating: 0, count: 1)
                let read = #expect(throws: StoreError.self, "\(what)") {
                    try bytes.withUnsafeMutableBytes { try store.read(key, at: 0, into: $0) }
                }
                let size = #expect(throws: StoreError.self, "\(what)") { try store.size(of: key) }
                #expect(read?.kind == .notFound && size?.kind == .notFound, "\(what)")
                #expect(scratch.status("\(way) \(kind)/forget/x")?.st_ino == before, "\(what)")
                #expect(scratch.names("\(way) \(kind)/tmp").isEmpty, "\(what)")
                // An object beside an obstruction is not part of it.
                _ = try withBytes("1") { try store.put(ObjectKey("forget/y"), $0) }
                #expect(try store.listWithObstructions("forget").obstructions.map(\.key) == [key], "\(what)")
                #expect(try store.listWithObstructions("nowhere").obstructions.isEmpty, "\(what)")
            }
        }
    }
}
