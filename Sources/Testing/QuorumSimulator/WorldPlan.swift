// All that is going to befall a world, as data: drawn from a seed, reducible part by part.
//
// Times are in microseconds of virtual time.

import QuorumFaults
import QuorumProtocol

/// What a client is to do.
package struct PlannedOperation: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case write(sizeBytes: Int)
        case delete
        case read
        /// A read of the descriptor only.
        case head
        case list(PlannedListing)
    }

    /// A crash of the client in the middle of the operation, and how long it is away.
    package struct Crash: Sendable, Equatable {
        package enum Moment: Sendable, Equatable {
            /// That long after the operation began.
            case after(microseconds: UInt64)
            /// With the certificate in hand, before any COMMIT has left: a version that only its writer can finish.
            case beforeCommit
            /// When so many of its PREPAREs have left, or so many of its COMMITs.
            case afterPrepares(Int)
            case afterCommits(Int)
        }

        package let moment: Moment
        package let awayMicroseconds: UInt64

        package init(_ moment: Moment, awayMicroseconds: UInt64) {
            self.moment = moment
            self.awayMicroseconds = awayMicroseconds
        }
    }

    /// How a large value is written: its stripes are staged ahead of the version.
    package struct Staging: Sendable, Equatable {
        /// How many of the stripes are the first part, if any are another.
        package let firstPartStripes: Int
        /// Whether what the client staged before of the object, and did not see committed, is named again instead.
        package let reuses: Bool
        /// Whether that is discarded first.
        package let discards: Bool
    }

    /// Its place among all operations of the plan, before any was removed.
    package let number: Int
    package let client: Int
    package internal(set) var object: Int
    package var kind: Kind
    /// How long the client waits after the operation before.
    package var pauseMicroseconds: UInt64
    package var crash: Crash?
    /// Of a write; nil when the value goes with its version.
    package var staging: Staging?
}

/// What happens to messages.
package struct NetworkPlan: Sendable, Equatable {
    package var delayMinMicroseconds: UInt64
    package var delayMaxMicroseconds: UInt64
    package var lossPermille: Int
    package var duplicationPermille: Int
    /// How many messages in a thousand take up to `slowdownMax` times as long.
    package var slowdownPermille: Int
    package var slowdownMax: Int
    /// How many messages in a thousand come once more, up to so long after the first time.
    package var echoPermille = 0
    package var echoMaxMicroseconds: UInt64 = 1
}

/// Two sides that cannot reach each other for some time. Nodes: the servers, then the clients.
package struct PlannedPartition: Sendable, Equatable {
    package let startMicroseconds: UInt64
    package let durationMicroseconds: UInt64
    /// Bit i: node i is on the one side.
    package let side: UInt64

    package init(startMicroseconds: UInt64, durationMicroseconds: UInt64, side: UInt64) {
        self.startMicroseconds = startMicroseconds
        self.durationMicroseconds = durationMicroseconds
        self.side = side
    }
}

/// A server that stops, loses what it has not synced, and comes back.
package struct PlannedServerCrash: Sendable, Equatable {
    package let server: NodeID
    package let atMicroseconds: UInt64
    package let downMicroseconds: UInt64
}

/// A loss of power the moment a read is over: whatever the reader was told, no disk writes on, and of a batch under way
/// nothing is found afterwards.
package struct PlannedPowerFailure: Sendable, Equatable {
    /// How many reads are over by then.
    package let afterReadCount: Int
    /// Bit i: server i loses power.
    package let servers: UInt64
    /// Whether the clients that are in the middle of an operation lose it too.
    package let includesClients: Bool
    package let downMicroseconds: UInt64

    package init(afterReadCount: Int, servers: UInt64, includesClients: Bool, downMicroseconds: UInt64) {
        self.afterReadCount = afterReadCount
        self.servers = servers
        self.includesClients = includesClients
        self.downMicroseconds = downMicroseconds
    }
}

/// A server that takes longer than others.
package struct PlannedSlowServer: Sendable, Equatable {
    package let server: NodeID
    package let factor: Int
}

/// One of the servers that promise nothing, of which each group has at most f.
package struct PlannedBadServer: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case byzantine(ServerFaultKind)
        /// Stored parts become unreadable, one at each of these times.
        case rot(atMicroseconds: [UInt64])
        /// The disk is gone from then on, and the server with it.
        case lostDisk(atMicroseconds: UInt64)
        case fullDisk(fromMicroseconds: UInt64)
        /// So many writes in a hundred fail.
        case failingDisk(percent: Int)
    }

    package let server: NodeID
    package var kind: Kind
}

/// The clients' patience.
package struct PlannedPatience: Sendable, Equatable {
    package var hedgeMicroseconds: UInt64
    package var retransmitMicroseconds: UInt64
    package var deadlineMicroseconds: UInt64
}

/// A world before it begins.
package struct WorldPlan: Sendable, Equatable {
    package internal(set) var seed: UInt64
    package internal(set) var faultCount: Int
    package internal(set) var dataFragmentCount: Int
    package internal(set) var mode: VerificationMode
    package var limits: ProtocolLimits
    /// Nodes and groups.
    package internal(set) var groups: PlannedGroups
    /// What was before this epoch.
    package internal(set) var earlierEpoch: PlannedEpoch?
    package internal(set) var objectCount: Int
    /// Part of the objects' keys, so that they lie elsewhere in other worlds.
    package internal(set) var keySalt: UInt16
    package internal(set) var clientCount: Int
    package var operations: [PlannedOperation]
    package var network: NetworkPlan
    package var patience: PlannedPatience
    /// What real stores the servers have; nil when their disks are simulated as a whole.
    package internal(set) var stores: PlannedStores?
    package var diskDelayMinMicroseconds: UInt64
    package var diskDelayMaxMicroseconds: UInt64
    /// Whether clients begin a write with the certificate of their last one of the object.
    package var clientsRemember = false
    /// Whether writes leave f servers without fragments as long as the others take theirs.
    package var writesArePartial = false
    /// Whether one client writes each object once more when everything else is over.
    package var endsWithWrites = false
    /// Servers do not ask each other for what they have missed before the clients are done. Outside they do so every
    /// few minutes, and an operation takes seconds: what it lacks then it has to bring about by itself.
    package var serversMeetLate = false
    /// How many pieces of work in a hundred are completed later instead of at once.
    package var deferredWorkPercent: Int
    /// When all faults but the liars end.
    package var healMicroseconds: UInt64
    package var partitions: [Int: PlannedPartition]
    package var serverCrashes: [Int: PlannedServerCrash]
    package var powerFailures: [Int: PlannedPowerFailure] = [:]
    package var slowServers: [Int: PlannedSlowServer]
    package var badServers: [Int: PlannedBadServer]
    package var byzantineClients: [Int: ClientFaultKind]
    /// Servers that lose everything and are rebuilt.
    package var wipes: [Int: PlannedWipe] = [:]
    /// Whether the world is one with listings: its objects have names that are worth it.
    package internal(set) var hasListings = false
    /// How bad servers lie about listings, by their numbers among the bad ones.
    package internal(set) var listingLies: [Int: ListingLie] = [:]
    package var planted: PlantedError?

    /// N: how many servers there are in all groups.
    package var serverCount: Int { groups.nodeCount }
    /// n: how many of them hold an object.
    package var groupSize: Int { dataFragmentCount + 2 * faultCount }

    /// The removable parts that are there, the largest first.
    package var parts: [PlanPart] {
        var parts: [PlanPart] = []
        parts += byzantineClients.keys.sorted().map(PlanPart.byzantineClient)
        parts += badServers.keys.sorted().map(PlanPart.badServer)
        parts += partitions.keys.sorted().map(PlanPart.partition)
        parts += serverCrashes.keys.sorted().map(PlanPart.serverCrash)
        parts += powerFailures.keys.sorted().map(PlanPart.powerFailure)
        parts += slowServers.keys.sorted().map(PlanPart.slowServer)
        parts += wipes.keys.sorted().map(PlanPart.wipe)
        if network.lossPermille > 0 { parts.append(.loss) }
        if network.duplicationPermille > 0 { parts.append(.duplication) }
        if network.slowdownPermille > 0 { parts.append(.delays) }
        if network.echoPermille > 0 { parts.append(.echoes) }
        if deferredWorkPercent > 0 { parts.append(.deferredWork) }
        if stores != nil { parts.append(.stores) }
        if operations.contains(where: { $0.pauseMicroseconds > 0 }) { parts.append(.pauses) }
        parts += operations.filter { $0.crash != nil }.map { .clientCrash($0.number) }
        parts += operations.map { .operation($0.number) }
        return parts
    }

    /// The plan without some of its parts.
    package func without(_ removed: Set<PlanPart>) -> WorldPlan {
        var plan = self
        plan.operations.removeAll { removed.contains(.operation($0.number)) }
        for position in plan.operations.indices {
            if removed.contains(.clientCrash(plan.operations[position].number)) {
                plan.operations[position].crash = nil
            }
            if removed.contains(.pauses) { plan.operations[position].pauseMicroseconds = 0 }
        }
        plan.partitions = partitions.filter { !removed.contains(.partition($0.key)) }
        plan.serverCrashes = serverCrashes.filter { !removed.contains(.serverCrash($0.key)) }
        plan.powerFailures = powerFailures.filter { !removed.contains(.powerFailure($0.key)) }
        plan.slowServers = slowServers.filter { !removed.contains(.slowServer($0.key)) }
        plan.wipes = wipes.filter { !removed.contains(.wipe($0.key)) }
        plan.badServers = badServers.filter { !removed.contains(.badServer($0.key)) }
        plan.listingLies = listingLies.filter { !removed.contains(.badServer($0.key)) }
        plan.byzantineClients = byzantineClients.filter { !removed.contains(.byzantineClient($0.key)) }
        if removed.contains(.loss) { plan.network.lossPermille = 0 }
        if removed.contains(.duplication) { plan.network.duplicationPermille = 0 }
        if removed.contains(.delays) { plan.network.slowdownPermille = 0 }
        if removed.contains(.echoes) { plan.network.echoPermille = 0 }
        if removed.contains(.deferredWork) { plan.deferredWorkPercent = 0 }
        if removed.contains(.stores) { plan.stores = nil }
        return plan
    }
}
