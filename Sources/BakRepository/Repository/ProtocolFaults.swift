// ProtocolFaults: steps of the store protocol left out or put in another order. Only tests set any of them, to
// show that a step is needed: without it the simulation must find data lost.

/// What is wrong with an actor of the protocol; nothing, outside of tests.
struct ProtocolFaults: Sendable {
    /// A writer reads the index before its session is there for collections to see.
    var readBeforeRegister = false
    /// A writer looks for condemned packs after it has read the index.
    var indexBeforeCollections = false
    /// A collection decides without waiting for the sessions that began before its plan.
    var noWait = false
    /// A writer's commit record takes the place of a tombstone.
    var plainPutCommit = false
    /// A writer counts on condemned packs.
    var ignoreCondemned = false
    /// A writer that was revoked names its packs although they are condemned by now.
    var nameCondemned = false
    /// A collection deletes what it would have decided, not what was decided.
    var noDecisionRecord = false
    /// A collection deletes before its decision is there.
    var deleteBeforeDecision = false
    /// A session that failed while it committed is closed without a tombstone.
    var closeWithoutTombstone = false
    /// A forgotten snapshot is taken back without a look at what is left of it.
    var takeBackUnchecked = false
    /// What a snapshot that is committed again refers to counts as kept where it is only condemned.
    var keepsCondemned = false
    /// Commit records have no spares.
    var withoutSpares = false
    /// A collection does not miss a commit record that only the newest decision tells of.
    var overlooksMissing = false
    /// Told how far an actor is.
    var milestones = Milestones()
}
