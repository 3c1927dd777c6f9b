// RepositoryAccess+Absent: explains why there is no repository at a place, from the files that are there and from what
// this machine remembers of the place.

import BakFormat
import BakPosix
import BakRepository

extension RepositoryAccess {
    /// Explains a failure to open a repository; nil if nothing more is known about it.
    static func failure(
        _ error: any Error, at location: RepositoryLocation, _ context: CommandContext
    ) -> (any Error)? {
        if let refusal = location.folder.flatMap(ForeignRepository.refusal) { return refusal }
        switch error as? RepositoryError {
        case .notBakstore:
            guard let entry = context.knownEntry(at: location) else { return nil }
            return CommandFailure(
                code: .damage,
                message:
                    "\(location): its file config is damaged or belongs to another program. The repository "
                    + "\(entry.id.prefix(8)) was here. \(needsConfig)")
        case .noRepository:
            if let failure = inTheWay(of: location) ?? lackingConfig(location) { return failure }
            // A missing default repository needs no further explanation, because the next backup makes it.
            return location.isDefault ? nil : context.absence(of: location) ?? unfit(location)
        default: return nil
        }
    }

    /// The end of a message about a missing configuration.
    private static let needsConfig = "Nothing can be read without that file. Put back a copy of it"

    /// The failure if something other than a file has the configuration's name.
    private static func inTheWay(of location: RepositoryLocation) -> CommandFailure? {
        let scheme = StoreSchemes.scheme(of: location.place)
        return scheme.obstruction(of: ObjectNames.config, at: location.place).map { found in
            CommandFailure(
                code: .noRepository,
                message: "there is no repository at \(location): \(found). Put the real file back")
        }
    }

    /// The failure if only the configuration is missing.
    private static func lackingConfig(_ location: RepositoryLocation) -> CommandFailure? {
        guard let folder = location.folder,
            [ObjectNames.snapshots, "packs"].allSatisfy({ Machine.isFolder("\(folder)/\($0)") == true })
        else { return nil }
        return CommandFailure(
            code: .noRepository,
            message: "\(location): its file config is missing, but the rest of a repository is there. "
                + needsConfig)
    }

    /// The failure if the place is a file, or a folder with other content. Neither can become a repository.
    private static func unfit(_ location: RepositoryLocation) -> CommandFailure? {
        let reason: String
        if location.isOtherThanFolder {
            reason = "that is not a folder"
        } else if StoreSchemes.scheme(of: location.place).canBegin(location.place) == false {
            reason = "the folder holds other files"
        } else {
            return nil
        }
        return CommandFailure(
            code: .noRepository,
            message:
                "there is no repository at \(location): \(reason). Is the path right? To make a new repository, name a new "
                + "or empty folder: bakstore init --repo FOLDER")
    }
}
