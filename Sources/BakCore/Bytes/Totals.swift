// Totals: sums of numbers that a store, a snapshot or a source reports. Each number is within its limits, but a sum may
// overflow: a sparse file claims eight exbibytes and occupies no space. A total that would overflow becomes the largest
// possible number. It never traps and never wraps around.

extension UInt64 {
    /// Adds to a total without overflow.
    @inlinable
    public mutating func add(_ other: UInt64) {
        let (sum, overflow) = addingReportingOverflow(other)
        self = overflow ? .max : sum
    }
}

extension Sequence {
    /// Returns the total of `number` over all elements.
    @inlinable
    public func total(_ number: (Element) -> UInt64) -> UInt64 {
        var total: UInt64 = 0
        for element in self { total.add(number(element)) }
        return total
    }
}
