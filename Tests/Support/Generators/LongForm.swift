// LongForm: whether tests with random cases run more cases than a usual run has time for.

import Glibc

/// True if the environment variable `BAKSTORE_LONG` is set.
public let isLong = getenv("BAKSTORE_LONG") != nil
