// SnapshotFilter: chooses snapshots by the flags --tag, --host, --device and --path.
//
// Always holds: if a filter takes none of the existing snapshots, the command says so and ends with exit code 3.
// Otherwise a nightly command with a mistyped filter would copy or keep nothing, and nobody would notice.

import BakCore
import BakFormat

extension Flags {
    /// The flags that choose among snapshots.
    static let choosing: [AnyFlag] = [.tagSets, .hosts, .devices, .path]
}

extension AnyFlag {
    /// The labels of a new snapshot.
    static let tag = Flag<[[String]]>("tag", each: .labels(), help: "a label for the snapshot")
    static let tagSets = tag.described("only snapshots with all of these tags")
    static let hosts = Flag<[String]>(
        "host", each: .text("NAME", .repository(.host)), help: "only snapshots of this machine")
    static let devices = Flag<[String]>(
        "device", each: .text("NAME", .repository(.device)), short: "d",
        help: "only snapshots of this phone or computer")
    static let path = Flag<[[UInt8]]>(
        "path", each: .anyPlace("PATH"), help: "only snapshots with this backed-up path")
}

/// A choice among snapshots.
struct SnapshotFilter: Equatable {
    private let hosts: [String]
    private let devices: [String]
    private let paths: [[UInt8]]
    private let tagSets: [[String]]

    init(_ invocation: Invocation) {
        (hosts, devices) = (invocation[.hosts], invocation[.devices])
        paths = invocation[.path].map { path in
            Array(path.split(separator: UInt8(ascii: "/")).joined(separator: [UInt8(ascii: "/")]))
        }
        tagSets = invocation.tagSets
    }

    /// True if the filter takes every snapshot.
    var isEmpty: Bool { hosts.isEmpty && devices.isEmpty && paths.isEmpty && tagSets.isEmpty }

    /// The complaint if the filter takes none of the existing snapshots. Nil if it takes one, if the filter is empty,
    /// or if there are no snapshots yet.
    func complaint(among all: [CommitRecord]) -> String? {
        guard !isEmpty, !all.isEmpty, !all.contains(where: takes) else { return nil }
        let parts: [(flag: AnyFlag, values: [String], known: [String], filter: SnapshotFilter)] = [
            (.devices, devices, all.map(\.device), SnapshotFilter(devices: devices)),
            (.hosts, hosts, all.map(\.host), SnapshotFilter(hosts: hosts)),
            (
                .tag, tagSets.map { $0.joined(separator: ",") }, all.flatMap(\.tags),
                SnapshotFilter(tagSets: tagSets)
            ),
            (.path, paths.map { Formatting.name($0.absolute) }, [], SnapshotFilter(paths: paths)),
        ].filter { !$0.values.isEmpty }
        func words(_ flag: AnyFlag, _ values: [String]) -> String {
            values.map { "\(flag.spelling) \(Formatting.line($0))" }.joined(separator: " ")
        }
        guard let part = parts.first(where: { part in !all.contains(where: part.filter.takes) }) else {
            let all = parts.map { words($0.flag, $0.values) }.joined(separator: " ")
            return "no matching snapshots for \(all) together. List all snapshots with: bakstore snapshots"
        }
        let line = "no matching snapshots for \(words(part.flag, part.values))"
        let near = part.values.lazy.compactMap { Suggestion.nearest(to: $0, among: part.known) }.first
        return near.map { "\(line). Did you mean \(Formatting.line($0))?" }
            ?? "\(line). List all snapshots with: bakstore snapshots"
    }

    private init(
        hosts: [String] = [], devices: [String] = [], paths: [[UInt8]] = [], tagSets: [[String]] = []
    ) {
        (self.hosts, self.devices, self.paths, self.tagSets) = (hosts, devices, paths, tagSets)
    }

    /// The complaints about each `--keep-tag` on the command line that keeps none of the existing snapshots. A
    /// profile's `--keep-tag` is not a mistake, because later snapshots may have the tag.
    static func complaints(aboutKeptTags invocation: Invocation, among all: [CommitRecord]) -> [String] {
        guard !all.isEmpty, !invocation.profileFlags.contains(.keepTag) else { return [] }
        let known = all.flatMap(\.tags)
        return invocation[.keepTag].compactMap { tags in
            if all.contains(where: { Set(tags).isSubset(of: $0.tags) }) { return nil }
            let near = tags.lazy.filter { !known.contains($0) }
                .compactMap { Suggestion.nearest(to: $0, among: known) }.first
            return "no matching snapshots for --keep-tag \(Formatting.line(tags.joined(separator: ",")))"
                + (near.map { ". Did you mean \(Formatting.line($0))?" }
                    ?? ", so it keeps nothing. List all snapshots with: bakstore snapshots")
        }
    }

    /// True if the filter takes the snapshot.
    func takes(_ record: CommitRecord) -> Bool {
        (hosts.isEmpty || hosts.contains(record.host))
            && (devices.isEmpty || devices.contains(record.device))
            && paths.allSatisfy { wanted in
                let printed = Formatting.unescaped(wanted)
                return record.paths.contains { path in
                    PathOrder.isAtOrBeneath(wanted, path)
                        || printed.map { PathOrder.isAtOrBeneath($0, path) } == true
                }
            }
            && (tagSets.isEmpty || tagSets.contains { Set($0).isSubset(of: record.tags) })
    }
}
