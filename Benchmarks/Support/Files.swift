// Files: the calls on files and folders that benchmarks need. Any failure stops the benchmark and reports the path and
// the system's error, because a measurement of half a library is worthless.

import Glibc

/// A failed call on a file.
struct FileFailure: Error, CustomStringConvertible {
    var description: String

    init(_ operation: String, _ path: String) {
        description = "cannot \(operation) \(path): \(String(cString: strerror(errno)))"
    }
}

enum Files {
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes a folder, and the folders above it if they are missing.
    static func makeFolder(_ path: String) throws {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw FileFailure("make the folder", path)
        }
        try makeFolder(String(path[..<slash]))
        try makeFolder(path)
    }

    /// Writes a file with a modification time in seconds since the epoch. Replaces an existing file as applications do:
    /// writes the content under another name first, and then renames that file.
    static func write(_ path: String, _ bytes: [UInt8], modified: Int) throws {
        let name = exists(path) ? path + ".new" : path
        try write(name, bytes)
        var times = [timespec(tv_sec: modified, tv_nsec: 0), timespec(tv_sec: modified, tv_nsec: 0)]
        guard utimensat(AT_FDCWD, name, &times, 0) == 0 else { throw FileFailure("set the time of", name) }
        if name != path { try rename(name, to: path) }
    }

    static func write(_ path: String, _ bytes: [UInt8]) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw FileFailure("create", path) }
        defer { close(file) }
        try bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(file, bytes.baseAddress! + done, bytes.count - done)
                guard count > 0 else { throw FileFailure("write", path) }
                done += count
            }
        }
    }

    static func rename(_ path: String, to newPath: String) throws {
        guard Glibc.rename(path, newPath) == 0 else { throw FileFailure("rename", path) }
    }

    /// Removes a folder and waits until the file system has freed its room. What is measured next is not slowed down.
    static func removeForGood(_ folder: String) {
        _ = try? Command("rm", "-rf", folder).run(log: "/dev/null")
        let parent = folder.lastIndex(of: "/").map { String(folder[..<$0]) } ?? "."
        _ = try? Command("sync", "-f", parent).run(log: "/dev/null")
    }

    static func remove(_ path: String) throws {
        guard unlink(path) == 0 else { throw FileFailure("remove", path) }
    }

    /// Returns the whole content of a file; nil if it cannot be read.
    static func contents(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "rb") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    /// Returns the size of all files beneath a folder.
    static func totalBytes(beneath folder: String) -> Int {
        guard let directory = opendir(folder) else { return 0 }
        defer { closedir(directory) }
        var total = 0
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            let path = folder + "/" + name
            var status = stat()
            guard lstat(path, &status) == 0 else { continue }
            total += status.st_mode & S_IFMT == S_IFDIR ? totalBytes(beneath: path) : Int(status.st_size)
        }
        return total
    }

    /// Returns the paths of the files beneath a folder.
    static func paths(beneath folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            let path = folder + "/" + name
            if entry.pointee.d_type == DT_DIR { found += paths(beneath: path) } else { found.append(path) }
        }
        return found
    }

    /// Returns the free space in the file system of `path`, in bytes.
    static func freeBytes(_ path: String) -> Int {
        var status = statvfs()
        return statvfs(path, &status) == 0 ? Int(status.f_bavail) * Int(status.f_frsize) : 0
    }

    /// Returns the path of an existing item with all symbolic links resolved.
    static func realPath(_ path: String) throws -> String {
        guard let real = realpath(path, nil) else { throw FileFailure("find", path) }
        defer { free(real) }
        return String(cString: real)
    }
}
