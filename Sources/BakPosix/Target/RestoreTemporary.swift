// RestoreTemporary: the names that a restore gives to incomplete files, and the decision which of them are abandoned.
//
// A name is `prefix` and 32 hexadecimal digits: machine (20 bits), boot (16), process namespace (12), process (22),
// process start time (26), and a count (32). All but the count identify the owner, the process that made the file.
//
// A temporary is abandoned if its owner has ended. If the owner ran on this boot of this machine and in the same
// process namespace, the system knows whether it still runs. If it ran on another boot of this machine, it has ended,
// unless the folder is shared: there, another machine may have the same digits. In all other cases the temporary is
// abandoned if it was not changed for a day. The clock that gives the folder's files their times measures that day,
// because this machine's clock may be days ahead.
//
// Always holds: a temporary of a restore that runs on this machine, in this process namespace, is never called
// abandoned. A file with any other name is never touched.

import BakCore
import CLinux
import Glibc
import Synchronization

/// The process that a temporary belongs to.
struct TemporaryOwner: Equatable {
    var machine: UInt64
    var boot: UInt64
    var namespace: UInt64
    var process: UInt64
    var start: UInt64

    /// This process.
    static let current = TemporaryOwner(
        machine: tag(of: identity(), bits: 20),
        boot: tag(of: file("/proc/sys/kernel/random/boot_id"), bits: 16),
        namespace: tag(of: link("/proc/self/ns/pid"), bits: 12), process: UInt64(getpid()) & 0x3f_ffff,
        start: (startTime(of: "self") ?? 0) & 0x3ff_ffff)

    /// True if the owner still runs, or if a running process may be the owner. Nil if this process cannot know.
    ///
    /// - Parameter isShared: true if several machines may have the folder open.
    func mayRun(isShared: Bool, from here: TemporaryOwner = .current) -> Bool? {
        guard machine == here.machine else { return nil }
        // No process survives a reboot. But in a shared folder the owner may have run on another machine with the same
        // tag. A boot of 0 is unknown.
        guard boot == here.boot else { return isShared || boot == 0 || here.boot == 0 ? nil : false }
        guard namespace == here.namespace else { return nil }
        if kill(pid_t(process), 0) != 0, errno == ESRCH { return false }
        guard start != 0, let found = Self.startTime(of: String(process)) else { return true }
        return found & 0x3ff_ffff == start
    }

    /// When a process started, in ticks since the boot; nil if the system does not say.
    private static func startTime(of process: String) -> UInt64? {
        let text = file("/proc/\(process)/stat")
        // The name in parentheses may contain anything. After it come 19 fields, then the start time.
        guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[(end + 1)...].split(separator: UInt8(ascii: " "))
        return fields.count > 19 ? UInt64(String(decoding: fields[19], as: UTF8.self)) : nil
    }

    private static func identity() -> [UInt8] {
        let id = file("/etc/machine-id")
        return id.isEmpty ? Array(Machine.hostName.utf8) : id
    }

    private static func file(_ path: String) -> [UInt8] {
        (try? SmallFile.read(path: path, limit: 4096)) ?? []
    }

    private static func link(_ path: String) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: 256)
        let count = readlink(path, &target, target.count)
        return Array(target.prefix(max(0, count)))
    }

    /// Returns the first `bits` bits of the FNV-1a hash; 0 only for no bytes.
    private static func tag(of bytes: [UInt8], bits: UInt64) -> UInt64 {
        if bytes.isEmpty { return 0 }
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return max(1, hash >> (64 - bits))
    }
}

enum RestoreTemporary {
    /// The beginning of every name.
    static let prefix = Array(".bakstore-restore-".utf8)

    /// How long a temporary of an unknown owner must be untouched before it is abandoned, by the medium's clock.
    private static let longestPauseSeconds: Int64 = 24 * 3600

    private static let lastCount = Atomic<UInt32>(0)
    private static let digits = Array("0123456789abcdef".utf8)

    /// A name of this process with count 0.
    private static let ownName = name(of: .current, count: 0)

    /// Returns a fresh name of this process. Each file needs one, so the call is quick: it changes only the digits of
    /// the count in `ownName`.
    static func name() -> [UInt8] {
        let count = lastCount.wrappingAdd(1, ordering: .relaxed).newValue
        var name = ownName
        let last = name.count - 1
        for place in 0..<8 { name[last - place] = digits[Int(count >> UInt32(4 * place) & 15)] }
        return name
    }

    /// Returns a fresh name for a temporary of `owner`.
    static func name(of owner: TemporaryOwner) -> [UInt8] {
        name(of: owner, count: lastCount.wrappingAdd(1, ordering: .relaxed).newValue)
    }

    private static func name(of owner: TemporaryOwner, count: UInt32) -> [UInt8] {
        let high = owner.machine << 44 | owner.boot << 28 | owner.namespace << 16 | owner.process >> 6
        let low = (owner.process & 0x3f) << 58 | owner.start << 32 | UInt64(count)
        var name = prefix
        name.reserveCapacity(prefix.count + 32)
        for half in [high, low] {
            for shift in stride(from: UInt64(60), through: 0, by: -4) {
                name.append(digits[Int(half >> shift & 15)])
            }
        }
        return name
    }

    /// The process that made a temporary of this name; nil if the name is not a temporary's.
    static func owner(of name: ArraySlice<UInt8>) -> TemporaryOwner? {
        guard name.starts(with: prefix),
            let id = ID128(String(decoding: name.dropFirst(prefix.count), as: UTF8.self))
        else { return nil }
        return TemporaryOwner(
            machine: id.high >> 44, boot: id.high >> 28 & 0xffff, namespace: id.high >> 16 & 0xfff,
            process: (id.high & 0xffff) << 6 | id.low >> 58, start: id.low >> 32 & 0x3ff_ffff)
    }

    /// Makes a new file with a fresh name in `folder` for writing.
    static func create(in folder: Int32) throws(Errno) -> (name: [UInt8], file: Descriptor) {
        while true {
            let name = name()
            do throws(Errno) {
                let file = try withCPath(name) { name throws(Errno) in
                    try Descriptor.open(
                        at: folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
                }
                return (name, file)
            } catch {
                guard error.code == EEXIST else { throw error }
            }
        }
    }

    /// Makes an unnamed file in `folder`. It vanishes with its descriptor unless it gets a name.
    static func openUnnamed(in folder: Int32, mode: mode_t) throws(Errno) -> Descriptor {
        try Descriptor.open(at: folder, ".", O_WRONLY | linux_O_TMPFILE.flag, mode: mode)
    }

    /// Gives an unnamed file its name. Throws EEXIST if the name is taken.
    static func giveName(
        _ file: Descriptor, in folder: Int32, _ name: UnsafePointer<CChar>
    ) throws(Errno) {
        try system { linkat(file.number, "", folder, name, linux_AT_EMPTY_PATH.flag) }
    }

    /// Makes an empty file in `folder` by naming an unnamed one. Fails if the file system has no unnamed files. Before
    /// Linux 6.10 it also fails for a process without the right to search every folder.
    static func createUnnamedFirst(in folder: Int32) throws(Errno) -> [UInt8] {
        let file = try openUnnamed(in: folder, mode: 0o600)
        let name = name()
        try withCPath(name) { name throws(Errno) in try giveName(file, in: folder, name) }
        return name
    }

    /// Lists an open folder. Passes the names of abandoned temporaries to `abandoned` and the names of all other items
    /// to `visit`. Leaves out temporaries whose owner may still run, and folders with a temporary's name.
    ///
    /// - Parameter mayWrite: true if the call may make a file in the folder to learn the medium's time. If false, no
    ///   temporary of an unknown owner counts as abandoned.
    static func list(
        _ folder: Int32, isShared: Bool, mayWrite: Bool, _ visit: (ArraySlice<UInt8>) -> Void,
        abandoned: (ArraySlice<UInt8>) -> Void
    ) throws(Errno) {
        let listing = try FolderListing(folder)
        var time: Int64?
        func mediumTime() -> Int64? {
            if time == nil, mayWrite { time = try? mediumSeconds(folder) }
            return time
        }
        for index in 0..<listing.count {
            let name = listing.name(index)
            guard let owner = owner(of: name) else {
                visit(name)
                continue
            }
            let status = listing.withName(index) { path in try? linkStatus(at: folder, path) }
            guard let status, status.format != S_IFDIR else { continue }
            let isRunning = owner.mayRun(isShared: isShared) ?? !isOld(status, at: mediumTime())
            if !isRunning { abandoned(name) }
        }
    }

    /// True if a temporary of an unknown owner was not touched for a day. False if the time is not known.
    static func isOld(_ status: stat, at time: Int64?) -> Bool {
        guard let time else { return false }
        return Int64(max(status.st_mtim.tv_sec, status.st_ctim.tv_sec)) < time - longestPauseSeconds
    }

    /// Returns the time by the clock that gives the folder's files their times.
    private static func mediumSeconds(_ folder: Int32) throws(Errno) -> Int64 {
        let (name, file) = try create(in: folder)
        defer { _ = withCPath(name) { unlinkat(folder, $0, 0) } }
        return Int64(try file.status().st_mtim.tv_sec)
    }
}
