// RestorePass+Folders: how a restore comes into the folders of its entries, and what it knows of the names in them.

import BakCore
import BakStorage

extension RestorePass {
    /// So many folders of other entries may be one with a folder before they are no longer told apart: their lists of
    /// files are read for each that comes.
    private static let mostOthers = 16

    /// Makes what is missing of the folders above an entry: those that are wanted only as ancestors, and those
    /// that the manifest lacks. False when one cannot be made, which is told of as the entry's failure.
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

    /// Makes a folder unless it is there, and learns what stands in it. False when that cannot be, which is told of as
    /// the failure of the entry that needs it.
    func enter(_ path: [UInt8], for entry: [UInt8]) throws -> Bool {
        if names.contains(path) { return true }
        guard !isClosed(path) else {
            fail(entry, "a repository lies there, whose folder is its own; restore it into another folder")
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
                path, "\(meeting(others)); what is in it goes there, too, and replaces nothing of the other's"
            )
            try share(&entered, at: path, with: others)
        }
        names.enter(path, entered, with: others ?? [])
        return true
    }

    /// Whether nothing may be put into a folder of the target.
    private func isClosed(_ path: [UInt8]) -> Bool {
        if closedFolders.contains(path) { return true }
        guard let existing, names.current?.isNew != true, existing.isClosed(path) else { return false }
        closedFolders.insert(path)
        return true
    }

    /// Whether a path is, or lies in, a folder that nothing may be put into.
    func isInClosedFolder(_ path: [UInt8]) -> Bool {
        !closedFolders.isEmpty && closedFolders.contains { PathOrder.isAtOrBeneath(path, $0) }
    }

    /// Makes a folder, or finds out whether it would be made. False for an existing one.
    private func makeFolder(_ path: [UInt8]) throws(TargetError) -> Bool {
        if let target { return try target.makeFolder(path) }
        let found = try existing?.stat(path)
        if let found, found.type != .directory {
            throw TargetError(operation: "make the folder", message: "something else has this name there")
        }
        return found == nil
    }

    /// The number of a folder of the target; nil for what is none, or has none.
    private func number(of path: [UInt8]) -> InodeKey? {
        guard let found = try? existing?.stat(path), found.type == .directory, found.inode != 0 else {
            return nil
        }
        return InodeKey(device: found.device, inode: found.inode)
    }

    /// Notes that an entry goes to a path. Returns the entries of this restore that stand there already, if any do.
    func claim(
        _ path: [UInt8], _ type: FileType, finding found: FileType?, number: InodeKey? = nil
    ) throws(TargetError) -> [TargetNames.Claim]? {
        guard let existing, let current = names.current else { return nil }
        if current.isNew { return found == nil ? nil : [] }
        let name = Array(path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...])
        return try names.claim(name, type, finding: found, number: number, existing)
    }

    /// What is known of a folder, whose own leftovers are swept when it was there before.
    func folder(_ path: [UInt8], isNew: Bool) throws(TargetError) -> TargetNames.Folder {
        guard !isNew, let existing else { return TargetNames.folder(holding: []) }
        var found: [[UInt8]] = []
        do throws(TargetError) {
            try existing.list(path, sweeping: target != nil) { found.append(Array($0)) }
        } catch {
            if error.isFatal { throw error }
            // It may be written to all the same.
            return TargetNames.Folder(isNew: false, isListed: false)
        }
        return TargetNames.folder(holding: found)
    }

    /// Learns which of the names in a folder belong to the folders of other entries that are one with it: what else
    /// stands there is its own, from a restore before, or the user's.
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

    /// Says that the target takes the name of an entry for that of another.
    func meeting(_ others: [TargetNames.Claim]) -> String {
        guard let other = others.first else {
            return "something came under its name meanwhile, or the target takes it for another's"
        }
        let name = other.home == nil ? other.name : pathInSnapshot(names.path(of: other))
        return
            "the target takes its name for that of '\(String(decoding: name, as: UTF8.self))', which is there already"
    }
}
