// ForwardingTree: a source that forwards every call to another one. A test makes a subclass and overrides some calls.

import BakCore
import BakStorage

/// Forwards the calls to `base`. It claims the properties of an ordinary source, whatever the medium of `base`, so that
/// a test gives the same result on every machine.
open class ForwardingTree: SourceTree, @unchecked Sendable {
    /// The source that gets the calls.
    public let base: any SourceTree
    open var medium: SourceMedium { .solidState }

    /// Makes a source in front of `base`.
    public init(_ base: any SourceTree) { self.base = base }

    open func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws { try base.walk(visit) }
    open func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws { try walk(visit) }
    open func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile { try base.open(path) }
    open func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        try base.attributes(path, stat)
    }
    open func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) {
        base.names(uid: uid, gid: gid)
    }
    open func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence { base.evidence(path, stat) }
}
