// PlaceRule: which places a value may name, wherever it is written: on the command line, in the environment, in a
// profile.

/// The places that a value may name.
enum PlaceRule {
    /// A file or folder of this machine.
    case path
    /// A repository: a folder of this machine, or an address of one of `StoreSchemes`.
    case repository

    /// Says, for the middle of a message, why `text` names no such place and what to write instead; nil if it names
    /// one.
    func objection(to text: [UInt8]) -> String? {
        guard let (scheme, rest) = address(text) else { return PlaceName.objection(to: text) }
        return NameSlip.objection(to: text) ?? scheme.objection(toRest: rest)
    }

    /// The path or the address that `text` names. Call `objection` first.
    func meaning(of text: [UInt8]) -> [UInt8] { address(text) == nil ? PlaceName.path(text) : text }

    /// The parts of an address; nil if `text` is to be read as a path.
    func address(_ text: [UInt8]) -> (scheme: any StoreScheme, rest: String)? {
        guard self == .repository else { return nil }
        return String(validating: text, as: UTF8.self).flatMap(StoreSchemes.address)
    }
}
