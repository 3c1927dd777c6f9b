// Two small objects: a tombstone ends a session for good, and a forget marker hides a snapshot. `snapshots/<session>`
// is a session's commit record or its tombstone: only the first put succeeds, so a session with a tombstone can never
// commit. `forget/<session>` says that the user no longer wants a snapshot.
//
//   tombstone body: repository id 16. A tombstone has exactly 96 bytes, 112 when sealed. A commit record has more
//   bytes, so a listing with sizes tells them apart. forget marker body: repository id 16 | time | host | program

import BakCore

/// Says that a session may never commit.
public struct Tombstone: Equatable, Sendable {
    /// The session.
    public var session: ID128

    /// The length of a tombstone in a plain repository. No commit record has this length.
    public static let objectBytes = ObjectFrame.overheadBytes + ID128.byteCount

    /// Returns the length of a tombstone in any repository.
    public static func objectBytes(_ context: FrameContext) -> Int {
        objectBytes + context.sealer.method.overhead
    }

    /// Makes a tombstone.
    public init(session: ID128) { self.session = session }

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        var body = ByteWriter()
        body.id(context.repository)
        return ObjectFrame.encode(kind: .tombstone, id: session, body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, session: ID128, context: FrameContext
    ) throws(CorruptionError) {
        self = try ObjectFrame.decode(
            bytes, object: object, expecting: .tombstone, id: session, sealer: context.sealer
        ) { _, body throws(CorruptionError) in
            try body.expectRepository(context.repository)
            try body.expectEnd()
            return Self(session: session)
        }
    }
}

/// Says that the user no longer wants a snapshot.
public struct ForgetMarker: Equatable, Sendable {
    /// The snapshot.
    public var snapshot: ID128
    /// The program that put the marker, and when.
    public var origin: RecordOrigin

    /// Makes a marker.
    public init(snapshot: ID128, origin: RecordOrigin) {
        self.snapshot = snapshot
        self.origin = origin
    }

    /// Returns the whole object.
    public func encode(_ context: FrameContext) -> [UInt8] {
        var body = ByteWriter()
        body.id(context.repository)
        origin.encode(to: &body)
        return ObjectFrame.encode(
            kind: .forgetMarker, id: snapshot, body: body.bytes, sealer: context.sealer)
    }

    /// Decodes and validates the whole object.
    ///
    /// - Throws: `CorruptionError` if the object is damaged, is not the one asked for, or needs a newer program.
    public init(
        decoding bytes: UnsafeRawBufferPointer, object: String, snapshot: ID128, context: FrameContext
    ) throws(CorruptionError) {
        self = try ObjectFrame.decode(
            bytes, object: object, expecting: .forgetMarker, id: snapshot, sealer: context.sealer
        ) { _, body throws(CorruptionError) in
            try body.expectRepository(context.repository)
            let marker = Self(snapshot: snapshot, origin: try RecordOrigin(&body))
            try body.expectEnd()
            return marker
        }
    }
}
