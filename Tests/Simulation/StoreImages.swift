// StoreImages: all stores that a search reaches. Each is kept once and known by its number.

/// All stores that a search has reached.
struct StoreImages {
    typealias Number = Int32

    private var all = ContiguousArray<StoreImage>()
    private var numbers: [UInt64: Number] = [:]

    subscript(number: Number) -> StoreImage {
        _read { yield all[Int(number)] }
    }

    /// Returns the keys of the objects in a store.
    func keys(_ number: Number) -> NumberSet { all[Int(number)].keys }

    /// Returns the number of a store, and whether the store is new.
    mutating func number(of image: StoreImage) -> (number: Number, isNew: Bool) {
        if let number = numbers[image.hash] { return (number, false) }
        let number = Number(all.count)
        all.append(image)
        numbers[image.hash] = number
        return (number, true)
    }
}
