// What has an object's name and is no regular file. It is no object: listings leave it out and readers find nothing.
// But nothing can get its name either, so whoever wants to store something there is told what is in the way.

import BakCore
import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// What has an object's name in its folder and is none; nil when nothing has it, or an object.
    static func obstruction(of key: ObjectKey, in folder: Descriptor) -> Obstruction? {
        guard let status = try? linkStatus(at: folder.number, lastComponent(of: key)),
            status.format != S_IFREG
        else { return nil }
        return Obstruction(key: key, what: noun(of: status))
    }

    /// What has an object's name and is no file, in words; nil if nothing else has it.
    public func obstruction(of key: ObjectKey) -> String? { obstruction(at: key.description, of: S_IFREG) }

    /// What has the name of a folder of the store and is none, in words; nil if nothing else has it.
    func obstruction(at path: String, of format: mode_t = S_IFDIR) -> String? {
        guard let folder = try? openFolder(Self.parent(of: path), linux_O_PATH.flag),
            let status = try? linkStatus(at: folder.number, Self.lastComponent(of: path)),
            status.format != format
        else { return nil }
        let place = format == S_IFDIR ? "folder" : "file"
        return "\(path) is \(Self.noun(of: status)) in the place of a \(place)"
    }

    /// What something is, as "a folder".
    static func noun(of status: stat) -> String {
        switch status.format {
        case S_IFREG: "a file"
        case S_IFDIR: "a folder"
        case S_IFLNK: "a symbolic link"
        case S_IFIFO: "a named pipe"
        case S_IFSOCK: "a socket"
        default: "a device"
        }
    }
}
