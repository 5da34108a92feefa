// Whole clusters: real server processes over loopback, in order and faulty in every way the fault model allows.

import Testing

/// Clusters in use, and with as many faults as they bear. The suites take turns, since each test keeps several processes
/// busy.
@Suite(.serialized) enum Clusters {}

/// Clusters under siege: by hostile clients and strangers, by disks that fill up, hang or rot, and by a nemesis. They
/// take turns beside the others.
@Suite(.serialized) enum BesiegedClusters {}
