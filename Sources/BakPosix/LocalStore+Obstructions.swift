// What has an object's name and is no regular file. It is no object: listings leave it out and readers find nothing. But
// nothing can get its name either, so whoever wants to store something there is told what is in the way.

import BakCore
import BakStorage
import Glibc

extension LocalStore {
    public func obstructions(in folder: String) throws(StoreError) -> [Obstruction] {
        do throws(Errno) {
            guard let descriptor = try openListed(folder) else { return [] }
            var listing = try FolderListing(descriptor.number)
            listing.sort()
            var found: [Obstruction] = []
            for index in 0..<listing.count {
                let text = folder + "/" + String(decoding: listing.name(index), as: UTF8.self)
                guard ObjectKey.isValid(text) else { continue }
                if let obstruction = Self.obstruction(of: ObjectKey(text), in: descriptor) {
                    found.append(obstruction)
                }
            }
            return found
        } catch {
            throw failure(error, "list", folder)
        }
    }

    /// What has an object's name in its folder and is none; nil when nothing has it, or an object.
    static func obstruction(of key: ObjectKey, in folder: Descriptor) -> Obstruction? {
        guard let status = try? linkStatus(at: folder.number, lastComponent(of: key)),
            status.format != S_IFREG
        else { return nil }
        let what =
            switch status.format {
            case S_IFDIR: "a folder"
            case S_IFLNK: "a symbolic link"
            case S_IFIFO: "a named pipe"
            case S_IFSOCK: "a socket"
            default: "a device"
            }
        return Obstruction(key: key, what: what)
    }
}
