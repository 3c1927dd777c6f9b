// Privileges: what of a stored entry would give whoever made it, or whoever runs it, more rights than a file has:
// set-id bits, capabilities and other security attributes, device files. Who fills a repository decides what is in it,
// so a restore takes these over only when it is told to.

import BakCore
import BakFormat
import BakStorage

extension RestoreRequest {
    /// Why an entry is left out as a whole; nil when it is not.
    func reasonToLeaveOut(_ entry: ManifestEntry) -> String? {
        let isDevice = entry.stat.type == .characterDevice || entry.stat.type == .blockDevice
        return isDevice && !isPrivileged ? "a device file left out; --privileged brings it back" : nil
    }
}

extension ManifestEntry {
    /// Takes its privileges away. Returns what it has lost by that. A set-group-id bit of a folder stays: it says whose
    /// new files are and runs nothing.
    mutating func withholdPrivileges() -> [MetadataNote] {
        var notes: [MetadataNote] = []
        if stat.type != .directory, stat.mode & 0o6000 != 0 {
            stat.mode &= ~0o6000
            notes.append(MetadataNote("set-id bit left out; --privileged brings it back"))
        }
        guard !attributes.extendedAttributes.isEmpty else { return notes }
        attributes.extendedAttributes.removeAll { attribute in
            guard attribute.isPrivileged else { return false }
            let name = String(decoding: attribute.name, as: UTF8.self)
            // Where labels are in use every file has one, and gets the one of its new place.
            let isLabel = name == "security.selinux" || name.hasPrefix("security.SMACK64")
            notes.append(MetadataNote("\(name) left out; --privileged brings it back", isExpected: isLabel))
            return true
        }
        return notes
    }
}
