// StagedBatch: objects that become visible together, with one owner.

/// Objects that are written one by one and become durable and visible together at the end. A batch has one owner and is
/// independent of other batches of its store: a failure in one does not affect the others.
public protocol StagedBatch: AnyObject, Sendable {
    /// Begins to store an object. Any thread may call it. The object is not visible before `publish`. `bytes` may be
    /// reused after the call returns. Use a random name, or one under which any writer's object is acceptable, because
    /// no other program may need the name for other bytes. Throws what the medium reports. After a `.transient` failure
    /// the call may be repeated; after any other, the batch cannot be published.
    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError)

    /// Makes every staged object durable, then visible. No thread may call `stage` meanwhile. The batch is empty
    /// afterwards. Throws what the medium reports, and `.alreadyExists` if a name was taken. After a failure the caller
    /// may rely on none of the objects, and those that were not published are gone. But after a `.transient` failure
    /// the objects are still staged, and the call may be repeated.
    func publish() throws(StoreError)

    /// Discards the objects that were staged and not published. The release of a batch does the same.
    func abandon()
}
