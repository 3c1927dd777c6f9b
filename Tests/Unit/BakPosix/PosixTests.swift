// PosixTests: the suite of suites. One test at a time, because some count this process's descriptors.

import Testing

@Suite(.serialized) enum PosixTests {}
