// Privileges: the parts of a stored entry that could give extra rights to its author or to a user who runs it: set-id
// bits, capabilities and other security attributes, device files. Anyone who fills a repository decides what is in it,
// so a restore brings these parts back only on request.

import BakCore
import BakFormat
import BakStorage

extension RestoreRequest {
    /// Returns why an entry is left out completely; nil if it is not.
    func reasonToLeaveOut(_ entry: ManifestEntry) -> String? {
        let isDevice = entry.stat.type == .characterDevice || entry.stat.type == .blockDevice
        return isDevice && !isPrivileged
            ? "the device file was left out. To restore it, add --privileged" : nil
    }
}

extension ManifestEntry {
    /// Removes the entry's privileges, and returns notes on what it has lost. A folder's set-group-id bit stays: it
    /// only decides the group of new files.
    mutating func withholdPrivileges() -> [MetadataNote] {
        var notes: [MetadataNote] = []
        if stat.type != .directory, stat.mode & 0o6000 != 0 {
            stat.mode &= ~0o6000
            notes.append(MetadataNote("the set-id bit was left out. To restore it, add --privileged"))
        }
        guard !attributes.extendedAttributes.isEmpty else { return notes }
        attributes.extendedAttributes.removeAll { attribute in
            guard attribute.isPrivileged else { return false }
            let name = String(decoding: attribute.name, as: UTF8.self)
            // On a system with labels every file has one, and a restored file gets the label of its new place.
            let isLabel = name == "security.selinux" || name.hasPrefix("security.SMACK64")
            notes.append(
                MetadataNote("\(name) was left out. To restore it, add --privileged", isExpected: isLabel))
            return true
        }
        return notes
    }
}
