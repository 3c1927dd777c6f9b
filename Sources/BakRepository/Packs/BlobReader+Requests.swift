// BlobReader+Requests: reads many blobs with few requests. Damage affects only the blob that it is in: if a range
// cannot be read as a whole, each of its blobs is read by itself.

import BakCore
import BakFormat

extension BlobReader {
    /// Reads a planned request and passes each of its items to `body`, with the blob's bytes, or with the error if the
    /// blob at that location is damaged. The bytes are valid until `body` returns. A blob that consecutive items share
    /// is decoded once.
    ///
    /// - Parameter blob: returns an item's blob and its location.
    /// - Throws: `StoreError`, and what `body` throws.
    @inlinable
    public func read<Item>(
        _ request: PackRequest<Item>, kind: ObjectKind,
        _ blob: (Item) -> (reference: BlobReference, location: BlobLocation),
        _ body: (Item, Result<UnsafeRawBufferPointer, CorruptionError>) throws -> Void
    ) throws {
        var whole: UnsafeRawBufferPointer?
        do {
            whole = try readRange(of: request.pack, request.range)
        } catch let error as CorruptionError {
            if request.items.count == 1 { return try body(request.items.first!, .failure(error)) }
        }
        var last: (reference: BlobReference, result: Result<UnsafeRawBufferPointer, CorruptionError>)?
        for item in request.items {
            let (reference, location) = blob(item)
            if last?.reference != reference {
                do {
                    let start = whole == nil ? Int(location.offset) : request.range.lowerBound
                    let bytes = try whole ?? readRange(of: request.pack, start..<location.endOffset)
                    let content = try decode(
                        reference, at: location, kind: kind, in: bytes, rangeOffset: start)
                    last = (reference, .success(content))
                } catch let error as CorruptionError {
                    last = (reference, .failure(error))
                }
            }
            try body(item, last!.result)
        }
    }

    /// Reads blobs in the order of their locations and passes each to `body`, with its bytes or with the
    /// `CorruptionError` or `MissingBlobError` that `read(_:kind:index:)` throws for it. The bytes are valid until
    /// `body` returns. If a blob's first copy is damaged, its other copies are tried.
    ///
    /// - Throws: `StoreError`, and what `body` throws.
    public func read(
        _ references: some Sequence<BlobReference>, kind: ObjectKind, index: BlobIndex,
        planner: RangePlanner? = nil,
        _ body: (BlobReference, Result<UnsafeRawBufferPointer, any Error>) throws -> Void
    ) throws {
        var found: [(reference: BlobReference, location: BlobLocation)] = []
        // The blobs that no request could read. They are read one by one after all requests, because reading one
        // overwrites the buffer of the current request.
        var others: [BlobReference] = []
        for reference in references {
            if let location = index.location(of: reference) {
                found.append((reference, location))
            } else {
                others.append(reference)
            }
        }
        found.sort {
            ($0.location.pack, $0.location.offset) < ($1.location.pack, $1.location.offset)
        }
        for request in (planner ?? self.planner).requests(for: found, { $0.location }) {
            try read(request, kind: kind, { $0 }) { item, result in
                switch result {
                case .success(let bytes): try body(item.reference, .success(bytes))
                case .failure: others.append(item.reference)
                }
            }
        }
        for reference in others {
            let result: Result<UnsafeRawBufferPointer, any Error>
            do {
                result = .success(try read(reference, kind: kind, index: index))
            } catch  where error is CorruptionError || error is MissingBlobError {
                result = .failure(error)
            }
            try body(reference, result)
        }
    }
}
