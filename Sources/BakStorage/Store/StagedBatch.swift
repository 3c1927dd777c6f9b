// StagedBatch: objects that become visible together, with one owner.

/// Objects on their way to a store: written as they come, durable and visible together at the end. A batch has one
/// owner, and shares nothing with other batches of its store: what fails in one is lost for no other.
public protocol StagedBatch: AnyObject, Sendable {
    /// Begins to store an object, from any thread. It is not visible before `publish`. `bytes` may be reused when the
    /// call returns. The name must be one that no other program stores something else under: a random one, or one under
    /// which any writer's object serves. Throws what the medium reports; the batch cannot be published then, except
    /// after a `.transient` failure: that call may be repeated.
    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError)

    /// Makes every staged object durable, then visible. No `stage` may run meanwhile. The batch is empty afterwards.
    /// Throws what the medium reports, and `.alreadyExists` when a name was taken: then none of the objects may be
    /// relied upon, and those not published are gone. After a `.transient` failure they are still there, and the call
    /// may be repeated.
    func publish() throws(StoreError)

    /// Gives up what was staged and not published. Letting go of a batch does the same.
    func abandon()
}
