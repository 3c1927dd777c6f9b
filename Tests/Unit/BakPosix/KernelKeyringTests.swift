// Secrets in the kernel's keyring: found by name, replaced, removed, and gone when their time is over.

import CLinux
import Foundation
import Testing

@testable import BakPosix

@Suite(
    .enabled(
        if: linux_key_find(KEY_SPEC_USER_KEYRING, "bakstore-test") >= 0 || errno == ENOKEY,
        "skipped: this kernel or container has no keyrings"))
struct KernelKeyringTests {
    private let name = "bakstore-test:\(UUID().uuidString)"

    private func put(_ byte: UInt8, seconds: UInt32 = 60) throws {
        let bytes = [UInt8](repeating: byte, count: 32)
        try bytes.withUnsafeBytes { try KernelKeyring.put(name, $0, seconds: seconds) }
    }

    private func read(count: Int = 32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return bytes.withUnsafeMutableBytes { KernelKeyring.read(name, into: $0) } ? bytes : nil
    }

    @Test func secretsAreReplacedAndRemoved() throws {
        #expect(read() == nil)
        #expect(try !KernelKeyring.remove(name))
        for byte in [1, 2] as [UInt8] {
            try put(byte)
            #expect(read() == [UInt8](repeating: byte, count: 32))
        }
        #expect(read(count: 31) == nil && read(count: 33) == nil)
        #expect(try KernelKeyring.remove(name))
        #expect(read() == nil)
        #expect(try !KernelKeyring.remove(name))
        // A name that was removed is free at once.
        try put(3)
        #expect(read()?.first == 3)
        #expect(try KernelKeyring.remove(name))
    }

    @Test func theTimeIsLimited() throws {
        try put(1, seconds: 1)
        for _ in 0..<100 where read() != nil { usleep(100_000) }
        #expect(read() == nil)
        #expect(try !KernelKeyring.remove(name))
        try put(2)
        #expect(read()?.first == 2)
        #expect(try KernelKeyring.remove(name))
    }

    /// The first byte holds the permissions of a possessor, and the second those of the user. A scheduled job may not
    /// possess the key, and needs the second.
    @Test func onlyThisUserMayRead() throws {
        try put(1)
        defer { _ = try? KernelKeyring.remove(name) }
        let keys = try String(contentsOfFile: "/proc/keys", encoding: .utf8)
        let line = try #require(keys.split(separator: "\n").first { $0.contains(name) })
        #expect(line.contains(" 1b0b0000 "))
    }

    @Test(arguments: [
        (ENOSYS, "no keyrings"), (EPERM, "containers"), (EDQUOT, "no more room"), (EIO, "keyring: "),
    ])
    func reasonsAreTold(code: Int32, words: String) {
        #expect(KeyringError(Errno(code: code)).description.contains(words))
    }
}
