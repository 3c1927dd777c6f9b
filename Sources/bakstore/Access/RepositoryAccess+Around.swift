// RepositoryAccess+Around: keeps other things out of the folders of repositories, of this one and of any other.

import BakFormat
import BakPosix
import BakRepository

extension RepositoryAccess {
    /// Whether a folder is that of a repository, of which nothing but its configuration need be whole.
    @Sendable static func isRepository(_ folder: String) -> Bool {
        // Most folders are looked at no further.
        guard Machine.isThere(Array("\(folder)/\(ObjectNames.config)".utf8)),
            let store = try? StoreSchemes.open(.folder(folder))
        else { return false }
        return (try? Repository.identity(of: store)) != nil
    }

    /// Throws if what is to be made at `path` would be a repository's folder or lie in one: what is in that belongs to
    /// it.
    static func expectNone(around path: String) throws {
        var next = Machine.realPath(Machine.nearestFolder(path))
        while let place = next {
            if isRepository(place) {
                let isItself = place == Machine.realPath(path)
                throw CommandFailure(
                    code: .failed,
                    message:
                        "\(path) \(isItself ? "is a repository" : "lies in the repository \(place)"), all of whose "
                        + "folders are its own; name a folder outside of it")
            }
            next = Machine.folder(above: place)
        }
    }
}
