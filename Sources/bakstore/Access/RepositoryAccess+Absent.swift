// RepositoryAccess+Absent: what to say where there is no repository, by what is in its place and what was there before.

import BakFormat
import BakPosix
import BakRepository

extension RepositoryAccess {
    /// What a failure to open a store means; nil where nothing more is known than that it is not there.
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
                    "\(location): its file config is damaged or another program's, and the repository "
                    + "\(entry.id.prefix(8)) was here; \(needsConfig)")
        case .noRepository:
            if let failure = inTheWay(of: location) ?? lackingConfig(location) { return failure }
            // The default repository is made where there is none.
            return location.isDefault ? nil : context.absence(of: location) ?? unfit(location)
        default: return nil
        }
    }

    /// What is lost with the configuration.
    private static let needsConfig = "nothing can be read without that file, so put back a copy of it"

    /// Something that is no file in the place of the configuration.
    private static func inTheWay(of location: RepositoryLocation) -> CommandFailure? {
        let scheme = StoreSchemes.scheme(of: location.place)
        return scheme.obstruction(of: ObjectNames.config, at: location.place).map { found in
            CommandFailure(
                code: .noRepository,
                message: "there is no repository at \(location): \(found); put the real file back")
        }
    }

    /// A repository without its configuration.
    private static func lackingConfig(_ location: RepositoryLocation) -> CommandFailure? {
        guard let folder = location.folder,
            [ObjectNames.snapshots, "packs"].allSatisfy({ Machine.isFolder("\(folder)/\($0)") == true })
        else { return nil }
        return CommandFailure(
            code: .noRepository,
            message: "\(location): its file config is missing, and the rest of a repository is there; "
                + needsConfig)
    }

    /// A folder that holds something else, or a file, neither of which can become a repository.
    private static func unfit(_ location: RepositoryLocation) -> CommandFailure? {
        let reason: String
        if location.isOtherThanFolder {
            reason = "that is no folder"
        } else if StoreSchemes.scheme(of: location.place).canBegin(location.place) == false {
            reason = "the folder holds other things"
        } else {
            return nil
        }
        return CommandFailure(
            code: .noRepository,
            message:
                "there is no repository at \(location): \(reason); is the path right? A new one is made in a new "
                + "or empty folder, with: bakstore init --repo FOLDER")
    }
}
