// RepositoryAccess+Around: keeps a command from writing other files into the folder of any repository.

import BakFormat
import BakPosix
import BakRepository

extension RepositoryAccess {
    /// True if the folder is that of a repository. For this, only the repository's configuration needs to be undamaged.
    @Sendable static func isRepository(_ folder: String) -> Bool {
        // This cheap check rules out most folders.
        guard Machine.isThere(Array("\(folder)/\(ObjectNames.config)".utf8)),
            let store = try? StoreSchemes.open(.folder(folder))
        else { return false }
        return (try? Repository.identity(of: store)) != nil
    }

    /// Throws if `path` is a repository's folder or lies in one. A repository owns everything in its folder.
    static func expectNone(around path: String) throws {
        var next = Machine.realPath(Machine.nearestFolder(path))
        while let place = next {
            if isRepository(place) {
                let isItself = place == Machine.realPath(path)
                throw CommandFailure(
                    code: .failed,
                    message:
                        "\(path) \(isItself ? "is a repository" : "is inside the repository \(place)"). Name a "
                        + "folder outside of it")
            }
            next = Machine.folder(above: place)
        }
    }
}
