// Vocabulary: names of lower modules that the engine's public interface uses. A program that imports only the engine
// can use them.

import BakCodec
import BakFormat

/// How chunks are compressed: `auto`, `off`, `fast`, `max`, `lz4` or `zstd:N`.
public typealias CompressionMode = BakCodec.CompressionMode
/// How chunks are named.
public typealias IDAlgorithm = BakCodec.IDAlgorithm
/// The settings that all readers and writers of a repository must agree on.
public typealias RepositoryConfig = BakFormat.RepositoryConfig
/// A snapshot's commit record.
public typealias CommitRecord = BakFormat.CommitRecord
