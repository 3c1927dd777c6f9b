// ObjectKey: the names of objects, and the rows of a listing.

/// The name of an object: lower-case components joined by '/', such as `packs/ab/ab01…`.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The key as text.
    public let description: String

    /// Makes a key. It must have one to four components of `[a-z0-9._-]`, none of which begins with a dot.
    public init(_ text: String) {
        precondition(Self.isValid(text), "not an object key: \(text)")
        description = text
    }

    /// True if `text` can be a key. A listing leaves out all other names.
    public static func isValid(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var (components, start) = (1, 0)
            for (place, byte) in bytes.enumerated() {
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    break
                case UInt8(ascii: "."):
                    if place == start { return false }
                case UInt8(ascii: "/"):
                    guard (1...200).contains(place - start) else { return false }
                    (components, start) = (components + 1, place + 1)
                default: return false
                }
            }
            return (1...200).contains(bytes.count - start) && components <= 4
        }
    }

    /// Orders keys by their bytes.
    public static func < (left: ObjectKey, right: ObjectKey) -> Bool { left.description < right.description }
}

/// An object as a listing shows it.
public struct ObjectInfo: Hashable, Sendable {
    /// The object's name.
    public var key: ObjectKey
    /// Its size in bytes.
    public var size: Int

    /// Makes a listing's row.
    public init(key: ObjectKey, size: Int) {
        self.key = key
        self.size = size
    }
}

/// Something that is not an object but has the name of one, such as a folder or a symbolic link. The store never
/// follows, reads or removes it. The object counts as missing, and cannot be stored until the obstruction is gone.
public struct Obstruction: Hashable, Sendable, CustomStringConvertible {
    /// The obstruction's name, which is that of an object.
    public var key: ObjectKey
    /// What was found there, such as "a folder".
    public var what: String
    /// True if it is a folder. Objects may lie in it.
    public var isFolder: Bool

    /// Makes a row of a listing.
    public init(key: ObjectKey, what: String, isFolder: Bool = false) {
        (self.key, self.what, self.isFolder) = (key, what, isFolder)
    }

    /// The problem and what to do about it, without the name.
    public var description: String { "\(what) is in its place. Move it away" }
}
