// StoreImages: the stores that a search comes to, each kept once and known by its number.

/// All stores that there are.
struct StoreImages {
    typealias Number = Int32

    private var all = ContiguousArray<StoreImage>()
    private var numbers: [UInt64: Number] = [:]

    subscript(number: Number) -> StoreImage {
        _read { yield all[Int(number)] }
    }

    /// The keys of what a store holds.
    func keys(_ number: Number) -> NumberSet { all[Int(number)].keys }

    /// The number of a store, and whether it has not been there before.
    mutating func number(of image: StoreImage) -> (number: Number, isNew: Bool) {
        if let number = numbers[image.hash] { return (number, false) }
        let number = Number(all.count)
        all.append(image)
        numbers[image.hash] = number
        return (number, true)
    }
}
