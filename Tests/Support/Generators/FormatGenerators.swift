// FormatGenerators: random values of every type that the format encodes. Unusual values are as frequent as usual ones.

import BakCodec
import BakCore
import BakFormat

extension SeededRandom {
    /// Returns a time before or after 1970, sometimes near the limits of the format.
    public func timestamp() -> Timestamp {
        let seconds = oneIn(10) ? Int64(bitPattern: next()) : Int64(number(-4_000_000_000...8_000_000_000))
        return Timestamp(seconds: seconds, nanoseconds: UInt32(number(0...999_999_999)))
    }

    /// Returns a component of a path: letters, or any bytes but NUL and '/'.
    public func name() -> [UInt8] {
        if !oneIn(4) { return (0..<number(1...12)).map { _ in UInt8(number(97...122)) } }
        let name = bytes(oneIn(20) ? 255 : number(1...20)).map { $0 == 0 || $0 == 47 ? 1 : $0 }
        return name == Array(".".utf8) || name == Array("..".utf8) ? [1] : name
    }

    /// Returns sorted distinct paths in a few folders.
    public func paths(_ count: Int) -> [[UInt8]] {
        var paths: Set<[UInt8]> = []
        var folders: [[UInt8]] = [[]]
        while paths.count < count {
            let path = PathOrder.join(folders[number(0...(folders.count - 1))], name())
            if path.count < 4000, paths.insert(path).inserted, oneIn(8) { folders.append(path) }
        }
        return paths.sorted { PathOrder.precedes($0, $1) }
    }

    /// Returns a reference to a blob that need not exist.
    public func reference() -> BlobReference {
        BlobReference(id: id(), length: UInt32(oneIn(8) ? FormatLimits.blobBytes : number(1...1 << 20)))
    }

    /// Returns a run of chunks and holes.
    public func extents(_ count: Int) -> [Extent] {
        (0..<count).map { _ in oneIn(5) ? .hole(UInt64(number(1...1 << 40))) : .chunk(reference()) }
    }

    /// Returns an entry of any type. It often shares values with `previous`, as neighbouring entries do.
    public func entry(
        path: [UInt8], like previous: ManifestEntry? = nil, isFolder: Bool = false
    ) -> ManifestEntry {
        let chosen = FileType.allCases[oneIn(3) ? number(0...(FileType.allCases.count - 1)) : 0]
        let type = isFolder ? .directory : chosen
        var stat = FileStat(type: type)
        var attributes = FileAttributes()
        if let previous, !oneIn(4) {
            (stat.uid, stat.gid, stat.device) = (previous.stat.uid, previous.stat.gid, previous.stat.device)
            attributes.userName = previous.attributes.userName
            attributes.groupName = previous.attributes.groupName
        } else {
            (stat.uid, stat.gid) = (UInt32(truncatingIfNeeded: next()), UInt32(number(0...1000)))
            stat.device = oneIn(2) ? next() : 2049
            attributes.userName = oneIn(3) ? [] : name()
            attributes.groupName = oneIn(3) ? [] : name()
        }
        stat.mode = UInt16(number(0...0o7777))
        (stat.mtime, stat.ctime, stat.inode) = (timestamp(), timestamp(), next() >> UInt64(number(0...63)))
        // A file with hard links has several names; an open file that was deleted has none.
        if oneIn(6) { stat.linkCount = UInt32(number(0...70_000)) }
        if oneIn(8) {
            let names = Set((0..<number(1...4)).map { _ in Array("user.".utf8) + name() })
            attributes.extendedAttributes = names.sorted { $0.lexicographicallyPrecedes($1) }
                .map { ExtendedAttribute(name: $0, value: bytes(number(0...40))) }
        }
        var content: FileContent?
        switch type {
        case .regular: (content, stat.size) = fileContent()
        case .symlink: attributes.linkTarget = bytes(number(0...60))
        case .characterDevice, .blockDevice: stat.representedDevice = next()
        case .directory, .fifo, .socket: break
        }
        return ManifestEntry(
            path: path, stat: stat, attributes: attributes, content: content, changedWhileRead: oneIn(9),
            isUnsettled: oneIn(9), goneSince: oneIn(9) ? timestamp() : nil,
            missing: MissingParts(rawValue: oneIn(9) ? (type == .regular ? UInt8(number(1...3)) : 2) : 0))
    }

    private func fileContent() -> (FileContent, UInt64) {
        if oneIn(2) {
            let content = bytes(number(0...64))
            return (.inline(content), UInt64(content.count))
        }
        let extents = extents(oneIn(50) ? number(2000...5000) : number(0...6))
        return (.extents(extents), extents.reduce(0) { $0 + $1.length })
    }

    /// Returns a sorted stream of entries, as a backup hands them to a manifest.
    public func entries(_ count: Int) -> [ManifestEntry] {
        var entries: [ManifestEntry] = []
        let paths = paths(count)
        for (place, path) in paths.enumerated() {
            let isFolder = place + 1 < paths.count && PathOrder.isAtOrBeneath(paths[place + 1], path)
            entries.append(entry(path: path, like: entries.last, isFolder: isFolder))
        }
        return entries
    }

    /// Returns text with and without characters beyond ASCII.
    public func text(upTo count: Int) -> String {
        String((0..<number(0...count)).map { _ in "aZ9 -äé漢🙂\n".randomElement(using: &generator)! })
    }

    /// This generator as a variable, for functions of the standard library that take an `inout` generator.
    private var generator: SeededRandom {
        get { self }
        set {}
    }

    /// Returns the origin of a record: time, host and program.
    public func origin() -> RecordOrigin {
        RecordOrigin(time: timestamp(), host: text(upTo: 9), program: text(upTo: 9))
    }

    /// Returns a few ids.
    public func ids() -> [ID128] { (0..<number(0...4)).map { _ in id() } }

    /// Returns a commit record.
    public func commitRecord(id: ID128) -> CommitRecord {
        var counters = SnapshotCounters()
        (counters.files, counters.bytes, counters.failedItems) = (next() >> 20, next(), UInt64(number(0...9)))
        var record = CommitRecord(
            id: id, time: timestamp(), endTime: timestamp(), host: text(upTo: 20), device: text(upTo: 20),
            user: text(upTo: 20), program: text(upTo: 20), paths: oneIn(9) ? [] : paths(number(1...5)),
            tags: (0..<number(0...4)).map { _ in text(upTo: 12) }, parent: oneIn(2) ? self.id() : nil,
            isComplete: oneIn(2), hasIndex: oneIn(2), root: reference(), counters: counters)
        if oneIn(3) { record.original = self.id() }
        record.isArchive = oneIn(3)
        if oneIn(3) {
            record.counters.goneFiles = UInt64(number(0...9))
            record.counters.newlyGoneFiles = next() >> 20
        }
        record.doubtfulPaths = record.paths.indices.filter { _ in oneIn(4) }
        if oneIn(3) { record.confirmed = Set(ids()).sorted() }
        if record.isArchive, oneIn(3) { record.joined = Set(ids()).sorted() }
        record.isLacking = record.isArchive && oneIn(3)
        return record
    }

    /// Returns a configuration.
    public func config() -> RepositoryConfig {
        let classes = (1...number(1...4)).map { number in
            let minimum = self.number(64...100_000)
            return ChunkClass(
                number: UInt8(number), minimum: minimum, average: minimum * 4, maximum: minimum * 16)
        }
        let modes: [CompressionMode] = [.auto, .off, .fast, .max, .lz4, .zstd(level: number(1...19))]
        return RepositoryConfig(
            id: id(), idAlgorithm: oneIn(2) ? .xxh3 : .sha256, classes: classes, secret: bytes(32),
            packBytes: number(RepositoryConfig.packByteRange), inlineBytes: number(0...4096),
            compression: modes[number(0...(modes.count - 1))], created: timestamp())
    }

    /// Returns an index segment of up to four packs. The offsets of its blobs are such as a pack has.
    public func indexSegment(session: ID128, blobsPerPack: Int = 20) -> IndexSegment {
        let contents = (0..<number(1...4)).map { _ in
            var offset = ObjectHeader.byteCount
            let blobs = (0..<number(1...blobsPerPack)).map { _ in
                let length = UInt32(number(1...100_000))
                let stored = UInt32(number(1...Int(length)))
                defer { offset += PackLayout.blobHeaderBytes + Int(stored) }
                return BlobRecord(
                    id: id(), offset: UInt32(offset), rawLength: length, storedLength: stored, codec: .zstd,
                    storedChecksum: next())
            }
            let size = offset + blobs.count * PackLayout.footerEntryBytes + PackLayout.tailBytes
            let kind = oneIn(2) ? ObjectKind.chunkPack : .manifestPack
            return (pack: IndexedPack(id: id(), size: UInt64(size), kind: kind), blobs: blobs)
        }
        return IndexSegment(session: session, contents: contents)
    }

    /// Returns a manifest's root.
    public func manifestRoot(_ count: Int) -> ManifestRoot {
        ManifestRoot(
            segments: paths(count).map {
                let length = number(20...300_000)
                return ManifestSegmentReference(
                    blob: BlobReference(id: id(), length: UInt32(length)), recordCount: length / 20,
                    firstPath: $0)
            })
    }
}
