// What becomes of messages: how long they take, which are lost or come twice, and who cannot reach whom.

import QuorumFaults
import QuorumProtocol

/// The network between the nodes of a world: servers first, then clients. A class, since it is asked for each message.
final class VirtualNetwork {
    private var plan: NetworkPlan
    private var generator: SeededGenerator
    /// How many times longer messages of and to a server take.
    private var delayFactors: [UInt64]
    /// Sides of the partitions that are in force.
    private var sides: [Int: UInt64] = [:]

    init(_ plan: NetworkPlan, serverCount: Int, generator: SeededGenerator) {
        self.plan = plan
        self.generator = generator
        delayFactors = Array(repeating: 1, count: serverCount)
    }

    /// Of several reasons to be slow the slowest counts.
    func slow(_ server: NodeID, by factor: Int) {
        delayFactors[Int(server.rawValue)] = max(delayFactors[Int(server.rawValue)], UInt64(factor))
    }

    func partition(_ number: Int, side: UInt64) { sides[number] = side }

    func endPartition(_ number: Int) { sides[number] = nil }

    /// Nothing is lost, doubled or held up any more.
    func heal() {
        sides = [:]
        plan.lossPermille = 0
        plan.duplicationPermille = 0
        plan.slowdownPermille = 0
        plan.echoPermille = 0
        for server in delayFactors.indices { delayFactors[server] = min(delayFactors[server], 4) }
    }

    /// No message arrives any more.
    func fallSilent() { plan.lossPermille = 1000 }

    /// Whether a message can get from one node to the other now.
    func isConnected(_ node: Int, _ other: Int) -> Bool {
        sides.isEmpty || sides.values.allSatisfy { ($0 >> UInt64(node) ^ $0 >> UInt64(other)) & 1 == 0 }
    }

    /// How long each copy of a message between a client and the server takes, in microseconds; none: it is lost.
    func delays(server: NodeID) -> (first: UInt64?, second: UInt64?) {
        let fate = generator.below(1000)
        if fate < plan.lossPermille { return (nil, nil) }
        let isDoubled = plan.duplicationPermille > 0 && generator.below(1000) < plan.duplicationPermille
        let first = delay(server)
        let second = isDoubled ? delay(server) : nil
        guard plan.echoPermille > 0, generator.below(1000) < plan.echoPermille else { return (first, second) }
        return (first, first + UInt64(generator.within(1...Int(plan.echoMaxMicroseconds))))
    }

    private func delay(_ server: NodeID) -> UInt64 {
        let span = Int(plan.delayMaxMicroseconds - plan.delayMinMicroseconds)
        var delay = plan.delayMinMicroseconds + UInt64(generator.below(span + 1))
        if plan.slowdownPermille > 0, generator.below(1000) < plan.slowdownPermille {
            delay *= UInt64(generator.within(2...max(2, plan.slowdownMax)))
        }
        return delay * delayFactors[Int(server.rawValue)]
    }
}
