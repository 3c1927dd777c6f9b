// RestorePass+Folders: enters the folders above a restore's entries, makes those that are missing, and learns which
// names are in them.
//
// Some targets treat two folders of the snapshot, such as `Photos` and `photos`, as one folder: a shared folder. Each
// entry that the restore puts there notes a *claim* to its name (TargetNames.swift), so that no entry replaces the item
// of another.

import BakCore
import BakStorage

extension RestorePass {
    /// The restore reads the manifest again for each folder that shares one folder of the target with the current one,
    /// to learn which entries have claims there. If there are more such folders than this, it does not read them. It
    /// then takes every item there for the item of another entry.
    private static let mostOthers = 16

    /// Makes the missing folders above an entry: those that are wanted only as ancestors, and those that the manifest
    /// lacks. If a folder cannot be made, reports this as the entry's failure and returns false.
    func enterFolders(above path: [UInt8]) throws -> Bool {
        names.move(to: path)
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return true }
        if names.currentPathBytes == slash { return true }
        for end in path.indices.dropFirst(names.currentPathBytes) where path[end] == UInt8(ascii: "/") {
            let folder = Array(path[..<end])
            if names.contains(folder) { continue }
            guard try enter(folder, for: path) else { return false }
        }
        return true
    }

    /// Makes a folder unless it exists, and learns which names are in it. On failure, reports this as the failure of
    /// the entry that needs the folder, and returns false.
    func enter(_ path: [UInt8], for entry: [UInt8]) throws -> Bool {
        if names.contains(path) { return true }
        guard !isClosed(path) else {
            fail(entry, "a repository is in its place. Restore it into another folder")
            return false
        }
        var entered: TargetNames.Folder?
        var others: [TargetNames.Claim]?
        try perItem(entry) { () throws(TargetError) in
            let isNew = try makeFolder(path)
            let number = names.current?.isNew == false ? number(of: path) : nil
            others = try claim(path, .directory, finding: isNew ? nil : .directory, number: number)
            entered = try folder(path, isNew: isNew)
        }
        guard var entered else { return false }
        if let others {
            sharedFolders.insert(path)
            fail(
                path, "\(meeting(others)). Its content goes into that folder and replaces nothing there"
            )
            try share(&entered, at: path, with: others)
        }
        names.enter(path, entered, with: others ?? [])
        return true
    }

    /// True if nothing may be put into a folder of the target.
    private func isClosed(_ path: [UInt8]) -> Bool {
        if closedFolders.contains(path) { return true }
        guard let existing, names.current?.isNew != true, existing.isClosed(path) else { return false }
        closedFolders.insert(path)
        return true
    }

    /// True if a path is at or beneath a folder that nothing may be put into.
    func isInClosedFolder(_ path: [UInt8]) -> Bool {
        !closedFolders.isEmpty && closedFolders.contains { PathOrder.isAtOrBeneath(path, $0) }
    }

    /// Makes a folder, or in a dry run checks whether it would be made. Returns false for an existing one.
    private func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool {
        if let target { return try target.makeFolder(path) }
        let found = try existing?.stat(path)
        if let found, found.type != .directory {
            throw TargetError(operation: "make the folder", message: "another item has this name there")
        }
        return found == nil
    }

    /// Returns device and inode of a folder of the target; nil if the path is not a folder or has no inode number.
    private func number(of path: [UInt8]) -> InodeKey? {
        guard let found = try? existing?.stat(path), found.type == .directory, found.inode != 0 else {
            return nil
        }
        return InodeKey(device: found.device, inode: found.inode)
    }

    /// Notes the claim of an entry to a path. If this restore put the item at that path there for other entries,
    /// returns the claims of those entries. Returns an empty array if it did so, but it is unknown for which. Returns
    /// nil if the item is not from this restore, or if there is no item.
    func claim(
        _ path: [UInt8], _ type: FileType, finding found: FileType?, number: InodeKey? = nil
    ) throws(TargetError) -> [TargetNames.Claim]? {
        guard let existing, let current = names.current else { return nil }
        if current.isNew { return found == nil ? nil : [] }
        let name = Array(path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...])
        return try names.claim(name, type, finding: found, number: number, existing)
    }

    /// Returns what is known of a folder. In a folder that existed before, leftovers of earlier restores are removed.
    func folder(_ path: [UInt8], isNew: Bool) throws(TargetError) -> TargetNames.Folder {
        guard !isNew, let existing else { return TargetNames.folder(holding: []) }
        var found: [[UInt8]] = []
        do throws(TargetError) {
            try existing.list(path, sweeping: target != nil) { found.append(Array($0)) }
        } catch {
            if error.isFatal { throw error }
            // The folder cannot be listed, but it may be writable.
            return TargetNames.Folder(isNew: false, isListed: false)
        }
        return TargetNames.folder(holding: found)
    }

    /// Adds the claims of the entries in other folders of the snapshot that share the target's folder at `path`. An
    /// item in that folder to which no entry has a claim is from an earlier restore, or belongs to the user.
    private func share(
        _ folder: inout TargetNames.Folder, at path: [UInt8], with others: [TargetNames.Claim]
    ) throws {
        folder.isNew = false
        folder.isForeign = others.isEmpty || others.count > Self.mostOthers
        for (home, other) in others.enumerated() where !folder.isForeign {
            let list = pathInSnapshot(names.path(of: other))
            guard let entries = try selection.entries(in: list, stop: stop) else {
                folder.isForeign = true
                break
            }
            for (name, type) in entries {
                let number = type == .directory ? number(of: PathOrder.join(path, name)) : nil
                folder.add(TargetNames.Claim(name, type, home: home), number: number)
            }
        }
    }

    /// Returns the message for a failure: the target treats an entry's name as that of another entry.
    func meeting(_ others: [TargetNames.Claim]) -> String {
        guard let other = others.first else {
            return
                "another item took its name meanwhile, or the target treats its name as that of another item"
        }
        let name = other.home == nil ? other.name : pathInSnapshot(names.path(of: other))
        return
            "the target treats its name as that of '\(String(decoding: name, as: UTF8.self))', which exists already"
    }
}
