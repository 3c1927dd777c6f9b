// ReadStrategy: how many files of a source are read at once, and in which order, while more threads compute. Two
// readers would make a spinning disk's head move back and forth.

import BakCore
import BakStorage

/// How a backup reads its source.
package struct ReadStrategy: Equatable, Sendable {
    /// How many threads read and compute.
    package var threads: Int
    /// How many of them may read at a time.
    package var readers: Int
    /// True if files are read in the order of their inodes, because their content usually lies near them.
    package var isByInode: Bool
    /// How many threads look up files at a time, if each look waits for another machine; else 1.
    package var lookers: Int

    /// Number of readers if each read waits for another machine.
    private static let networkReaders = 8

    /// Makes the strategy for a medium. `asked` overrides the usual number of readers. No more than `mostOpenFiles`
    /// files are open at a time.
    package init(_ medium: SourceMedium, processors: Int, asked: Int?, mostOpenFiles: Int = .max) {
        let usual =
            switch medium {
            case .rotational: 1
            case .solidState: processors
            case .network: max(processors, Self.networkReaders)
            }
        // Each thread has a file open.
        threads = min(max(1, asked ?? usual, processors), max(1, mostOpenFiles))
        readers = min(max(1, asked ?? usual), threads)
        isByInode = medium == .rotational
        lookers = medium == .network ? readers : 1
    }

    /// Makes the strategy of a backup.
    init(of tree: any SourceTree, for request: BackupRequest) {
        self.init(
            tree.medium, processors: max(1, request.workerCount), asked: request.readConcurrency,
            mostOpenFiles: tree.mostOpenFiles)
    }

    /// Returns the tree, with reads limited to the allowed number of files at a time.
    package func gated(_ tree: any SourceTree) -> any SourceTree {
        readers < threads ? GatedTree(tree, readers: readers) : tree
    }
}

/// Lets a limited number of threads read at a time.
private final class ReadGate: Sendable {
    private let monitor = Monitor()
    private nonisolated(unsafe) var free: Int

    init(_ readers: Int) { free = readers }

    func enter() {
        monitor.locked {
            while free == 0 { monitor.wait() }
            free -= 1
        }
    }

    func leave() {
        monitor.locked {
            free += 1
            monitor.signalAll()
        }
    }
}

/// A source that limits how many of its files are read at a time.
final class GatedTree: SourceTree {
    private let tree: any SourceTree
    private let gate: ReadGate

    /// Lets at most `readers` files of `tree` be read at a time.
    init(_ tree: any SourceTree, readers: Int) {
        self.tree = tree
        gate = ReadGate(readers)
    }

    var topDevice: UInt64? { tree.topDevice }
    var isRepeatable: Bool { tree.isRepeatable }
    var medium: SourceMedium { tree.medium }
    var mostOpenFiles: Int { tree.mostOpenFiles }

    func isLeaving(_ path: [UInt8]) -> Bool { tree.isLeaving(path) }

    func walk(_ visit: (WalkEvent) throws -> WalkDecision) throws { try tree.walk(visit) }
    func walkAhead(_ visit: (WalkEvent) throws -> WalkDecision) throws { try tree.walkAhead(visit) }

    func attributes(_ path: [UInt8], _ stat: FileStat) throws(SourceError) -> FileAttributes {
        try tree.attributes(path, stat)
    }

    func evidence(_ path: [UInt8], _ stat: FileStat) -> MediumEvidence { tree.evidence(path, stat) }

    func names(uid: UInt32, gid: UInt32) -> (user: [UInt8], group: [UInt8]) {
        tree.names(uid: uid, gid: gid)
    }

    func open(_ path: [UInt8]) throws(SourceError) -> any SourceFile {
        gate.enter()
        do throws(SourceError) {
            return GatedFile(try tree.open(path), gate)
        } catch {
            gate.leave()
            throw error
        }
    }

    /// A file that holds a place in the gate from its opening to the end of the first read, and again during each later
    /// read.
    private final class GatedFile: SourceFile {
        private let file: any SourceFile
        private let gate: ReadGate
        private var holdsPlace = true

        init(_ file: any SourceFile, _ gate: ReadGate) {
            self.file = file
            self.gate = gate
        }

        deinit { leave() }

        private func leave() {
            if holdsPlace { gate.leave() }
            holdsPlace = false
        }

        var hasKnownSize: Bool { file.hasKnownSize }
        var earlierFindings: EarlierFindings? { file.earlierFindings }

        func stat() throws(SourceError) -> FileStat { try file.stat() }
        func attributes(_ stat: FileStat) throws(SourceError) -> FileAttributes {
            try file.attributes(stat)
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SourceError) -> Int {
            if !holdsPlace { gate.enter() }
            holdsPlace = true
            defer { leave() }
            return try file.read(into: buffer, at: offset)
        }

        func nextData(from offset: UInt64, size: UInt64) throws(SourceError) -> Range<UInt64>? {
            try file.nextData(from: offset, size: size)
        }

        func close() {
            leave()
            file.close()
        }
    }
}
