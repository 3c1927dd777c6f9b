// StagedBatch: objects that become visible together, with one owner.

/// Objects that are written one by one and become durable and visible together at the end. A batch has one owner and is
/// independent of other batches of its store: a failure in one does not affect the others.
public protocol StagedBatch: AnyObject, Sendable {
    /// Begins to store an object. Any thread may call it. The object is not visible before `publish`. `bytes` may be
    /// reused after the call returns. Use a random name, or a name under which any writer's object is acceptable: if
    /// another program publishes an object under the name first, this object cannot be published. Throws what the
    /// medium reports. After a `.transient` failure the call may be repeated; after any other, the batch cannot be
    /// published.
    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError)

    /// Makes every staged object durable, then visible. No thread may call `stage` meanwhile. The batch is empty
    /// afterwards. Throws what the medium reports, and `.alreadyExists` if a name was taken. After a `.transient`
    /// failure the objects are still staged, and the call may be repeated. After any other failure the caller may rely
    /// on none of the objects, and those that were not published are gone.
    func publish() throws(StoreError)

    /// Discards the objects that were staged and not published. The release of a batch does the same.
    func abandon()
}
