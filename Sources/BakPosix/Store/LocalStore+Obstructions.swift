// LocalStore+Obstructions: finds obstructions. An obstruction is anything that has an object's name and is not a
// regular file. Listings of objects leave obstructions out, and readers find no object there. But no object can be
// stored there either, so the error of a failed put names the obstruction.

import BakCore
import BakStorage
import CLinux
import Glibc

extension LocalStore {
    /// The obstruction under an object's name; nil if the name is free or an object has it.
    static func obstruction(of key: ObjectKey, in folder: Descriptor) -> Obstruction? {
        guard let status = try? linkStatus(at: folder.number, lastComponent(of: key)),
            status.format != S_IFREG
        else { return nil }
        return Obstruction(key: key, what: noun(of: status))
    }

    /// Describes the obstruction under an object's name; nil if there is none.
    public func obstruction(of key: ObjectKey) -> String? { obstruction(at: key.description, of: S_IFREG) }

    /// Describes the item at a path if it does not have the expected format; nil if it has, or if there is no item.
    func obstruction(at path: String, of format: mode_t = S_IFDIR) -> String? {
        guard let folder = try? openFolder(Self.parent(of: path), linux_O_PATH.flag),
            let status = try? linkStatus(at: folder.number, Self.lastComponent(of: path)),
            status.format != format
        else { return nil }
        let place = format == S_IFDIR ? "folder" : "file"
        return "\(path) is \(Self.noun(of: status)) in the place of a \(place)"
    }

    /// A noun for the kind of file, such as "a folder".
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
