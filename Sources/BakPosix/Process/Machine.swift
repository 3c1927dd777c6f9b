// Machine: facts about this machine, its user and this process.

import BakCore
import CLinux
import Glibc

/// This machine and process.
public enum Machine {
    /// An environment variable's bytes; nil if it is not set.
    public static func variable(_ name: String) -> [UInt8]? {
        getenv(name).map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
    }

    /// The arguments of the process as bytes, the program's name first. A path need not be valid text.
    public static var arguments: [[UInt8]] {
        (0..<Int(CommandLine.argc)).map { index in
            CommandLine.unsafeArgv[index].map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
                ?? []
        }
    }

    /// Makes the program end with a reason when Swift's allocator or a library aborts or traps for lack of memory.
    /// Other aborts stay as they are. SIGSEGV is handled, too, because Swift's allocator causes one when it has no
    /// memory for its own message.
    public static func explainAborts() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let sample = mmap(nil, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            if sample == MAP_FAILED {
                let text: StaticString =
                    "bakstore: there is not enough memory here. Close other programs, or raise the limit\n"
                Memory.end(saying: .init(start: text.utf8Start, count: text.utf8CodeUnitCount))
            }
            signal(number, SIG_DFL)
            raise(number)
        }
        for number in [SIGABRT, SIGILL, SIGTRAP, SIGSEGV] { sigaction(number, &action, nil) }
    }

    /// The machine's name in its network.
    public static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// True if the process acts for root.
    public static var isRoot: Bool { geteuid() == 0 }

    /// The name of the user that the process acts for, or the number if there is no name.
    public static var userName: String {
        let name = AccountNames().user(geteuid())
        return name.isEmpty ? String(geteuid()) : String(decoding: name, as: UTF8.self)
    }

    /// How far the local time zone is ahead of UTC at a moment, in seconds; 0 if the system cannot represent the year.
    public static func utcOffsetSeconds(at time: Timestamp) -> Int {
        var seconds = time_t(time.seconds)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return 0 }
        return Int(parts.tm_gmtoff)
    }

    /// The number of processors that this process may use, at least 1.
    public static var processorCount: Int {
        // One bit for each of 8,192 processors. The call returns how many bytes it filled, or fails.
        var set = [UInt8](repeating: 0, count: 1024)
        guard sched_getaffinity(0, set.count, &set) >= 0 else { return 1 }
        return max(set.reduce(0) { $0 + $1.nonzeroBitCount }, 1)
    }

    /// True if two existing paths lie on one device; nil if one of them cannot be looked at.
    public static func areOnOneDevice(_ one: [UInt8], _ other: [UInt8]) -> Bool? {
        guard let first = status(one), let second = status(other) else { return nil }
        return first.device == second.device
    }

    /// This machine's network addresses, as text.
    static let networkAddresses: Set<String> = {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var addresses: Set<String> = []
        for interface in sequence(first: first, next: { $0?.pointee.ifa_next }) {
            guard let address = interface?.pointee.ifa_addr else { continue }
            let isLong = address.pointee.sa_family == AF_INET6
            guard isLong || address.pointee.sa_family == AF_INET else { continue }
            let size = isLong ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            guard
                getnameinfo(
                    address, socklen_t(size), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
            else { continue }
            addresses.insert(text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
        }
        return addresses
    }()

    /// True if something exists at the path, even a link that leads nowhere.
    public static func isThere(_ path: [UInt8]) -> Bool {
        guard !path.contains(0) else { return false }
        return (try? withCPath(path) { path throws(Errno) in try linkStatus(at: AT_FDCWD, path) }) != nil
    }

    /// The names in a folder; nil if it does not exist or cannot be listed.
    public static func names(inFolder path: String) -> [[UInt8]]? {
        guard let folder = try? Descriptor.open(path, O_RDONLY | O_DIRECTORY),
            let listing = try? FolderListing(folder.number)
        else { return nil }
        defer { withExtendedLifetime(folder) {} }
        return (0..<listing.count).map { Array(listing.name($0)) }
    }

    /// The folder at `path`, or its nearest existing parent.
    public static func nearestFolder(_ path: String) -> String {
        var path = path
        while isFolder(path) != true {
            guard let slash = path.lastIndex(of: "/") else { return "." }
            if slash == path.startIndex { return "/" }
            path = String(path[..<slash])
        }
        return path
    }

    /// The folder that contains an absolute path; nil for `/`.
    public static func folder(above path: String) -> String? {
        guard path != "/", let slash = path.lastIndex(of: "/") else { return nil }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The mount point of an existing path's file system; nil if the path cannot be looked at.
    public static func mountPoint(of path: String) -> String? {
        guard var place = realPath(path) else { return nil }
        while let above = folder(above: place) {
            guard areOnOneDevice(Array(place.utf8), Array(above.utf8)) == true else { return place }
            place = above
        }
        return place
    }

    /// True if a path leads to a folder; nil if nothing is there or it cannot be looked at.
    public static func isFolder(_ path: String) -> Bool? {
        var status = Glibc.stat()
        if stat(path, &status) == 0 { return status.format == S_IFDIR }
        return errno == ENOTDIR ? false : nil
    }

    /// The status of the file that a path leads to; nil if there is none or it cannot be looked at.
    public static func status(_ path: [UInt8]) -> FileStat? {
        guard !path.contains(0) else { return nil }
        var status = Glibc.stat()
        return withCPath(path) { stat($0, &status) } == 0 ? FileStat(status) : nil
    }

    /// The absolute path of an existing file or folder, without symbolic links; nil if there is none.
    public static func realPath(_ path: [UInt8]) -> [UInt8]? {
        guard !path.contains(0), let real = withCPath(path, { realpath($0, nil) }) else { return nil }
        defer { free(real) }
        return Array(UnsafeRawBufferPointer(start: real, count: strlen(real)))
    }

    /// The absolute path without symbolic links, as text. Nil if there is none, or if it is not valid text: replacing
    /// invalid bytes would give a different path.
    public static func realPath(_ path: String) -> String? {
        realPath(Array(path.utf8)).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// The absolute form of a path as it is written: it keeps links and resolves `.` and `..`. A relative path starts
    /// at `folder`, or else at the working folder.
    public static func absolutePath(_ path: [UInt8], from folder: [UInt8]? = nil) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        var parts: [ArraySlice<UInt8>] = []
        let start = path.first == slash ? [] : (folder ?? realPath([UInt8(ascii: ".")]) ?? []) + [slash]
        for part in (start + path).split(separator: slash) where !part.elementsEqual(".".utf8) {
            if part.elementsEqual("..".utf8) { _ = parts.popLast() } else { parts.append(part) }
        }
        return [slash] + parts.joined(separator: [slash])
    }

    /// The absolute form of a path, as text, for messages and to tell places apart. It is not exact if the working
    /// folder's path is not valid text.
    public static func absolutePath(_ path: String, from folder: String? = nil) -> String {
        String(
            decoding: absolutePath(Array(path.utf8), from: folder.map { Array($0.utf8) }), as: UTF8.self)
    }

    /// Keeps this process's memory out of core dumps and away from other programs of the same user, because it holds a
    /// key.
    public static func forbidCoreDumps() {
        _ = linux_forbid_dumps()
        var none = rlimit()
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    }

    /// The number of files that this process may have open at once.
    static var openFileLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// Makes sure that owners can use new files and folders, whatever the process's umask is.
    public static func keepOwnersRights() {
        let mask = umask(0o077)
        umask(mask & 0o077)
    }

    /// Raises the limit of open files to the highest that the system allows. Returns the new limit.
    @discardableResult
    public static func raiseOpenFileLimit() -> Int {
        let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(openFiles, &limit) == 0 else { return 1024 }
        limit.rlim_cur = limit.rlim_max
        setrlimit(openFiles, &limit)
        getrlimit(openFiles, &limit)
        return Int(clamping: limit.rlim_cur)
    }
}
