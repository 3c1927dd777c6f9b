// RestoreFilter: decides which paths of a snapshot a restore brings back. Without `--include` all are included.
// `--exclude` takes precedence over `--include`. A folder that is not included itself is made only if something beneath
// it is restored.

/// The decision about an entry.
public enum RestoreDecision: Sendable {
    /// Restore it.
    case include
    /// Make this folder only if something beneath it is restored.
    case onlyAsAncestor
    /// Leave it out, with everything beneath it.
    case exclude
}

/// Decides about each path of a restore.
public struct RestoreFilter: Sendable {
    private var includes: PatternTrail
    private var excludes: PatternTrail
    /// Files of these groups are included too.
    private var groups: ChosenGroups?
    private var includesGroupsOnly = false

    /// Makes a filter. In each list the last pattern that matches decides.
    public init(includes: [PathPattern] = [], excludes: [PathPattern] = []) {
        self.includes = PatternTrail(includes)
        self.excludes = PatternTrail(excludes)
    }

    /// True if nothing is ever left out.
    public var isEmpty: Bool { includes.patterns.isEmpty && excludes.patterns.isEmpty }

    /// The include patterns that should match something.
    var includesToMatch: [PathPattern] { includes.patterns.filter { !$0.isNegated } }

    /// Returns a filter that also includes the files that belong to one of `groups`. With `only`, the filter includes
    /// nothing else.
    func including(_ groups: ChosenGroups, only: Bool) -> RestoreFilter {
        var filter = self
        (filter.groups, filter.includesGroupsOnly) = (groups, only)
        return filter
    }

    /// Decides about the entry at `path`, and names the pattern that left it out, if one did. Entries may come in any
    /// order; the order of the snapshot is fastest.
    public mutating func decide(
        _ path: [UInt8], isFolder: Bool
    ) -> (decision: RestoreDecision, reason: SkipReason?) {
        if let index = excludes.lastMatch(path, isFolder: isFolder), !excludes.patterns[index].isNegated {
            let pattern = excludes.patterns[index]
            // Only a later, negated pattern can bring back something beneath an excluded folder.
            let mayHoldWanted = isFolder && excludes.patterns[index...].contains(where: \.isNegated)
            return (
                mayHoldWanted ? .onlyAsAncestor : .exclude, .pattern(pattern.text, origin: pattern.origin)
            )
        }
        if !isFolder, groups?.contains(path) == true { return (.include, nil) }
        if includesGroupsOnly { return (.exclude, nil) }
        guard !includes.patterns.isEmpty else { return (.include, nil) }
        if let index = includes.lastMatch(path, isFolder: isFolder), !includes.patterns[index].isNegated {
            return (.include, nil)
        }
        return (isFolder && includes.mayMatchBeneath() ? .onlyAsAncestor : .exclude, nil)
    }
}
