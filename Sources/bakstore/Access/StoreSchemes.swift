// StoreSchemes: the kinds of places that a repository can lie in. A further kind is a type that conforms to
// `StoreScheme` and a row in `StoreSchemes.others`; nothing else has to know of it.
//
// Always holds: text becomes a `StoreLocation` here and nowhere else. Text is an address only if it begins with the
// name of a scheme listed here; all other text is a path, of which `PlaceName` refuses the addresses of other programs.

import BakFormat
import BakPosix
import BakStorage

/// A kind of place.
protocol StoreScheme: Sendable {
    /// The text before the colon of its addresses, in small letters.
    var name: String { get }
    /// Says why the rest of an address names no place of this kind, for the middle of a message; nil if it does.
    func objection(toRest rest: String) -> String?
    /// Opens the store at a location. Throws `.notFound` when there is nothing.
    func open(_ location: StoreLocation) throws(StoreError) -> any ObjectStore
    /// Makes a store at a location where there is nothing, or opens the one whose making was interrupted.
    func create(_ location: StoreLocation, isShared: Bool) throws(StoreError) -> any ObjectStore
    /// True if the place is empty and so can become a store; nil where there is nothing, or it cannot be told.
    func canBegin(_ location: StoreLocation) -> Bool?
    /// Describes what has the name of a store's object and is none; nil where nothing is in the way.
    func obstruction(of key: ObjectKey, at location: StoreLocation) -> String?
}

extension StoreScheme {
    /// Takes any address.
    func objection(toRest rest: String) -> String? { nil }
    /// Leaves it to the attempt.
    func canBegin(_ location: StoreLocation) -> Bool? { nil }
    /// Finds nothing: only objects can have names of objects.
    func obstruction(of key: ObjectKey, at location: StoreLocation) -> String? { nil }
}

/// A folder of this machine.
struct FolderScheme: StoreScheme {
    let name = "file"

    func open(_ location: StoreLocation) throws(StoreError) -> any ObjectStore {
        try LocalStore(path: location.description)
    }
    func create(_ location: StoreLocation, isShared: Bool) throws(StoreError) -> any ObjectStore {
        try LocalStore.create(path: location.description, isShared: isShared)
    }
    func canBegin(_ location: StoreLocation) -> Bool? {
        LocalStore.canBegin(inFolder: location.description)
    }
    func obstruction(of key: ObjectKey, at location: StoreLocation) -> String? {
        (try? LocalStore(path: location.description))?.obstruction(of: key)
    }
}

/// The kinds of places that there are.
enum StoreSchemes {
    /// Those whose locations are addresses.
    private static let others: [any StoreScheme] = []

    /// The kind of place that a location is.
    static func scheme(of location: StoreLocation) -> any StoreScheme {
        guard case .address(let name, _) = location, let scheme = others.first(where: { $0.name == name })
        else { return FolderScheme() }
        return scheme
    }

    /// Opens the store at a location.
    static func open(_ location: StoreLocation) throws(StoreError) -> any ObjectStore {
        try scheme(of: location).open(location)
    }

    /// The location that a user's text names; nil if it is not UTF-8. Ask `RepositoryName` for an objection first.
    static func location(_ text: [UInt8]) -> StoreLocation? {
        guard let text = String(validating: text, as: UTF8.self) else { return nil }
        guard let (scheme, rest) = address(text) else { return .folder(text) }
        return .address(scheme: scheme.name, rest: rest)
    }

    /// The parts of an address of one of the other kinds; nil if `text` is none.
    static func address(_ text: String) -> (scheme: any StoreScheme, rest: String)? {
        for scheme in others {
            let start = text.prefix(scheme.name.utf8.count + 1)
            if start.lowercased() == scheme.name + ":" {
                return (scheme, String(text.dropFirst(start.count)))
            }
        }
        return nil
    }
}
