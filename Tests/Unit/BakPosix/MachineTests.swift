// Small parts: clocks, randomness, the time zone, signals, streams and facts about the machine.

import BakCore
import BakStorage
import Glibc
import Testing

@testable import BakPosix

extension PosixTests {
    @Suite struct MachineTests {
        let scratch = Scratch()

        @Test func clocksGoOn() {
            let time = SystemTime()
            #expect(time.now().seconds > 1_700_000_000 && time.now().nanoseconds < 1_000_000_000)
            let first = time.monotonicNanoseconds()
            #expect(time.monotonicNanoseconds() >= first)
        }

        @Test func randomBytesDiffer() {
            let ids = Set((0..<1000).map { _ in ID128(from: SystemRandom()) })
            #expect(ids.count == 1000)
            var large = [UInt8](repeating: 0, count: 1 << 20)
            large.withUnsafeMutableBytes { SystemRandom().fill($0) }
            #expect(large.suffix(64).contains { $0 != 0 })
        }

        @Test func theZoneIsTheSystems() {
            for seconds in [0, -1, -3_000_000_000, 1_768_435_200, 1_784_073_600, 5_000_000_000] as [time_t] {
                var (moment, parts) = (seconds, tm())
                localtime_r(&moment, &parts)
                let offset = Machine.utcOffsetSeconds(at: Timestamp(seconds: Int64(seconds)))
                #expect(timegm(&parts) == seconds + offset)
            }
            #expect(Machine.utcOffsetSeconds(at: Timestamp(seconds: .max)) == 0)
        }

        @Test(arguments: [
            "sleep 1000", "sleep 1000 & wait", "exec >&-; sleep 1000", "trap '' TERM; sleep 1000",
        ])
        func aPasswordCommandThatDoesNotEndIsEnded(_ command: String) throws {
            var buffer = [UInt8](repeating: 0, count: 16)
            let error = #expect(throws: SourceError.self) {
                _ = try buffer.withUnsafeMutableBytes { buffer throws(SourceError) in
                    try PasswordInput.run(command, into: buffer, isAlone: true, seconds: 0, stop: .never)
                }
            }
            #expect(error?.message == "it did not end within 0 seconds")
        }

        @Test func aPasswordFileThatNobodyWritesToIsGivenUp() throws {
            var buffer = [UInt8](repeating: 0, count: 16)
            func read(_ seconds: Int) throws -> [UInt8] {
                let count = try buffer.withUnsafeMutableBytes { buffer throws(SourceError) in
                    try PasswordInput.read(
                        path: scratch["fifo"], into: buffer, seconds: seconds, stop: .never)
                }
                return Array(buffer[..<count])
            }
            #expect(mkfifo(scratch["fifo"], 0o600) == 0)
            let silent = #expect(throws: SourceError.self) { try read(0) }
            #expect(silent?.message.hasPrefix("it did not end within 0 seconds") == true)
            // A program has the FIFO open for writing, but writes nothing, or does not close it.
            let writer = open(scratch["fifo"], O_RDWR)
            #expect(throws: SourceError.self) { try read(0) }
            #expect(write(writer, "word", 4) == 4)
            #expect(throws: SourceError.self) { try read(1) }
            close(writer)
            // The program waits for a writer that takes its time.
            let fifo = scratch["fifo"]
            _ = try buffer.withUnsafeMutableBytes { buffer throws(SourceError) in
                try PasswordInput.run(
                    "{ sleep 0.2; exec >\(fifo); sleep 0.2; printf wo; sleep 0.2; echo rd; } >/dev/null &",
                    into: buffer, isAlone: true, seconds: 60, stop: .never
                )
            }
            #expect(try read(60) == Array("word\n".utf8))
        }

        @Test func aPasswordCommandMayTakeItsTime() throws {
            var buffer = [UInt8](repeating: 0, count: 16)
            let count = try buffer.withUnsafeMutableBytes { buffer throws(SourceError) in
                try PasswordInput.run(
                    "sleep 0.2; echo word; sleep 0.2", into: buffer, isAlone: true, seconds: 60, stop: .never
                )
            }
            #expect(Array(buffer[..<count]) == Array("word\n".utf8))
        }

        /// A process in the background still has the pipe open.
        @Test(arguments: [false, true])
        func aPasswordCommandHasEndedWhenItsProcessHas(isAlone: Bool) throws {
            var buffer = [UInt8](repeating: 0, count: 16)
            let count = try buffer.withUnsafeMutableBytes { buffer throws(SourceError) in
                try PasswordInput.run(
                    "echo word; setsid sleep 30 & exit 0", into: buffer, isAlone: isAlone, seconds: 20,
                    stop: .never
                )
            }
            #expect(Array(buffer[..<count]) == Array("word\n".utf8))
            let error = #expect(throws: SourceError.self) {
                _ = try buffer.withUnsafeMutableBytes { buffer throws(SourceError) in
                    try PasswordInput.run(
                        "setsid sleep 30 & exit 5", into: buffer, isAlone: isAlone, seconds: 20, stop: .never
                    )
                }
            }
            #expect(error?.message == "it ended with code 5")
        }

        @Test func aSignalIsAFlag() {
            Interruption.install()
            #expect(!Interruption.isRequested)
            raise(SIGPIPE)
            raise(SIGXFSZ)
            // Send the signal to the process, because a test's thread may block signals.
            kill(getpid(), SIGTERM)
            for _ in 0..<1000 where !Interruption.isRequested { usleep(1000) }
            #expect(Interruption.isRequested)
            signal(SIGTERM, SIG_DFL)
            signal(SIGINT, SIG_DFL)
        }

        @Test func aClosedPipeIsAnErrorOfTheWrite() throws {
            signal(SIGPIPE, SIG_IGN)
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            close(ends[0])
            #expect(throws: Errno(code: EPIPE)) { try withBytes("x") { try writeAll(ends[1], $0) } }
            close(ends[1])
        }

        @Test func smallFilesAreReadUpToALimit() throws {
            scratch.write("f", "12345")
            #expect(try SmallFile.read(path: scratch["f"], limit: 5) == Array("12345".utf8))
            #expect(throws: SourceError.self) { try SmallFile.read(path: scratch["f"], limit: 4) }
            #expect(try SmallFile.readRegular(path: scratch["f"], limit: 5) == Array("12345".utf8))
            // A FIFO in the place of a regular file is refused, because a read would wait for a writer.
            try #require(mkfifo(scratch["pipe"], 0o600) == 0)
            #expect {
                try SmallFile.readRegular(path: scratch["pipe"], limit: 5)
            } throws: { ($0 as? SourceError)?.message == "it is not a regular file" }
            #expect { try SmallFile.read(path: scratch["none"], limit: 4) } throws: {
                ($0 as? SourceError)?.isNotFound == true
            }
        }

        @Test func factsAreFound() {
            #expect(Machine.variable("PATH") != nil && Machine.variable("BAKSTORE_NO_SUCH") == nil)
            #expect(!Machine.hostName.isEmpty && !Machine.userName.isEmpty)
            #expect(Machine.arguments.count == CommandLine.arguments.count)
            #expect((1...8192).contains(Machine.processorCount))
            #expect(Machine.areOnOneDevice(Array("/".utf8), Array("/proc".utf8)) == false)
            #expect(Machine.areOnOneDevice(Array("/".utf8), Array("/none".utf8)) == nil)
            #expect(Machine.realPath(scratch["."]) == Machine.realPath(scratch.path))
            #expect(Machine.raiseOpenFileLimit() >= 256)
        }
    }
}
