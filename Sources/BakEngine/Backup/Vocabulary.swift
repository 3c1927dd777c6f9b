// Vocabulary: names of lower modules that stand in the engine's own interface, so that a program which may
// import the engine alone can say them.

import BakCodec
import BakFormat

/// How chunks are compressed: `auto`, `off`, `fast`, `max`, `lz4` or `zstd:N`.
public typealias CompressionMode = BakCodec.CompressionMode
/// How chunks are named.
public typealias IDAlgorithm = BakCodec.IDAlgorithm
/// What every reader and writer of a repository must agree on.
public typealias RepositoryConfig = BakFormat.RepositoryConfig
/// A snapshot's commit record.
public typealias CommitRecord = BakFormat.CommitRecord
