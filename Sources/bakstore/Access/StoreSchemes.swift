// StoreSchemes: the kinds of places that a repository can lie in. A further kind is a type that conforms to
// `StoreScheme` and a row in `StoreSchemes.others`; nothing else has to know of it.
//
// Always holds: text becomes a `StoreLocation` here and nowhere else. Text is an address only if it begins with the
// name of a scheme listed here; all other text is a path. `PlaceName` refuses text that is an address for another
// program.

import BakFormat
import BakPosix
import BakStorage

/// A kind of place.
protocol StoreScheme: Sendable {
    /// The text before the colon of its addresses, in small letters.
    var name: String { get }
    /// Says, for the middle of a message, why the rest of an address names no place of this kind; nil if it names one.
    func objection(toRest rest: String) -> String?
    /// Opens the store at a location. Throws `.notFound` when there is nothing.
    func open(_ location: StoreLocation) throws(StoreError) -> any ObjectStore
    /// Makes a store at a location where there is nothing, or opens the one whose making was interrupted.
    func create(_ location: StoreLocation, isShared: Bool) throws(StoreError) -> any ObjectStore
    /// True if the place is empty and so can become a store. Nil if nothing is at the place, or if the scheme cannot
    /// tell.
    func canBegin(_ location: StoreLocation) -> Bool?
    /// Describes an item that has the name of an object but is not one, such as a folder; nil if there is no such item.
    func obstruction(of key: ObjectKey, at location: StoreLocation) -> String?
}

extension StoreScheme {
    /// Accepts any address.
    func objection(toRest rest: String) -> String? { nil }
    /// Returns nil: only the attempt to make a store will show it.
    func canBegin(_ location: StoreLocation) -> Bool? { nil }
    /// Returns nil, for stores in which only objects can have the names of objects.
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

/// All kinds of places.
enum StoreSchemes {
    /// The kinds whose locations are addresses.
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

    /// The location that a user's text names; nil if it is not UTF-8. Ask `PlaceRule.repository` for an objection
    /// first.
    static func location(_ text: [UInt8]) -> StoreLocation? {
        guard let text = String(validating: text, as: UTF8.self) else { return nil }
        guard let (scheme, rest) = address(text) else { return .folder(text) }
        return .address(scheme: scheme.name, rest: rest)
    }

    /// The parts of an address; nil if `text` does not begin with the name of one of the other schemes.
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
