// StoreImage: the objects in a store at one moment, as a value that is cheap to copy and to compare. A `Universe` gives
// each key and each content a number, so a store of forty objects is forty pairs of numbers and one hash.

import BakCodec
import BakStorage

/// Numbers for every key, folder, content and listing that a simulation meets. For one thread at a time.
final class Universe {
    /// A number for a key.
    typealias Key = Int32
    /// A number for an object's bytes.
    typealias Content = Int32

    private(set) var keys: [ObjectKey] = []
    private(set) var keyHashes: [UInt64] = []
    /// The number of each key's folder.
    private(set) var folderOfKey: [Int32] = []
    private(set) var folders: [String] = []
    /// The keys of each folder.
    private(set) var keysOfFolder: [NumberSet] = []
    private(set) var contents: [[UInt8]] = []
    private var contentHashes: [UInt64] = []
    private(set) var listings: [[StoreImage.Object]] = []
    private var keyNumbers: [String: Key] = [:]
    /// True if every put first writes a temporary.
    var hasTemporaries = false
    private var folderNumbers: [String: Int32] = [:]
    private var contentNumbers: [[UInt8]: Content] = [:]
    private var listingNumbers: [[StoreImage.Object]: Int32] = [:]

    func key(_ key: ObjectKey) -> Key {
        if let number = keyNumbers[key.description] { return number }
        let text = key.description
        let number = Key(keys.count)
        precondition(keys.count < NumberSet.limit)
        keyNumbers[text] = number
        keys.append(key)
        keyHashes.append(Self.hash(Array(text.utf8)))
        folderOfKey.append(folder(text.lastIndex(of: "/").map { String(text[..<$0]) } ?? ""))
        keysOfFolder[Int(folderOfKey[Int(number)])].insert(number)
        return number
    }

    func folder(_ name: String) -> Int32 {
        if let number = folderNumbers[name] { return number }
        folderNumbers[name] = Int32(folders.count)
        folders.append(name)
        keysOfFolder.append(NumberSet())
        return Int32(folders.count - 1)
    }

    func content(_ bytes: [UInt8]) -> Content {
        if let number = contentNumbers[bytes] { return number }
        contentNumbers[bytes] = Content(contents.count)
        contents.append(bytes)
        contentHashes.append(Self.hash(bytes))
        return Content(contents.count - 1)
    }

    func listing(_ objects: [StoreImage.Object]) -> Int32 {
        if let number = listingNumbers[objects] { return number }
        listingNumbers[objects] = Int32(listings.count)
        listings.append(objects)
        return Int32(listings.count - 1)
    }

    func hash(_ object: StoreImage.Object) -> UInt64 {
        Self.mix(keyHashes[Int(object.key)], contentHashes[Int(object.content)])
    }

    private static func hash(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes(Checksum.xxh3_64) }

    /// Mixes two numbers with the finalizer of SplitMix64.
    static func mix(_ first: UInt64, _ second: UInt64) -> UInt64 {
        var mixed = first &+ second &* 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

/// A store's objects at one moment.
struct StoreImage {
    struct Object: Hashable {
        var key: Universe.Key
        var content: Universe.Content
    }

    /// The objects, sorted by the numbers of their keys.
    private(set) var objects = ContiguousArray<Object>()
    /// The keys of the objects.
    private(set) var keys = NumberSet()
    /// A hash of the objects. It does not depend on the order in which they were put.
    private(set) var hash: UInt64 = 0

    /// Returns the index of a key in `objects`, or the index at which it belongs.
    private func place(_ key: Universe.Key) -> Int {
        var low = 0
        var high = objects.count
        while low < high {
            let middle = (low + high) / 2
            if objects[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    subscript(key: Universe.Key) -> Universe.Content? {
        let place = place(key)
        return place < objects.count && objects[place].key == key ? objects[place].content : nil
    }

    func contains(_ key: Universe.Key) -> Bool { keys.contains(key) }

    /// Adds an object. Returns false if its key is taken.
    mutating func insert(_ object: Object, _ universe: Universe) -> Bool {
        if contains(object.key) { return false }
        let place = place(object.key)
        objects.insert(object, at: place)
        keys.insert(object.key)
        hash ^= universe.hash(object)
        return true
    }

    mutating func remove(_ key: Universe.Key, _ universe: Universe) {
        guard contains(key) else { return }
        let place = place(key)
        keys.remove(key)
        hash ^= universe.hash(objects.remove(at: place))
    }

    /// Returns the objects of a folder, sorted by name.
    func list(_ folder: Int32, _ universe: Universe) -> [Object] {
        objects.filter { universe.folderOfKey[Int($0.key)] == folder }
            .sorted { universe.keys[Int($0.key)] < universe.keys[Int($1.key)] }
    }
}

/// A call on the shared store. It is atomic.
enum StoreOperation: Hashable {
    case put(StoreImage.Object)
    /// Makes one staged object visible.
    case publish(StoreImage.Object)
    /// Turns an object's temporary into the object.
    case name(StoreImage.Object, Temporary)
    case size(Universe.Key)
    case read(Universe.Key, offset: Int, count: Int)
    case list(folder: Int32)
    /// Lists at most `count` objects of a folder in order, beginning after a key.
    case listPage(folder: Int32, after: Universe.Key?, count: Int)
    case delete(Universe.Key)

    var isMutation: Bool {
        switch self {
        case .put, .publish, .name, .delete: true
        case .size, .read, .list, .listPage: false
        }
    }

    func description(_ universe: Universe) -> String {
        let name = universe.name
        switch self {
        case .put(let object): return "put \(name(object.key))"
        case .publish(let object): return "publish \(name(object.key))"
        case .name(let object, let temporary):
            return "name \(name(temporary.key)) as \(name(object.key))"
        case .size(let key): return "size \(name(key))"
        case .read(let key, let offset, let count): return "read \(name(key)) \(offset)+\(count)"
        case .list(let folder): return "list \(universe.folders[Int(folder)])"
        case .listPage(let folder, let after, let count):
            return "list \(universe.folders[Int(folder)]) \(count) after \(after.map(name) ?? "none")"
        case .delete(let key): return "delete \(name(key))"
        }
    }
}

extension Universe {
    /// Returns a short name of a key, for reports.
    func name(_ key: Key) -> String {
        keys[Int(key)].description.split(separator: "/").map { part in
            part.split(separator: "-").map { $0.prefix(12) }.joined(separator: "-")
        }.joined(separator: "/")
    }
}

/// What the store replies.
enum StoreReply: Hashable {
    case done
    case taken
    case missing
    case size(Int)
    case short(Int)
    case bytes(Universe.Content, offset: Int, count: Int)
    case listing(Int32)
    case failed(StoreFailure)

    func description(_ universe: Universe) -> String {
        switch self {
        case .listing(let number):
            "[\(universe.listings[Int(number)].map { universe.name($0.key) }.joined(separator: " "))]"
        case .bytes(_, _, let count): "\(count) bytes"
        default: "\(self)"
        }
    }
}

/// Why a call failed. The store may or may not have carried it out.
enum StoreFailure: Hashable {
    /// The request or its reply was lost on the way.
    case lost
    /// The calling process has been killed.
    case dead
    /// A sweep took the temporary of a session that may still commit.
    case robbed
}

extension StoreImage {
    /// Carries out an operation.
    mutating func apply(_ operation: StoreOperation, _ universe: Universe) -> StoreReply {
        switch operation {
        case .put(let object), .publish(let object):
            return insert(object, universe) ? .done : .taken
        case .name(let object, let temporary):
            guard contains(temporary.key) else {
                return temporary.owner.map(mayCommit) ?? false ? .failed(.robbed) : .missing
            }
            remove(temporary.key, universe)
            return insert(object, universe) ? .done : .taken
        case .size(let key):
            return self[key].map { .size(universe.contents[Int($0)].count) } ?? .missing
        case .read(let key, let offset, let count):
            guard let content = self[key] else { return .missing }
            let size = universe.contents[Int(content)].count
            return offset >= 0 && offset + count <= size
                ? .bytes(content, offset: offset, count: count) : .short(size)
        case .list(let folder):
            return .listing(universe.listing(list(folder, universe)))
        case .listPage(let folder, let after, let count):
            let rest = list(folder, universe).filter { object in
                after.map { universe.keys[Int($0)] < universe.keys[Int(object.key)] } ?? true
            }
            return .listing(universe.listing(Array(rest.prefix(count))))
        case .delete(let key):
            remove(key, universe)
            return .done
        }
    }
}
