// PosixTests: the parent of all suites here. They run one test at a time, because some tests count this process's
// descriptors.

import Testing

@Suite(.serialized) enum PosixTests {}
