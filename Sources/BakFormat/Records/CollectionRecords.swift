// The two records of a collection, which is one round of a prune: `gc/<n>.plan` and `gc/<n>.decision`, where n is the
// round's number, from 1. Both have the frame of ObjectFrame. The id in the header is the round's number.
//
//   body of both
//    16  repository id
//     8  number
//        time, host, program: when and by whom, for people only
//   plan                                decision
//     4  number of condemned packs        4 4 4  numbers of deleted packs, base segments, superseded sessions
//   16 each  their ids                  16 each  their ids, in this order
//
// Each list increases strictly. To condemn a pack is to name it in a plan. A decision deletes only packs that the plan
// of the same round condemned.

import BakCore

/// The program that put a record, and when. It is for people only: no decision depends on it.
public struct RecordOrigin: Equatable, Sendable {
    /// When the record was put.
    public var time: Timestamp
    /// The machine that put the record.
    public var host: String
    /// The program and its version.
    public var program: String

    /// Makes an origin.
    public init(time: Timestamp, host: String, program: String) {
        self.time = time
        self.host = host
        self.program = program
    }

    func encode(to body: inout ByteWriter) {
        body.timestamp(time)
        body.text(host)
        body.text(program)
    }

    init(_ body: inout ByteReader) throws(CorruptionError) {
        time = try body.timestamp()
        host = try body.text(upTo: 1024, "the host")
        program = try body.text(upTo: 1024, "the program")
    }
}

/// Lists the packs that a collection means to delete. Sessions that begin later must not rely on them.
public struct CollectionPlan: Equatable, Sendable {
    /// The number of the round.
    public var number: UInt64
    /// The program that put the plan, and when.
    public var origin: RecordOrigin
    /// The packs, sorted by id.
    public var condemned: [ID128]

    /// Makes a plan. `condemned` may be in any order and must name each pack once.
    public init(number: UInt64, origin: RecordOrigin, condemned: [ID128]) {
        self.number = number
        self.origin = origin
        self.condemned = condemned.sorted()
    }

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        RoundRecord.encode(.collectionPlan, number, origin, context, [condemned])
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, number: UInt64, context: FrameContext
    ) throws(CorruptionError) {
        let (origin, lists) = try RoundRecord.decode(
            bytes, object, .collectionPlan, number, context, ["condemned packs"])
        (self.number, self.origin, condemned) = (number, origin, lists[0])
    }
}

/// Lists the packs that a collection deletes, and the index segments that are trusted from now on. Each round has at
/// most one decision.
public struct CollectionDecision: Equatable, Sendable {
    /// The number of the round.
    public var number: UInt64
    /// The program that put the decision, and when.
    public var origin: RecordOrigin
    /// The packs to delete, sorted by id.
    public var deleted: [ID128]
    /// The ids of the index segments that hold everything trusted so far, sorted.
    public var base: [ID128]
    /// The sessions whose own index segments the base replaces, sorted.
    public var superseded: [ID128]

    /// Makes a decision. Each list may be in any order and must name each id once.
    public init(
        number: UInt64, origin: RecordOrigin, deleted: [ID128], base: [ID128], superseded: [ID128]
    ) {
        self.number = number
        self.origin = origin
        self.deleted = deleted.sorted()
        self.base = base.sorted()
        self.superseded = superseded.sorted()
    }

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        RoundRecord.encode(
            .collectionDecision, number, origin, context, [deleted, base, superseded])
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, number: UInt64, context: FrameContext
    ) throws(CorruptionError) {
        let (origin, lists) = try RoundRecord.decode(
            bytes, object, .collectionDecision, number, context,
            ["deleted packs", "base segments", "superseded sessions"])
        (self.number, self.origin) = (number, origin)
        (deleted, base, superseded) = (lists[0], lists[1], lists[2])
    }
}

/// The common layout of both records: a round, its origin, the lengths of all lists, and then the lists of ids.
private enum RoundRecord {
    private static func id(_ number: UInt64) -> ID128 { ID128(high: 0, low: number) }

    static func encode(
        _ kind: ObjectKind, _ number: UInt64, _ origin: RecordOrigin, _ context: FrameContext,
        _ lists: [[ID128]]
    ) -> [UInt8] {
        var body = ByteWriter(
            reservingCapacity: 256 + lists.reduce(0) { $0 + $1.count } * ID128.byteCount)
        body.id(context.repository)
        body.integer(number)
        origin.encode(to: &body)
        for list in lists { body.integer(UInt32(list.count)) }
        for list in lists { for id in list { body.id(id) } }
        return ObjectFrame.encode(kind: kind, id: id(number), body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object. Errors call its lists by `names`.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, _ object: String, _ kind: ObjectKind, _ number: UInt64,
        _ context: FrameContext, _ names: [String]
    ) throws(CorruptionError) -> (RecordOrigin, [[ID128]]) {
        try ObjectFrame.decode(
            bytes, object: object, expecting: kind, id: id(number), sealer: context.sealer
        ) { _, body throws(CorruptionError) in
            try body.expectRepository(context.repository)
            try body.expectNumber(number)
            let origin = try RecordOrigin(&body)
            var counts: [Int] = []
            for _ in names { counts.append(Int(try body.integer(UInt32.self))) }
            try body.expectIDs(counts.reduce(0, +))
            var lists: [[ID128]] = []
            for (name, count) in zip(names, counts) { lists.append(try body.sortedIDs(count, name)) }
            try body.expectEnd()
            return (origin, lists)
        }
    }
}

extension ByteReader {
    fileprivate mutating func expectNumber(_ number: UInt64) throws(CorruptionError) {
        let start = self
        let found = try integer(UInt64.self)
        guard found == number else { throw start.corruption("it is of round \(found)") }
    }

    /// Throws unless exactly `count` ids are left.
    fileprivate func expectIDs(_ count: Int) throws(CorruptionError) {
        guard remaining == count * ID128.byteCount else {
            throw corruption("\(count) ids do not fill \(remaining) bytes")
        }
    }

    fileprivate mutating func sortedIDs(_ count: Int, _ what: String) throws(CorruptionError) -> [ID128] {
        var ids: [ID128] = []
        ids.reserveCapacity(count)
        for _ in 0..<count {
            let row = self
            let id = try id()
            guard ids.last.map({ $0 < id }) ?? true else { throw row.corruption("\(what) are not sorted") }
            ids.append(id)
        }
        return ids
    }
}
