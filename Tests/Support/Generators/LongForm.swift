// LongForm: whether tests with many random cases draw more of them than a usual run has time for.

import Glibc

/// True if `BAKSTORE_LONG` asks for the slow forms of tests.
public let isLong = getenv("BAKSTORE_LONG") != nil
