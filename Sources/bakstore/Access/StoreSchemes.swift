// StoreSchemes: the kinds of places that a repository can lie in. The one place that knows which program text opens
// which store; a further kind is a further row.
//
// Always holds: `PlaceName` has refused the addresses of all other kinds before a location gets here, by name.

import BakFormat
import BakPosix
import BakStorage

/// A kind of place.
protocol StoreScheme: Sendable {
    /// What stands before the colon of its addresses.
    var name: String { get }
    /// Opens the store at a location. Throws `.notFound` when there is nothing.
    func open(_ location: String) throws(StoreError) -> any ObjectStore
    /// Makes a store at a location where there is nothing, or opens the one whose making was interrupted.
    func create(_ location: String, isShared: Bool) throws(StoreError) -> any ObjectStore
    /// Whether what is at a location can become a store; nil where there is nothing, or it cannot be told.
    func canBegin(_ location: String) -> Bool?
    /// What has the name of a store's object and is none, in words; nil where nothing is in the way.
    func obstruction(of key: ObjectKey, at location: String) -> String?
}

/// A folder of this machine, by its path or a `file:` address, which is a path by now.
struct FolderScheme: StoreScheme {
    let name = "file"

    func open(_ location: String) throws(StoreError) -> any ObjectStore { try LocalStore(path: location) }
    func create(_ location: String, isShared: Bool) throws(StoreError) -> any ObjectStore {
        try LocalStore.create(path: location, isShared: isShared)
    }
    func canBegin(_ location: String) -> Bool? { LocalStore.canBegin(inFolder: location) }
    func obstruction(of key: ObjectKey, at location: String) -> String? {
        (try? LocalStore(path: location))?.obstruction(of: key)
    }
}

/// The kinds of places that there are.
enum StoreSchemes {
    /// All of them; the first one is that of paths.
    private static let all: [any StoreScheme] = [FolderScheme()]

    /// The kind of place that a location names: that of its address, or a folder. A path may have a colon in it.
    static func scheme(of location: String) -> any StoreScheme {
        all.dropFirst().first { location.hasPrefix($0.name + ":") } ?? all[0]
    }

    /// Opens the store at a location.
    static func open(_ location: String) throws(StoreError) -> any ObjectStore {
        try scheme(of: location).open(location)
    }
}
