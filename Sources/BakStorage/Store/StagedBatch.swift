// StagedBatch: objects that become visible together, with one owner.

/// Objects that are written one by one and become durable and visible together at the end. A batch has one owner and is
/// independent of other batches of its store: a failure in one does not affect the others.
public protocol StagedBatch: AnyObject, Sendable {
    /// Begins to store an object. Any thread may call it. The object is not visible before `publish`. `bytes` may be
    /// reused after the call returns. No other program may store something else under the name: use a random name, or
    /// one under which any writer's object is acceptable. Throws what the medium reports. After a `.transient` failure
    /// the call may be repeated; after any other, the batch cannot be published.
    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError)

    /// Makes every staged object durable, then visible. No `stage` may run meanwhile. The batch is empty afterwards.
    /// Throws what the medium reports, and `.alreadyExists` if a name was taken. Then none of the objects may be relied
    /// upon, and those that were not published are gone. After a `.transient` failure they are still staged, and the
    /// call may be repeated.
    func publish() throws(StoreError)

    /// Discards the objects that were staged and not published. The release of a batch does the same.
    func abandon()
}
