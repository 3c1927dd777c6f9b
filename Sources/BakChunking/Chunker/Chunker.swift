// Chunker: sparse argmin with a keyed priority. Cuts depend only on the bytes since the last cut, the parameters and
// the key. They do not depend on read sizes, the machine or earlier backups.
//
// A chunk that starts at 0 ends at a cut c with minimum <= c <= maximum:
//   1. c is a candidate when the little-endian word w of the four bytes before c satisfies
//      w * K + A < 2^(32 - densityExponent), modulo 2^32.
//   2. A candidate's priority is XXH3-64, with the key's secret, of the 64 bytes before it.
//   3. The candidate with the smallest priority is the cut, the earliest one on a tie. Without a candidate
//      the cut is at `maximum`.
//
// If only n < maximum bytes are left in the input, the same rules apply with the window [minimum, n - minimum / 2]. If
// this window is empty or has no candidate, the n bytes are one chunk. This has three effects. A short file can share
// its second half after an edit in its first half. A cut mostly stays when bytes are appended. Slivers, which cost a
// chunk and share nothing, are rare: only a cut in a full window can leave one. (Measured in
// docs/decisions/0001-sparse-argmin-chunking.md.)

/// Finds content-defined cuts. A value is immutable, so any number of threads may use it.
public struct Chunker: Sendable {
    /// The bounds of a chunk's size.
    public let parameters: ChunkerParameters
    private let key: ChunkerKey
    private let scan: CandidateScan

    /// Makes a chunker. The kernel affects its speed but not its cuts.
    public init(parameters: ChunkerParameters, key: ChunkerKey, kernel: ScanKernel = .current) {
        self.parameters = parameters
        self.key = key
        scan = CandidateScan(key: key, densityExponent: parameters.densityExponent, kernel: kernel)
    }

    /// Returns the length of the chunk that starts at `bytes[0]`.
    ///
    /// - Parameters:
    ///   - bytes: the bytes after the last cut. Bytes past `parameters.maximum` are ignored.
    ///   - isLast: true if the input ends with `bytes`.
    /// - Returns: the length in bytes; nil if there are no bytes. Also nil if there are fewer bytes than
    ///   `parameters.maximum` and more may come, so that the result does not depend on how the input is read.
    /// - Complexity: linear in `maximum - minimum`; nothing is allocated.
    public func firstCut(in bytes: UnsafeRawBufferPointer, isLast: Bool) -> Int? {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return nil }
        let minimum = parameters.minimum
        let maximum = parameters.maximum
        if bytes.count >= maximum {
            return bestCandidate(in: start, from: minimum, through: maximum) ?? maximum
        }
        guard isLast else { return nil }
        return bestCandidate(in: start, from: minimum, through: bytes.count - minimum / 2) ?? bytes.count
    }

    /// Returns the earliest candidate with the smallest priority in a window; nil if there is none.
    private func bestCandidate(in bytes: UnsafeRawPointer, from first: Int, through last: Int) -> Int? {
        var best: (cut: Int, priority: UInt64)?
        scan.forEachCandidate(in: bytes, from: first, through: last) { cut in
            let priority = key.priority(endingAt: bytes + cut)
            if best == nil || priority < best!.priority { best = (cut, priority) }
        }
        return best?.cut
    }
}
