// MachineDescription: the machine on which a result was measured. Without the machine, a figure means nothing.

import Glibc

/// The machine and the time of a run.
struct MachineDescription: Sendable {
    var date: String
    var processor: String
    var processorCount: Int
    var memoryBytes: Int
    var kernel: String
    /// The type of the file system that the benchmark writes to.
    var fileSystem: String
    /// The load average just before the run. A load of more than a few tenths distorts the results.
    var load: Double

    /// Describes this machine and the file system of `folder`.
    init(folder: String) {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 40)
        strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        date = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        processor = Self.field("model name", of: "/proc/cpuinfo") ?? "unknown processor"
        processorCount = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        memoryBytes = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        kernel = Self.lines("/proc/sys/kernel/osrelease").first ?? "unknown kernel"
        load = Self.lines("/proc/loadavg").first?.split(separator: " ").first.flatMap { Double($0) } ?? 0
        fileSystem = Self.fileSystem(of: (try? Files.realPath(folder)) ?? "/")
    }

    private static func lines(_ path: String) -> [String] {
        (Files.contents(path) ?? []).split(separator: UInt8(ascii: "\n")).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    private static func field(_ name: String, of path: String) -> String? {
        guard let line = lines(path).first(where: { $0.hasPrefix(name) }),
            let colon = line.firstIndex(of: ":")
        else { return nil }
        return String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
    }

    /// Returns the type of the deepest mount that contains the path.
    private static func fileSystem(of path: String) -> String {
        let mounts = lines("/proc/mounts").map { $0.split(separator: " ") }.filter { $0.count > 2 }
        let holding = mounts.filter { mount in
            mount[1] == "/" || path == mount[1] || path.hasPrefix(mount[1] + "/")
        }
        return holding.max { $0[1].count < $1[1].count }.map { String($0[2]) } ?? "unknown"
    }

    /// The bytes of memory that neither programs nor the page cache use.
    static var freeMemoryBytes: Int { kilobytes("MemFree:", of: "/proc/meminfo") }

    /// Waits until all files are written, and a second more. Returns how many processors were busy in that second.
    static func busyProcessors() -> Double {
        sync()
        let (ticks, start) = (busyTicks, Stopwatch.now())
        usleep(1_000_000)
        return Double(busyTicks - ticks) / Double(sysconf(Int32(_SC_CLK_TCK))) / (Stopwatch.now() - start)
    }

    /// How many clock ticks the processors have worked since the machine's start.
    private static var busyTicks: Int {
        let words = lines("/proc/stat").first?.split(separator: " ").compactMap { Int($0) } ?? []
        // The fourth and the fifth are of an idle processor.
        return words.enumerated().reduce(0) { $0 + ($1.offset == 3 || $1.offset == 4 ? 0 : $1.element) }
    }

    /// Returns a size from /proc/PROCESS/status, such as `VmHWM` or `RssAnon`, in bytes.
    static func memoryBytes(_ name: String, of process: String = "self") -> Int {
        kilobytes(name + ":", of: "/proc/\(process)/status")
    }

    /// Returns a field of a file in bytes. The file gives it in KiB. Returns 0 if the file lacks the field.
    private static func kilobytes(_ name: String, of path: String) -> Int {
        guard let text = field(name, of: path) else { return 0 }
        return (text.split(separator: " ").first.flatMap { Int($0) } ?? 0) << 10
    }

    var text: String {
        """
        \(date); \(processor), \(processorCount) cores, \(memoryBytes >> 30) GiB; Linux \(kernel), \(fileSystem); \
        load \(fixed(load, 2)) at the start
        """
    }

    var json: JSONValue {
        [
            "date": .string(date), "processor": .string(processor), "processors": .integer(processorCount),
            "memory_bytes": .integer(memoryBytes), "kernel": .string(kernel),
            "file_system": .string(fileSystem), "load": .number(load),
        ]
    }
}
