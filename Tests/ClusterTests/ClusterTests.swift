// Whole clusters: real server processes over loopback, in order and faulty in every way the fault model allows.

import Testing

/// The suites take turns, since each test keeps several processes busy.
@Suite(.serialized) enum Clusters {}
