// Totals: sums of what a store, a snapshot or a source says of itself. Each number is within its limits, and still many
// of them may be too large together: a sparse file claims eight exbibytes and takes no room. A total stops at the
// largest number there is. It never traps, and never begins again at zero.

extension UInt64 {
    /// Adds to a total.
    @inlinable
    public mutating func add(_ other: UInt64) {
        let (sum, overflow) = addingReportingOverflow(other)
        self = overflow ? .max : sum
    }
}

extension Sequence {
    /// The total of a number of each element.
    @inlinable
    public func total(_ number: (Element) -> UInt64) -> UInt64 {
        var total: UInt64 = 0
        for element in self { total.add(number(element)) }
        return total
    }
}
