// What a client may be told about its patience.

import CoreMetrics
import QuorumProtocol
import Tracing

/// Times and sizes of a client's operations.
public struct ClientOptions: Sendable {
    /// How long an operation may take, all its rounds together. One that moves a value goes on as long as bytes move to or
    /// from more than f of its servers: at least 64 KiB in this time.
    public var timeoutMilliseconds = 15_000
    /// How long the preferred servers have at least before a read asks all the others for their fragments too, and a
    /// partial write sends the others theirs. It grows with what operations take, to ten times as much.
    public var hedgeMilliseconds = 100
    /// After what time that which was not answered is asked again; the time doubles with each turn.
    public var retransmitMilliseconds = 2_000
    /// How long a server that kept an operation waiting, or misbehaved, is not preferred.
    public var demotionMilliseconds = 10_000
    /// Of how many objects the client remembers the certificate of its last write, which spares the next one a round as
    /// long as nobody else writes the object; 0 for none.
    public var rememberedObjectCount = 4096
    /// Whether a write leaves f of the n servers without a fragment as long as the m + f others take theirs: (m + f)/m
    /// bytes are stored for each byte instead of n/m, and as many sent but in the mode `full`. The fault model is the
    /// same; what goes for good, as servers cannot rebuild fragments yet, is the redundancy beyond it
    /// (docs/protocol.md, Partial writes).
    public var writesPartially = false
    /// Whether a write first asks whether its bucket exists, unless it was there less than a minute ago. A bucket is a
    /// name and no more, and an object can well be in one that nobody made; who lists buckets does not see it then.
    public var checksBuckets = false
    /// Whether a read of what a quorum names returns at once instead of writing it back; off only to measure its worth.
    package var readsInOneRound = true
    /// How long a stripe of a large value that a quorum has is kept for the other servers at least. Who has not taken it
    /// then is behind, gets no more for now, and is filled later, which costs more. It grows as the other one does.
    public var stageHedgeMilliseconds = 1_000
    /// How many stripes of a large value are under way at a time, in either direction.
    public var stripesInFlight = 4
    /// After what time without any progress the transfer of a large value fails: less than 64 KiB moved to or from
    /// more than f of its servers. Nothing bounds the time of the whole.
    public var stallMilliseconds = 60_000
    /// How many bytes of fragments all large values that are being stored may have in memory together. Who finds no room
    /// waits. Each of them holds `stripesInFlight` stripes and one besides, which it has read.
    public var uploadMemoryBytes = 256 << 20
    /// How many event loops carry the connections.
    public var eventLoopCount = 1
    /// How many threads encode, verify and decode.
    public var workerCount = 2
    /// Who makes the client's metrics; nil: whoever `MetricsSystem` was bootstrapped with before the client was made.
    public var metricsFactory: (any MetricsFactory)?
    /// Who makes the spans of its operations; nil: the one of `InstrumentationSystem`.
    public var tracer: (any Tracer)?
    /// Whether a signature that was checked is not checked again.
    package var remembersChecks = true

    public init() {}
}

extension ClientOptions {
    /// Leaves optimisations out, to measure what each is worth; those that are not clients' change nothing here.
    package mutating func leaveOut(_ optimisations: Set<Optimisation>) {
        for optimisation in optimisations {
            switch optimisation {
            case .rememberedChecks: remembersChecks = false
            case .cachedTimestamps: rememberedObjectCount = 0
            case .hedging: hedgeMilliseconds = timeoutMilliseconds
            case .oneRoundReads: readsInOneRound = false
            case .partialWrites: writesPartially = false
            case .groupCommit, .batchedSignatures: break
            }
        }
    }
}
