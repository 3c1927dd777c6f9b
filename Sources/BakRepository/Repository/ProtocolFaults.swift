// ProtocolFaults: faults that a test plants in an actor of the store protocol: a writer, which stores a session, or a
// collection, which does the work of a prune. A collection condemns packs in a plan and later deletes the packs that
// its decision names. It may end a session with a tombstone, which takes the name of the session's commit record. A
// spare is a second copy of a commit record. With each fault the actor leaves out a step or takes it in another order.
// The simulation must then find lost data, which shows that the step is needed.

/// The faults of one actor of the protocol. Outside of tests there are none.
struct ProtocolFaults: Sendable {
    /// A writer reads the index before it registers its session.
    var readBeforeRegister = false
    /// A writer looks for condemned packs after it has read the index.
    var indexBeforeCollections = false
    /// A collection decides without waiting for the sessions that began before its plan.
    var noWait = false
    /// A writer's commit record replaces a tombstone.
    var plainPutCommit = false
    /// A writer relies on condemned packs.
    var ignoreCondemned = false
    /// A writer whose session a collection ended commits its packs in a new session, although they are condemned by
    /// now.
    var nameCondemned = false
    /// A collection deletes by its own choice instead of by the recorded decision.
    var noDecisionRecord = false
    /// A collection deletes before it records its decision.
    var deleteBeforeDecision = false
    /// A session that failed while it committed is closed without a tombstone.
    var closeWithoutTombstone = false
    /// A forgotten snapshot is committed again without a check that its content is still there.
    var takeBackUnchecked = false
    /// A snapshot that is committed again may rely on content that is condemned.
    var keepsCondemned = false
    /// Commit records have no spares.
    var withoutSpares = false
    /// A collection does not notice that a commit record is missing if only the newest decision shows that its session
    /// committed.
    var overlooksMissing = false
    /// Receives the milestones that an actor reaches.
    var milestones = Milestones()
}
