// A Byzantine client among servers in memory: everything is delivered at once and in order.

import QuorumFaults
import QuorumProtocol

final class FaultyCluster {
    let group: FaultGroup
    let hosts: [FaultyHost]
    let conspiracy: Conspiracy
    private var client: any ClientFault
    private(set) var context: ClientFaultContext
    /// Everything that the client sent, and what came back.
    private(set) var exchanges: [(server: NodeID, request: Request, replies: [Reply])] = []

    /// - Parameter liars: servers in a conspiracy with the client.
    init(
        _ kind: ClientFaultKind, liars: [NodeID: ServerFaultKind] = [:], seed: UInt64 = 1,
        group: FaultGroup = FaultGroup()
    ) {
        self.group = group
        let conspiracy = Conspiracy(signers: liars.keys.sorted().map { group.signer($0) })
        self.conspiracy = conspiracy
        hosts = group.servers.map { server in
            FaultyHost(
                group, liars[server], at: server, seed: seed &+ UInt64(server.rawValue),
                conspiracy: liars[server] == nil ? nil : conspiracy)
        }
        client = kind.make()
        context = ClientFaultContext(
            parameters: group.parameters, client: .mallory, others: [.alice, .bob], keys: [.photo, .other],
            verifier: group.verifier, generator: SeededGenerator(seed: seed), conspiracy: conspiracy,
            earlierLife: group.servers.map { group.signer($0) })
        // Something is there before the client comes.
        for (key, text) in [(ObjectKey.photo, "a photo"), (.other, "another")] {
            let version = group.version(key, text, counter: 1)
            for host in hosts where group.placement(key).group.contains(host.server) {
                _ = host.send(version.prepare(for: group.position(host.server, key)))
                _ = host.send(version.commit(group.certificate(of: version)))
            }
        }
    }

    /// Starts the client and gives it so many ticks.
    func run(ticks: Int = 40) {
        deliver(client.start(&context))
        for _ in 0..<ticks { deliver(client.tick(&context)) }
    }

    private func deliver(_ outgoing: [Outgoing]) {
        var waiting = outgoing
        while !waiting.isEmpty {
            let batch = waiting
            waiting = []
            for message in batch {
                let replies = hosts[Int(message.node.rawValue)].send(
                    message.request, from: .mallory, route: message.route)
                exchanges.append((message.node, message.request, replies))
                for reply in replies { waiting += client.receive(reply, from: message.node, &context) }
            }
        }
    }

    /// The PREPAREs that were sent, with the answers.
    var prepares: [(server: NodeID, prepare: Prepare, replies: [Reply])] {
        exchanges.compactMap { server, request, replies in
            if case .prepare(let prepare) = request { (server, prepare, replies) } else { nil }
        }
    }

    /// The COMMITs that were sent, with the answers.
    var commits: [(server: NodeID, commit: Commit, replies: [Reply])] {
        exchanges.compactMap { server, request, replies in
            if case .commit(let commit) = request { (server, commit, replies) } else { nil }
        }
    }

    var refusals: [Refusal] {
        exchanges.flatMap(\.replies).compactMap { if case .refused(let refusal) = $0 { refusal } else { nil } }
    }
}
