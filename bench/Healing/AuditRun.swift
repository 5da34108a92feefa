// Audits of one bucket: what they move, and whether they find what is not there.

import BenchmarkResults
import QuorumClient
import QuorumOperations
import QuorumProtocol
import StoreSeeding

/// What one audit came to.
struct AuditOutcome: Sendable {
    let seconds: Double
    /// At the client's sockets, in both directions.
    let movedBytes: UInt64
    let stripeCount: UInt64
    /// Fragments that were wrong, missing or unreadable, by server.
    let faults: [NodeID: UInt64]
    let inconclusiveCount: UInt64

    /// Fragments of others than one server, and stripes of which nobody can say.
    func faultCount(besides node: NodeID?) -> UInt64 {
        faults.reduce(inconclusiveCount) { $0 + ($1.key == node ? 0 : $1.value) }
    }
}

/// The audits of the objects of one bucket. Repair is switched off at the server that is harmed.
struct AuditRun {
    private static let harmed = 1
    private static let progressInterval = Duration.seconds(10)
    /// A server that discards does so with every so many-th object.
    private static let discardedOf = 10
    private static let repairIsOff = ["repair_mib_per_second = 0"]
    private static let repairIsPrompt = ["repair_delay_seconds = 0"]

    let cluster: HealingCluster
    let bucket: String
    let objectCount: Int
    let key: (Int) throws -> ObjectKey

    /// Audits, with nothing wrong.
    func clean() throws -> AuditOutcome { try audit() }

    /// Turns bytes of so many fragments of one server, audits, and turns them back.
    ///
    /// - Returns: what it found of that server, and of others.
    func corrupted(_ count: Int) throws -> (found: UInt64, elsewhere: UInt64) {
        Progress.say("turning a byte in \(count) fragments of server \(Self.harmed) in \(bucket)/")
        var turned: [TurnedByte] = []
        try harm { store in
            var places: Set<[Int]> = []
            while places.count < count {
                let number = Int.random(in: 0..<objectCount)
                let key = try key(number)
                let stripe = Int.random(in: 0..<(try store.stripeCount(of: key)))
                guard places.insert([number, stripe]).inserted else { continue }
                turned.append(try store.turnByte(of: key, stripe: stripe))
            }
        }
        let outcome = try audit()
        cluster.kill(Self.harmed)
        for byte in turned { try byte.turnBack() }
        // What the server has noted as lost comes back.
        try cluster.start(Self.harmed, settings: Self.repairIsPrompt)
        try cluster.awaitNoWants(Self.harmed)
        return found(outcome)
    }

    /// Has one server discard the fragments of a tenth of the objects, and audits.
    ///
    /// - Returns: how many it discarded; what was found of it, and of others.
    func discarded() throws -> (discarded: Int, found: UInt64, elsewhere: UInt64) {
        let numbers = Array(stride(from: 0, to: objectCount, by: Self.discardedOf))
        Progress.say("removing what server \(Self.harmed) has of \(numbers.count) objects of \(bucket)/")
        var count = 0
        try harm { count = try $0.discardFragments(of: try numbers.map(key)) }
        let (found, elsewhere) = found(try audit())
        return (count, found, elsewhere)
    }

    private func harm(_ body: (StoreDamage) throws -> Void) throws {
        cluster.kill(Self.harmed)
        let store = try StoreDamage(home: try cluster.home(Self.harmed))
        try body(store)
        try store.close()
        try cluster.start(Self.harmed, settings: Self.repairIsOff)
    }

    private func found(_ outcome: AuditOutcome) -> (found: UInt64, elsewhere: UInt64) {
        let node = NodeID(UInt16(Self.harmed))
        return (outcome.faults[node] ?? 0, outcome.faultCount(besides: node))
    }

    private func audit() throws -> AuditOutcome {
        let (cluster, bucket) = (cluster.cluster, bucket)
        Progress.say("auditing \(bucket)/")
        return try waiting {
            let client = cluster.clients[0]
            try await cluster.settle()
            let before = client.trafficBytes
            let start = ContinuousClock.now
            var toldAt = start
            let audit = await client.audit(bucket: bucket) { tally, share in
                guard ContinuousClock.now - toldAt > Self.progressInterval else { return }
                toldAt = .now
                Progress.say("\(Int(100 * share)) %, \(tally.stripeCount) stripes, \(tally.troubleCount) not whole")
            }
            let seconds = (ContinuousClock.now - start).inSeconds
            if let failure = audit.failures.first {
                throw BenchmarkError.auditUnfinished(bucket: bucket, reason: "\(failure.failure)")
            }
            try await cluster.settle()
            let after = client.trafficBytes
            let kinds: [AuditStanding] = [.wrong, .missing, .unreadable]
            return AuditOutcome(
                seconds: seconds, movedBytes: after.sent - before.sent + after.received - before.received,
                stripeCount: audit.tally.stripeCount,
                faults: audit.tally.standings.mapValues { counts in
                    kinds.reduce(0) { $0 + (counts[$1] ?? 0) }
                },
                inconclusiveCount: audit.tally.inconclusiveCount)
        }
    }
}
