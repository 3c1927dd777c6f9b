// The heads of archives: the archives for which no other archive stands. Records alone decide. An archive stands for
// another if it has carried over all its entries.

import BakCore
import BakFormat
import BakRepository
import TestSupport
import Testing

@Suite struct ArchiveHeadTests {
    private let now = moment("2025-06-15 12:00")

    /// Returns snapshots from a text such as `a b<a c<a+b`: a letter, its parent, and the archives that it joined. A
    /// sign after the letter changes the snapshot: `?` makes it partial, `!` makes it no archive, `~` lacking, and `*`
    /// a repair's copy of its parent. `^` only adds the tag of a repair. Each snapshot is a day later than the one
    /// before.
    private func history(_ text: String) -> [CommitRecord] {
        func id(_ letter: Character) -> ID128 { ID128(high: 0, low: UInt64(letter.asciiValue!)) }
        return text.split(separator: " ").enumerated().map { number, word in
            let parts = word.split(separator: "<")
            let letter = parts[0].first!
            var record = snapshot(
                UInt64(letter.asciiValue!), Timestamp(seconds: now.seconds + Int64(number - 60) * 86400),
                isComplete: !parts[0].hasSuffix("?"))
            record.isArchive = !parts[0].hasSuffix("!")
            record.isLacking = parts[0].hasSuffix("~") || parts[0].hasSuffix("*")
            if parts[0].hasSuffix("*") || parts[0].hasSuffix("^") { record.tags = [RepairSnapshots.tag] }
            if parts.count > 1 {
                let names = parts[1].split(separator: "+", omittingEmptySubsequences: false)
                record.parent = names[0].first.map(id)
                record.joined = names.dropFirst().compactMap { $0.first.map(id) }.sorted()
            }
            return record
        }
    }

    @Test(arguments: [
        ("a", "a"), ("a b<a c<b", "c"), ("a b<a c<a", "bc"), ("a b<a c<a d<b+c", "d"),
        ("a b<a c<a d<a e<d+b", "ce"), ("a b<a c<a d<a e<d+b+c", "e"), ("a b c", "abc"),
        // Only complete archives carry entries over.
        ("a b!<a c<b", "ac"), ("a b!<a c<b+a", "c"), ("a b?<a c<b", "ac"), ("a b?<a c<b+a", "c"),
        ("a b!<a", "a"), ("a? b!", ""),
        // A lacking archive stands for nothing. Its successors stand for it.
        ("a b~<a", "ab"), ("a b~<a c<b", "ac"), ("a b~<a c<b+a", "c"), ("a b~<a c<b d<c", "ad"),
        // A repair's copy stands for its original, and the original stands for nothing any more.
        ("a b*<a", "b"), ("a b<a c*<b", "ac"), ("a b<a c*<b d<c", "ad"), ("a b<a c*<b d<c+a", "d"),
        ("a b<a c*<a d*<b", "cd"), ("a b^<a", "b"), ("a b<a c^<b", "c"),
        // A joined archive may have a later date.
        ("a b<a+c c", "b"),
        // Records that claim to stand for each other.
        ("a<b b<a", "a"), ("a<a", "a"), ("a<c b<a c<b d", "ad"), ("a b<c c<b+a", "b"), ("a<+b b<+a c<b", "c"),
    ]) func heads(_ text: String, _ expected: String) {
        let history = history(text)
        let order = SnapshotOrder(history, now: now)
        #expect(letters(order.heads(among: history).map(\.id)) == expected)
        var policy = RetentionPolicy()
        policy.counts[.last] = 1
        let retention = Retention(policy, now: now) { _ in 0 }
        let kept = Set(letters(retention.kept(of: history)))
        #expect(kept.isSuperset(of: expected))
        // The snapshots that retention keeps stand for all that it removes, because chains also go through forgotten
        // snapshots.
        let (left, gone) = (history.filter { kept.contains(letters([$0.id]).first!) }, history)
        let after = SnapshotOrder(left, through: gone.map(Ancestry.init), now: now)
        #expect(letters(after.heads(among: left).map(\.id)) == expected)
    }

    /// Thousands of branches and long chains must not take time that grows with the square of their number.
    @Test func manyHeadsAreFoundQuickly() {
        var history = (0..<20_000).map { number in
            var record = snapshot(UInt64(number), Timestamp(seconds: Int64(number)))
            (record.isArchive, record.parent) = (true, number > 5000 ? ID128(high: 0, low: 7) : nil)
            return record
        }
        history[19_999].joined = (8000..<19_999).map { ID128(high: 0, low: UInt64($0)) }
        let order = SnapshotOrder(history, now: now)
        #expect(order.heads(among: history).count == 5000 + 2999 + 1)
    }

    @Test func branchesStayForGoodUntilTheyAreJoined() {
        let history = history("a b<a c<a")
        let forecast = Retention(policy("last 1"), now: now) { _ in 0 }.forecast(history)
        #expect(
            forecast[history[1].id] == .forGood(.archive) && forecast[history[2].id] == .forGood(.archive))
        #expect(forecast[history[0].id]?.isForGood == false)
    }
}
