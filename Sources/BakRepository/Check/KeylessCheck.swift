// KeylessCheck: checks an encrypted repository without its key. It shows whether every object is as it was stored,
// because checksums cover the ciphertext. It cannot show whether all objects that snapshots need are there.

import BakCodec
import BakCore
import BakFormat
import BakStorage

/// The extent and the findings of a check without the key.
public struct KeylessReport: Sendable, Equatable {
    /// The number of objects other than packs.
    public var objects = 0
    /// The number of packs.
    public var packs = 0
    /// Their bytes.
    public var packBytes: UInt64 = 0
    /// The bytes of packs that were read and compared with their checksums.
    public var verifiedBytes: UInt64 = 0
    /// The number of objects that are damaged or in the wrong place.
    public var damagedObjects = 0
    /// True if the user ended the check early.
    public var wasInterrupted = false
}

/// Checks an encrypted repository without its key. For one thread.
public final class KeylessCheck {
    private let store: any ObjectStore
    private let readsData: Bool
    private let onEvent: (CheckEvent) -> Void
    private let stop: StopSignal
    private var method = SealMethod.none
    private var report = KeylessReport()
    private let buffer = ScratchBuffer()

    /// Prepares a check. With `readsData`, it reads every byte of packs.
    public init(
        _ store: any ObjectStore, readsData: Bool, onEvent: @escaping (CheckEvent) -> Void,
        stop: StopSignal = .never
    ) {
        self.store = store
        self.readsData = readsData
        self.onEvent = onEvent
        self.stop = stop
    }

    /// Checks the repository, which must be encrypted.
    ///
    /// - Throws: `StoreError` if the store cannot be listed or read, and the errors of `Repository.identity(of:)` if
    ///   the configuration cannot be used.
    public func run() throws -> KeylessReport {
        method = try Repository.identity(of: store).method
        precondition(method != .none)
        report.objects += 1
        let obstructions = try Obstructions(store)
        for found in obstructions.hindering + obstructions.others {
            try note(found)
        }
        // The spares are listed before the snapshots. A session puts its record before its spare. So if the second
        // listing lacks the record of a listed spare, the record is lost.
        let spares = try ids(in: ObjectNames.spares)
        let folders: [(String, Set<ObjectKind>)] = [
            (ObjectNames.keys, [.keySlot]), (ObjectNames.sessions, [.session]),
            (ObjectNames.spares, [.commitRecord]), (ObjectNames.snapshots, [.commitRecord, .tombstone]),
            (ObjectNames.index, [.indexSegment]),
            (ObjectNames.forgotten, [.forgetMarker]), (ObjectNames.vouched, [.vouch]),
            (ObjectNames.collections, [.collectionPlan, .collectionDecision]),
        ]
        if try ids(in: ObjectNames.keys).isEmpty {
            try note {
                throw CorruptionError(
                    object: ObjectNames.keys, offset: 0,
                    reason:
                        "it holds no key, so no password opens the repository. Put back a copy of this folder"
                )
            }
        }
        for (folder, kinds) in folders {
            onEvent(.step(folder))
            for info in try store.list(folder) where !stop.isRequested {
                guard let id = id(in: info.key) else { continue }
                report.objects += 1
                try note { try checkObject(info.key, kinds, id) }
            }
        }
        let known = try ids(in: ObjectNames.snapshots).union(ids(in: ObjectNames.forgotten))
        for id in spares.subtracting(known).sorted() {
            try note { throw Repository.missingRecord(id) }
        }
        onEvent(.step("packs"))
        var packs: [ObjectInfo] = []
        var inPlaceOfPacks: [Obstruction] = []
        try store.listPackFolders { objects, obstructions in
            packs += objects
            inPlaceOfPacks += obstructions.filter { ObjectNames.pack(in: $0.key) != nil }
        }
        for found in inPlaceOfPacks { try note(found) }
        let total = packs.total { UInt64($0.size) }
        for info in packs where !stop.isRequested {
            guard let id = ObjectNames.pack(in: info.key) else { continue }
            report.packs += 1
            report.packBytes.add(UInt64(info.size))
            try note { try checkPack(id, info, total) }
        }
        report.wasInterrupted = stop.isRequested
        return report
    }

    private func ids(in folder: String) throws -> Set<ID128> {
        Set(try store.list(folder).compactMap { ObjectNames.id(in: $0.key) })
    }

    private func note(_ found: Obstruction) throws {
        try note { throw CorruptionError(object: found.key.description, offset: 0, reason: "\(found)") }
    }

    private func note(_ check: () throws -> Void) throws {
        do {
            try check()
        } catch let error as CorruptionError {
            report.damagedObjects += 1
            onEvent(.damage(object: error.object, reason: "at byte \(error.offset): \(error.reason)"))
        }
    }

    /// Returns the id that an object's header must have according to the object's name; nil if the name is not one of
    /// the format.
    private func id(in key: ObjectKey) -> ID128? {
        if let round = ObjectNames.round(in: key) { return ID128(high: 0, low: round.number) }
        return ObjectNames.baseSegment(in: key)?.id ?? ObjectNames.givenUp(in: key) ?? ObjectNames.anyVouch(
            in: key)
            ?? ObjectNames.id(in: key)
    }

    private func checkObject(_ key: ObjectKey, _ kinds: Set<ObjectKind>, _ id: ID128) throws {
        let bytes = try store.readWhole(key, upTo: FormatLimits.indexBytes)
        let header = try bytes.withUnsafeBytes { bytes throws(CorruptionError) in
            try ObjectFrame.frame(bytes, object: key.description, expecting: kinds, id: id).header
        }
        guard header.seal == method else {
            throw CorruptionError(
                object: key.description, offset: 9, reason: "its seal does not match its repository")
        }
    }

    private func checkPack(_ id: ID128, _ info: ObjectInfo, _ total: UInt64) throws {
        let name = info.key.description
        guard info.size >= SealedPackLayout.minimumBytes, info.size <= FormatLimits.packBytes else {
            throw CorruptionError(object: name, offset: info.size, reason: "a pack of \(info.size) bytes")
        }
        let header = Array(try read(info.key, 0..<ObjectHeader.byteCount))
        let endBytes = SealedPackLayout.endBytes(packBytes: info.size)
        let tail = Array(try read(info.key, (info.size - endBytes)..<info.size))
        let end = try header.withUnsafeBytes { header in
            try tail.withUnsafeBytes { tail in
                try SealedPackEnd(header: header, end: tail, pack: name, packBytes: info.size, id: id)
            }
        }
        guard end.header.seal == method else {
            throw CorruptionError(object: name, offset: 9, reason: "its seal does not match its repository")
        }
        guard readsData else { return }
        for block in end.blocks(in: 0..<end.coveredBytes) where !stop.isRequested {
            let range = end.range(ofBlock: block)
            try end.verify(try read(info.key, range), block: block)
            report.verifiedBytes.add(UInt64(range.count))
            onEvent(.progress(doneBytes: report.verifiedBytes, totalBytes: total))
        }
    }

    private func read(_ key: ObjectKey, _ range: Range<Int>) throws -> UnsafeRawBufferPointer {
        let bytes = buffer.bytes(range.count)
        do {
            try store.read(key, at: range.lowerBound, into: bytes)
        } catch {
            if case .shortRead(let size) = error.kind {
                throw CorruptionError(object: key.description, offset: size, reason: "it ends here")
            }
            throw error.unreadable(key, at: range.lowerBound) ?? error
        }
        return UnsafeRawBufferPointer(bytes)
    }
}
